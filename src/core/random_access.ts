// Reads and writes at positions: whole, whatever the kernel makes of each request.

import { AlignedMemory } from "./aligned_memory.ts";
import { addressOf } from "../engine/kernel_engine.ts";
import { Errno, MAX_TRANSFER as MOST } from "../engine/linux.ts";
import type { Memory } from "../engine/operation.ts";
import { ioError } from "../errors.ts";
import type { Handle } from "./handle.ts";
import { mayVanish } from "./isolate.ts";
import { exactSize, parseStat } from "./stat.ts";

/** Pieces that go through the pool, and how many at once. */
const PIECE = 1 << 20;
const PIECES_AT_ONCE = 4;
/** Requests that bring nothing before an error is made of it. */
const PATIENCE = 3;

/** `statx` of an open file, as `parse` reads it. */
export function statHandle<T>(handle: Handle, parse: (bytes: Uint8Array) => T): Promise<T> {
  return handle.during("stat", () => statStep(handle, parse));
}

/** As {@linkcode statHandle}, of a file that something holds open already. */
export async function statStep<T>(handle: Handle, parse: (bytes: Uint8Array) => T): Promise<T> {
  const block = handle.engine.acquire(4096);
  try {
    await handle.step("stat", { op: "stat", fd: handle.fd, memory: block });
    return parse(block.bytes);
  } finally {
    handle.engine.release(block);
  }
}

/** The length of an open file. */
export async function sizeOf(handle: Handle): Promise<number> {
  return exactSize(await statHandle(handle, parseStat), handle.path);
}

/**
 * Reads until `length` bytes are in or the file ends. Position and length are aligned. Resolves to how many bytes
 * are in.
 */
export function readWhole(
  handle: Handle,
  memory: Memory,
  offset: number,
  length: number,
  position: number,
): Promise<number> {
  return handle.during("read", () => readSteps(handle, memory, offset, length, position));
}

async function readSteps(
  handle: Handle,
  memory: Memory,
  offset: number,
  length: number,
  position: number,
): Promise<number> {
  const { fd, alignment } = handle;
  let got = 0;
  /** The most that `got` ever was: a read that was cut short inside a block starts again before it. */
  let reached = 0;
  let fruitless = 0;
  while (got < length) {
    const result = await handle.step("read", {
      op: "read",
      fd,
      memory,
      offset: offset + got,
      length: Math.min(length - got, MOST),
      position: position + got,
    });
    got += result;
    if (got >= length) break;
    if (result === MOST) continue;
    // Short: the end of the file, or a file system that gives less than it has (FUSE does, even nothing).
    const size = exactSize(await statStep(handle, parseStat), handle.path);
    if (position + got >= size) return Math.max(0, Math.min(got, size - position));
    const aligned = got - got % alignment;
    if (got <= reached && ++fruitless > PATIENCE) {
      throw ioError(
        Errno.EIO,
        "read",
        handle.path,
        `no more than ${got} bytes at ${position} can be read`,
      );
    }
    reached = Math.max(reached, got);
    got = aligned;
  }
  return got;
}

/** Writes all of it. Position and length are aligned. */
export function writeWhole(
  handle: Handle,
  memory: Memory,
  offset: number,
  length: number,
  position: number,
): Promise<void> {
  const end = position + length;
  const write = () => writeSteps(handle, memory, offset, length, position, end);
  return handle.during("write", () => handle.putting(end, write));
}

async function writeSteps(
  handle: Handle,
  memory: Memory,
  offset: number,
  length: number,
  position: number,
  contentEnd: number,
): Promise<void> {
  const { fd, alignment, direct } = handle;
  handle.longest = Math.max(handle.longest, position + length);
  let put = 0;
  let fruitless = 0;
  while (put < length) {
    const result = await handle.step("write", {
      op: "write",
      fd,
      memory,
      offset: offset + put,
      length: Math.min(length - put, MOST),
      position: position + put,
      buffered: !direct,
    });
    handle.changes++;
    // A write cut short inside a block is taken up again at the start of that block.
    const progress = result - (put + result < length ? result % alignment : 0);
    if (progress === 0 && ++fruitless > PATIENCE) {
      throw ioError(
        Errno.EIO,
        "write",
        handle.path,
        `the write stops at ${position + put + result}`,
      );
    }
    put += progress;
  }
  handle.contentEnd = Math.max(handle.contentEnd, Math.min(position + length, contentEnd));
}

