// Copies a range from file to file inside the kernel: by reference where the file system can, and by hand where the
// kernel cannot at all.

import { run } from "../engine/engine.ts";
import { Errno } from "../engine/linux.ts";
import { unwrap } from "../errors.ts";
import type { Handle } from "./handle.ts";
import { readRange, sizeOf, statStep, writeBytes } from "./random_access.ts";
import { parseStat } from "./stat.ts";

/** Bytes asked of the kernel at once: it copies without looking up, and a close should not have to wait for long. */
const STEP = 256 << 20;
/** Bytes copied by hand at once. */
const PIECE = 4 << 20;

/** How the kernel says that it cannot copy between these two places (copy_file_range(2)). */
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
  if (from.inode === to.inode && from.device === to.device) {
    // What the copy itself appends is no source.
    length = Math.min(length, Math.max(0, await sizeOf(from) - position));
    refuseOverlap(position, length, target);
  }
  try {
    return await copySteps(from, to, position, length, target);
  } catch (error) {
    to.spoiled ??= { error };
    throw error;
  }
}

async function copySteps(
  from: Handle,
  to: Handle,
  position: number,
  length: number,
  target: number,
): Promise<number> {
  let copied = 0;
  while (copied < length) {
    const step = Math.min(STEP, length - copied);
    const copy = () => copyStep(from, to, position + copied, step, target + copied);
    const result = await from.during(
      "copy",
      () => to.during("copy", () => to.putting(target + copied + step, copy)),
    );
    // Also half-way: the blocks may be copied, and the rest of one at the end refused (ext4 with O_DIRECT).
    if (REFUSED.has(-result)) {
      return copied +
        await copyByHand(from, to, position + copied, length - copied, target + copied);
    }
    if (unwrap(result, "copy", from.path) === 0) break;
    copied += result;
  }
  return copied;
}

/** Resolves to how many bytes the kernel copied, or `-errno`. */
async function copyStep(
  from: Handle,
  to: Handle,
  position: number,
  length: number,
  target: number,
): Promise<number> {
  const result = await run(from.engine, {
    op: "copyRange",
    fd: from.fd,
    position,
    targetFd: to.fd,
    targetPosition: target,
    length,
  });
  to.changes++;
  if (result > 0) {
    to.contentEnd = Math.max(to.contentEnd, target + result);
    to.longest = Math.max(to.longest, target + result);
  }
  return result;
}

/** The kernel says EINVAL for this, among other things. */
function refuseOverlap(position: number, length: number, target: number): void {
  if (position >= target + length || target >= position + length) return;
  throw new RangeError(
    `Cannot copy ${length} bytes from ${position} to ${target} of the same file: the ranges overlap`,
  );
}

/** Copies by hand that wait for another: two may share a block, of which each writes the whole. */
const queues = new WeakMap<Handle, Promise<unknown>>();

function copyByHand(
  from: Handle,
  to: Handle,
  position: number,
  length: number,
  target: number,
): Promise<number> {
  const before = queues.get(to) ?? Promise.resolve();
  // A close in between ends the copy early, but what is copied by then is left without padding.
  const copying = before.then(() =>
    to.during("copy", () => copyPieces(from, to, position, length, target))
  );
  queues.set(to, copying.catch(() => {}));
  return copying;
}

async function copyPieces(
  from: Handle,
  to: Handle,
  position: number,
  length: number,
  target: number,
): Promise<number> {
  const size = await sizeOf(to);
  let copied = 0;
  try {
    while (copied < length) {
      const bytes = await readRange(from, position + copied, Math.min(PIECE, length - copied));
      if (bytes.length === 0) break;
      await putInBlocks(to, bytes, target + copied);
      copied += bytes.length;
    }
  } finally {
    await cutPadding(to, Math.max(size, target + copied));
  }
  return copied;
}

/** Writes bytes to any position, by way of the whole blocks that they lie in. */
async function putInBlocks(to: Handle, bytes: Uint8Array, position: number): Promise<void> {
  const { alignment } = to;
  const end = position + bytes.length;
  const start = position - position % alignment;
  const blocks = new Uint8Array(Math.ceil((end - start) / alignment) * alignment);
  const last = blocks.length - alignment;
  if (position > start) blocks.set(await readRange(to, start, alignment));
  if (end % alignment > 0) blocks.set(await readRange(to, start + last, alignment), last);
  blocks.set(bytes, position - start);
  await writeBytes(to, blocks, start, end);
}

/** The last block may reach past what was copied into it, and past the end that the file had. */
async function cutPadding(to: Handle, length: number): Promise<void> {
  const padded = Math.ceil(length / to.alignment) * to.alignment;
  if (padded === length) return;
  await to.cutting(async () => {
    const { size } = await statStep(to, parseStat);
    // Anything else is somebody else's doing. A writer at work cuts it in the end.
    if (Number(size) !== padded || to.contentReach > length || to.occupant) return;
    await to.step("truncate", { op: "truncate", fd: to.fd, length });
  });
}
