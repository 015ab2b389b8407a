// Copies a range from file to file inside the kernel: by reference where the file system can, and by hand where the
// kernel cannot at all.

import { Errno, unwrap } from "../errors.ts";
import type { Handle } from "./handle.ts";
import { attempt, readRange } from "./random_access.ts";
import { WriteSession } from "./write_session.ts";

/** Bytes asked of the kernel at once: it copies without looking up, and a close should not have to wait for long. */
const STEP = 256 << 20;
/** Bytes copied by hand at once. */
const PIECE = 4 << 20;

/** How the kernel says that it cannot copy between these two files (copy_file_range(2)). */
const REFUSED: ReadonlySet<number> = new Set([
  Errno.EXDEV,
  Errno.EOPNOTSUPP,
  Errno.ENOSYS,
  Errno.EINVAL,
]);

/** Copies up to `length` bytes; fewer where the source ends. Resolves to how many. */
export async function copyRange(
  from: Handle,
  to: Handle,
  position: number,
  length: number,
  target: number,
): Promise<number> {
  const { engine } = from;
  let copied = 0;
  to.enter("copy");
  try {
    while (copied < length) {
      const step = Math.min(STEP, length - copied);
      const result = await attempt(
        from,
        (done) => engine.copyRange(from.fd, position + copied, to.fd, target + copied, step, done),
      );
      if (copied === 0 && REFUSED.has(-result)) {
        return await copyByHand(from, to, position, length, target);
      }
      if (unwrap(result, "copy", from.path) === 0) break;
      copied += result;
      to.changes++;
    }
  } finally {
    to.leave();
    to.contentEnd = Math.max(to.contentEnd, copied > 0 ? target + copied : 0);
    to.longest = Math.max(to.longest, to.contentEnd);
  }
  return copied;
}

async function copyByHand(
  from: Handle,
  to: Handle,
  position: number,
  length: number,
  target: number,
): Promise<number> {
  if (from.inode === to.inode && from.device === to.device) {
    throw new RangeError(
      `Cannot copy ${length} bytes from ${position} to ${target} of the same file: the ranges overlap`,
    );
  }
  // A writer of its own: it knows how to start and end inside a block.
  const session = new WriteSession(to, {
    bufferSize: 1 << 20,
    writeBehind: 4,
    position: target,
    append: false,
    sizeHint: 0,
    preallocate: false,
    syncOnClose: false,
    closeFile: false,
  });
  try {
    let copied = 0;
    while (copied < length) {
      const bytes = await readRange(from, position + copied, Math.min(PIECE, length - copied));
      if (bytes.length === 0) break;
      await session.accept(bytes);
      copied += bytes.length;
    }
    await session.close();
    return copied;
  } catch (error) {
    await session.abort(error).catch(() => {});
    throw error;
  }
}
