// Copies a range from file to file inside the kernel: by reference where the file system can, and by hand where the kernel
// cannot at all.

import { alignDown, alignUp } from "../align.ts";
import { run } from "../engine/engine.ts";
import { Errno } from "../engine/linux.ts";
import { unwrap } from "../errors.ts";
import { cutPadding } from "./cut.ts";
import type { OpenFile } from "./open_file.ts";
import { readRange, writePieces } from "./random_access.ts";
import { exactSize, sizeOf, statNow } from "./stat.ts";

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

/** A copy: `length` bytes from `position` of one file to `targetPosition` of another. */
export interface Copy {
  readonly from: OpenFile;
  readonly to: OpenFile;
  readonly position: number;
  readonly targetPosition: number;
  readonly length: number;
}

/** Copies up to `length` bytes; fewer where the source ends. Resolves to how many. */
export async function copyRange(copy: Copy): Promise<number> {
  const { from, to, position } = copy;
  let { length } = copy;
  if (from.inode === to.inode && from.device === to.device) {
    // What the copy itself appends is no source.
    const size = await from.descriptor.use("copy", () => sizeOf(from.descriptor));
    length = Math.min(length, Math.max(0, size - position));
    refuseOverlap({ ...copy, length });
  }
  try {
    return await copySteps({ ...copy, length });
  } catch (error) {
    copy.to.spoiled ??= { error };
    throw error;
  }
}

/** What is left of a copy of which so many bytes are done. */
function rest(copy: Copy, done: number, most = Infinity): Copy {
  const { position, targetPosition, length } = copy;
  return {
    ...copy,
    position: position + done,
    targetPosition: targetPosition + done,
    length: Math.min(length - done, most),
  };
}

async function copySteps(copy: Copy): Promise<number> {
  let copied = 0;
  while (copied < copy.length) {
    const result = await copyStep(rest(copy, copied, STEP));
    // Also half-way: the blocks may be copied, and the rest of one at the end refused (ext4 with O_DIRECT).
    if (REFUSED.has(-result)) return copied + await copyByHand(rest(copy, copied));
    if (unwrap(result, "copy", copy.from.path) === 0) break;
    copied += result;
  }
  return copied;
}

/** Resolves to how many bytes the kernel copied, or `-errno`. */
async function copyStep({ from, to, position, targetPosition, length }: Copy): Promise<number> {
  const operation = {
    op: "copyRange",
    fd: from.fd,
    position,
    targetFd: to.fd,
    targetPosition,
    length,
  } as const;
  // The source may have less than was asked for, so only what was copied makes the target longer.
  return await from.descriptor.use(
    "copy",
    () =>
      to.change("copy", () =>
        to.length.withWrite(targetPosition, async () => {
          const result = await run(from.engine, operation);
          if (result > 0) to.length.addContent(targetPosition + result);
          if (result < 0 && !REFUSED.has(-result)) unwrap(result, "copy", from.path);
          return result;
        })),
  );
}

/** The kernel says EINVAL for this, among other things. */
function refuseOverlap({ position, length, targetPosition }: Copy): void {
  if (position >= targetPosition + length || targetPosition >= position + length) return;
  throw new RangeError(
    `Cannot copy ${length} bytes from ${position} to ${targetPosition} of the same file: the ranges overlap`,
  );
}

/** Copies by hand that wait for another: two may share a block, of which each writes the whole. */
const queues = new WeakMap<OpenFile, Promise<unknown>>();

function copyByHand(copy: Copy): Promise<number> {
  const { to } = copy;
  const before = queues.get(to) ?? Promise.resolve();
  // A close in between ends the copy early, but what is copied by then is left without padding.
  const copying = before.then(() => to.descriptor.use("copy", () => copyPieces(copy)));
  queues.set(to, copying.catch(() => {}));
  return copying;
}

async function copyPieces({ from, to, position, targetPosition, length }: Copy): Promise<number> {
  let copied = 0;
  while (copied < length) {
    // Whole blocks, all but the last: only behind that one there is padding.
    const wanted = PIECE - (targetPosition + copied) % to.blockSize;
    const bytes = await readRange(from, position + copied, Math.min(wanted, length - copied));
    if (bytes.length === 0) break;
    const sizeBefore = await writeInBlocks(to, bytes, targetPosition + copied);
    copied += bytes.length;
    await cutPadding(to, Math.max(sizeBefore, targetPosition + copied));
  }
  return copied;
}

/**
 * Writes bytes to any position, by way of the whole blocks that they lie in. Resolves to how long the file was before, for
 * the padding to be cut off again.
 */
function writeInBlocks(to: OpenFile, bytes: Uint8Array, position: number): Promise<number> {
  const { blockSize } = to;
  const end = position + bytes.length;
  const start = alignDown(position, blockSize);
  const blocks = new Uint8Array(alignUp(end - start, blockSize));
  const last = blocks.length - blockSize;
  return to.change("write", () =>
    to.length.withWrite(start + blocks.length, async () => {
      const sizeBefore = exactSize(statNow(to.engine, to.fd, to.path), to.path);
      if (position > start) blocks.set(await readRange(to, start, blockSize));
      if (end % blockSize > 0) blocks.set(await readRange(to, start + last, blockSize), last);
      blocks.set(bytes, position - start);
      await writePieces(to, blocks, start);
      to.length.addContent(end);
      return sizeBefore;
    }));
}
