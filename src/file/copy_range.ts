// Copies a range from file to file. The kernel copies, by reference if the file system can. Where the kernel refuses, the
// bytes are read and written.

import { alignDown, alignUp } from "../align.ts";
import { run } from "../engine/engine.ts";
import { Errno } from "../engine/linux.ts";
import { unwrap } from "../errors.ts";
import { cutPadding } from "./cut.ts";
import { isSame } from "./file_name.ts";
import type { OpenFile } from "./open_file.ts";
import { readRange, writePieces } from "./random_access.ts";
import { stat } from "./stat.ts";

/** Bytes of one call: the kernel cannot be interrupted, and a close should not wait for long. */
const STEP = 256 << 20;
/** Bytes read and written at once. */
const PIECE = 4 << 20;

/** The kernel cannot copy between these two files (copy_file_range(2)), or a sandbox has it refuse (EPERM). */
const REFUSED: ReadonlySet<number> = new Set([
  Errno.EPERM,
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

/** What of a copy follows its first bytes. */
function rest(copy: Copy, copied: number): Copy {
  const { position, targetPosition, length } = copy;
  return {
    ...copy,
    position: position + copied,
    targetPosition: targetPosition + copied,
    length: length - copied,
  };
}

/** Copies up to `length` bytes; fewer if the source ends before. Resolves to how many. */
export async function copyRange(copy: Copy): Promise<number> {
  const { from, to, position } = copy;
  let { length } = copy;
  if (isSame(from, to)) {
    // Bytes that the copy itself appends are not copied.
    const { size } = await from.descriptor.use("copy", () => stat(from.descriptor));
    length = Math.min(length, Math.max(0, size - position));
    refuseOverlap({ ...copy, length });
  }
  let copied = 0;
  try {
    while (copied < length) {
      const step = rest({ ...copy, length }, copied);
      const result = await copyStep(step);
      // It may refuse half-way: after whole blocks, the rest of a block at the end (ext4 with O_DIRECT).
      if (REFUSED.has(-result)) return copied + await copyByReading(step);
      if (result === 0) break;
      copied += result;
    }
    return copied;
  } catch (error) {
    to.durability.noteFailure(error);
    throw error;
  }
}

/** The kernel would return EINVAL, which means other things too. */
function refuseOverlap({ position, length, targetPosition }: Copy): void {
  if (position >= targetPosition + length || targetPosition >= position + length) return;
  throw new RangeError(
    `Cannot copy ${length} bytes from ${position} to ${targetPosition} of the same file: the ranges overlap`,
  );
}

/** Has the kernel copy. Resolves to how many bytes it copied; `-errno` if it refuses. */
async function copyStep({ from, to, position, targetPosition, length }: Copy): Promise<number> {
  const range = { fd: from.fd, position, targetFd: to.fd, targetPosition };
  const call = async () => {
    const operation = { op: "copyRange", ...range, length: Math.min(length, STEP) } as const;
    const result = await run(from.engine, operation);
    if (result > 0) to.length.addContent(targetPosition + result);
    return REFUSED.has(-result) ? result : unwrap(result, "copy", from.path);
  };
  // The source may have fewer bytes, so only the result says how long the target is.
  return await from.descriptor.use("copy", () => to.write("copy", targetPosition, call));
}

/** Such copies run one after the other: two may share a block, and each writes whole blocks. */
const queues = new WeakMap<OpenFile, Promise<unknown>>();

/** Copies by reading and writing. Resolves to how many bytes are copied. */
function copyByReading(copy: Copy): Promise<number> {
  const { to } = copy;
  const before = queues.get(to) ?? Promise.resolve();
  // A close in between ends the copy early, and leaves no padding behind what is copied.
  const copying = before.then(() => to.descriptor.use("copy", () => copyPieces(copy)));
  queues.set(to, copying.catch(() => {}));
  return copying;
}

async function copyPieces(copy: Copy): Promise<number> {
  const { from, to } = copy;
  let copied = 0;
  while (copied < copy.length) {
    const { position, targetPosition, length } = rest(copy, copied);
    // Each piece ends with a block, so that only the last one is padded.
    const wanted = PIECE - targetPosition % to.blockSize;
    const bytes = await readRange(from, position, Math.min(wanted, length));
    if (bytes.length === 0) break;
    await writeInBlocks(to, bytes, targetPosition);
    copied += bytes.length;
    await cutPadding(to, targetPosition + bytes.length);
  }
  return copied;
}

/** Writes bytes to any position, as whole blocks. */
function writeInBlocks(to: OpenFile, bytes: Uint8Array, position: number): Promise<void> {
  const { blockSize } = to;
  const end = position + bytes.length;
  const start = alignDown(position, blockSize);
  const blocks = new Uint8Array(alignUp(end - start, blockSize));
  const last = blocks.length - blockSize;
  return to.write("write", start + blocks.length, async () => {
    if (position > start) blocks.set(await readRange(to, start, blockSize));
    if (end % blockSize > 0) blocks.set(await readRange(to, start + last, blockSize), last);
    blocks.set(bytes, position - start);
    await writePieces(to, blocks, start);
    to.length.addContent(end);
  });
}
