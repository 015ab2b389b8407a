// Copies a range from file to file: by the kernel, which may share blocks, or else with reads and writes.

import { alignDown, alignUp } from "../align.ts";
import { allocateMemory } from "../dma_buffer.ts";
import { inTurn, promiseOf } from "../engine/engine.ts";
import { errnos } from "../engine/linux.ts";
import { ioError } from "../errors.ts";
import { mayBeLonger } from "./file_system.ts";
import type { OpenFile } from "./open_file.ts";
import { readInUse, writePieces } from "./random_access.ts";
import { cutPadding } from "./space.ts";
import { isSame, stat } from "./stat.ts";
import { completeBlocks } from "./transfer.ts";

/** The bytes of one call, which cannot be interrupted. A multiple of any block size. */
const STEP = 256 << 20;
const PIECE = 4 << 20;

/** The kernel cannot copy between these two files (copy_file_range(2)), or a sandbox forbids the call (EPERM). */
const REFUSED = errnos("EPERM", "EXDEV", "EOPNOTSUPP", "ENOSYS", "EINVAL");

export interface Copy {
  readonly from: OpenFile;
  readonly to: OpenFile;
  readonly position: number;
  readonly targetPosition: number;
  readonly length: number;
}

/** Copies up to `length` bytes; fewer if the source ends before. Resolves to their number. */
export function copyRange(copy: Copy): Promise<number> {
  const { from, to } = copy;
  return from.descriptor.use("copy", () => to.descriptor.use("copy", () => copyInUse(copy)));
}

async function copyInUse(copy: Copy): Promise<number> {
  const { from, to, position } = copy;
  // Bytes that are appended meanwhile, perhaps by the copy itself, are not copied.
  const { size } = await stat(from.descriptor);
  const end = mayBeLonger(from.fileSystem, size) ? Infinity : size;
  const there = { ...copy, length: Math.min(copy.length, Math.max(0, end - position)) };
  if (isSame(from.facts, to.facts)) refuseOverlap(there);
  try {
    return await copyAll(there);
  } catch (error) {
    // Noted before the target is closed, so that an atomic target is not published.
    to.durability.noteFailure(error);
    throw error;
  }
}

/** Throws if the ranges overlap. The kernel would return EINVAL, which has other causes too. */
function refuseOverlap({ position, length, targetPosition }: Copy): void {
  if (position >= targetPosition + length || targetPosition >= position + length) return;
  throw new RangeError(
    `Cannot copy ${length} bytes from ${position} to ${targetPosition} of the same file: the ranges overlap`,
  );
}

async function copyAll(copy: Copy): Promise<number> {
  const { from, to } = copy;
  // Before a second engine is used, `unload` closes the descriptors of the first. Other files may have their numbers.
  let isRefused = from.engine !== to.engine;
  let copied = 0;
  while (copied < copy.length) {
    const left = {
      ...copy,
      position: copy.position + copied,
      targetPosition: copy.targetPosition + copied,
      length: copy.length - copied,
    };
    // If a file is being closed, the copy ends after this part, so that the close does not wait for long.
    if (copied > 0 && left.length > PIECE) {
      from.descriptor.assertOpen("copy");
      to.descriptor.assertOpen("copy");
    }
    const length = isRefused ? 0 : wholeBlocks(left);
    // Copies by hand run one after the other, because two of them may share a block and each writes whole blocks.
    const result = length > 0
      ? await copyInKernel({ ...left, length })
      : await inTurn(to, () => copyByHand(left));
    if (result > 0) copied += result;
    else if (length === 0) break;
    else isRefused = true;
  }
  return copied;
}

/** The number of bytes that the kernel may copy: whole blocks, because of xfs (`offsetAlignment` in open_file.ts). */
function wholeBlocks({ to: { blockSize }, position, targetPosition, length }: Copy): number {
  const isAligned = position % blockSize === 0 && targetPosition % blockSize === 0;
  return isAligned ? alignDown(length, blockSize) : 0;
}

/** One call of the kernel. Resolves to the number of bytes, or to `-errno` if the kernel refuses. */
async function copyInKernel({ from, to, position, targetPosition, length }: Copy): Promise<number> {
  const { engine, fd, path } = from;
  const range = { fd, position, targetFd: to.fd, targetPosition, length: Math.min(length, STEP) };
  const call = () =>
    promiseOf<number>((ended) => {
      const complete = (result: number) => {
        // Noted here and not after a promise, because a program that blocks may cut before a microtask runs.
        if (result > 0) to.length.addContent(targetPosition + result);
        const isError = result < 0 && !REFUSED.has(-result);
        ended(isError ? ioError(-result, "copy", path, "", to.path) : result);
      };
      engine.submit({ op: "copyRange", ...range }, { complete });
    });
  // The source may have become shorter, so only the result gives the length of the target.
  return await to.change(0, 0, call);
}

async function copyByHand({ from, to, position, targetPosition, length }: Copy): Promise<number> {
  // Each piece ends with a block, so that only the last one is padded.
  const wanted = PIECE - targetPosition % to.blockSize;
  const bytes = await readInUse(from, position, Math.min(wanted, length));
  if (bytes.length > 0) await writeInBlocks(to, bytes, targetPosition);
  return bytes.length;
}

/** Writes bytes to any position, as whole blocks, and cuts off padding past the content. */
async function writeInBlocks(to: OpenFile, bytes: Uint8Array, position: number): Promise<void> {
  const { blockSize } = to;
  const end = position + bytes.length;
  const start = alignDown(position, blockSize);
  const length = alignUp(end - start, blockSize);
  const memory = allocateMemory(length);
  memory.bytes.set(bytes, position - start);
  const { cut } = await to.change(start, start + length, async () => {
    const blocks = { memory, length, position: start };
    const isShort = await promiseOf((ended) => completeBlocks(to, blocks, position, end, ended));
    // Not before the wait: another program may have cut the file meanwhile.
    const before = to.length.sizeNow() ?? 0;
    await writePieces(to, memory.bytes, length, start);
    to.length.addContent(end);
    // Within the change: a writer that opens after it would take the padding for content.
    return { cut: isShort ? cutPadding(to, start + length, before) : undefined };
  });
  await cut;
}