/** Reads any range. Shorter where the file ends. The caller owns the result. */
export function readRange(
  handle: Handle,
  position: number,
  length: number,
): Promise<Uint8Array<ArrayBuffer>> {
  return handle.during("read", () => rangeSteps(handle, position, length));
}

async function rangeSteps(
  handle: Handle,
  position: number,
  length: number,
): Promise<Uint8Array<ArrayBuffer>> {
  if (length === 0) return new Uint8Array(0);
  const { alignment } = handle;
  const start = position - position % alignment;
  // What is past the end of the file needs no memory.
  const known = length > PIECE
    ? exactSize(await statStep(handle, parseStat), handle.path)
    : Infinity;
  const end = Math.min(position + length, Math.max(known, position));
  if (end <= position) return new Uint8Array(0);
  const span = Math.ceil((end - start) / alignment) * alignment;
  if (mayVanish) return await readByPool(handle, position, end, start, span);
  const memory = AlignedMemory.allocate(span);
  const got = await readSteps(handle, memory, 0, span, start);
  return memory.bytes.subarray(
    position - start,
    Math.max(position - start, Math.min(got, end - start)),
  );
}

/**
 * Reads whole blocks straight into `view`, where its memory, the position and the length let Direct I/O do that.
 * Resolves to how many bytes are in: 0 where it cannot be done, or where the file has ended. Nobody else may have the
 * view meanwhile.
 */
export async function readStraight(
  handle: Handle,
  view: Uint8Array<ArrayBuffer>,
  position: number,
  end: number,
): Promise<number> {
  const { alignment, memoryAlignment } = handle;
  const room = Math.min(view.byteLength, end - position);
  const length = room - room % alignment;
  if (length === 0 || position % alignment !== 0) return 0;
  const address = addressOf(view);
  if (address % memoryAlignment !== 0) return 0;
  const bytes = new Uint8Array(view.buffer, view.byteOffset, length);
  return await readWhole(handle, { bytes, address, registration: -1 }, 0, length, position);
}

/** As {@linkcode readRange}, with a copy: the kernel never has memory that dies with the isolate. */
async function readByPool(
  handle: Handle,
  position: number,
  end: number,
  start: number,
  span: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const { engine } = handle;
  const result = new Uint8Array(end - position);
  let filled = 0;
  for (let done = 0; done < span; done += PIECE) {
    const length = Math.min(PIECE, span - done);
    const block = engine.acquire(length);
    try {
      const got = await readSteps(handle, block, 0, length, start + done);
      const from = Math.max(0, position - start - done);
      const to = Math.min(got, end - start - done);
      if (to > from) {
        result.set(block.bytes.subarray(from, to), filled);
        filled += to - from;
      }
      if (got < length) break;
    } finally {
      engine.release(block);
    }
  }
  return result.subarray(0, filled);
}

/**
 * Writes bytes from anywhere: they are copied into the pool. Position and length are aligned. What is behind `contentEnd`
 * only fills the last block up.
 */
export function writeBytes(
  handle: Handle,
  bytes: Uint8Array,
  position: number,
  contentEnd: number = position + bytes.length,
): Promise<void> {
  const write = () => writePieces(handle, bytes, position, contentEnd);
  return handle.during("write", () => handle.putting(contentEnd, write));
}

async function writePieces(
  handle: Handle,
  bytes: Uint8Array,
  position: number,
  contentEnd: number,
): Promise<void> {
  const { engine } = handle;
  const total = bytes.length;
  let next = 0;
  const one = async () => {
    while (next < total) {
      const from = next;
      const length = Math.min(PIECE, total - from);
      next += length;
      const block = engine.acquire(length);
      try {
        if (bytes.length !== total) {
          throw new TypeError(
            "Cannot write data whose buffer is detached before the write is over",
          );
        }
        block.bytes.set(bytes.subarray(from, from + length));
        await writeSteps(handle, block, 0, length, position + from, contentEnd);
      } catch (error) {
        next = total;
        throw error;
      } finally {
        engine.release(block);
      }
    }
  };
  const workers = Array.from({ length: PIECES_AT_ONCE }, one);
  // All of them end before the error is given on: nothing is in flight then.
  for (const settled of await Promise.allSettled(workers)) {
    if (settled.status === "rejected") throw settled.reason;
  }
}
