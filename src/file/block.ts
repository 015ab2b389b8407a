// Reads whole blocks of a file, of which a part is to be written.

import type { OpenFile } from "./open_file.ts";
import { readNow, transfer } from "./transfer.ts";

/** A block that was read. */
export interface FileBlock {
  /** All of it; zeros behind the end of the file. */
  readonly bytes: Uint8Array;
  /** Bytes of it that are in the file. */
  readonly length: number;
}

/** Reads the block at `position`. The file's descriptor is in use. */
export async function readBlock(file: OpenFile, position: number): Promise<FileBlock> {
  const { engine, blockSize: length } = file;
  const memory = engine.acquire(length);
  try {
    const read = await transfer(file, "read", { memory, offset: 0, length, position });
    return copyOf(memory.bytes, read, length);
  } finally {
    engine.release(memory);
  }
}

/** As {@linkcode readBlock}, on the JavaScript thread. */
export function readBlockNow(file: OpenFile, position: number): FileBlock {
  const { engine, blockSize: length } = file;
  const memory = engine.acquire(length);
  try {
    const read = readNow(file, { memory, offset: 0, length, position });
    return copyOf(memory.bytes, read, length);
  } finally {
    engine.release(memory);
  }
}

function copyOf(memory: Uint8Array, length: number, blockSize: number): FileBlock {
  const bytes = new Uint8Array(blockSize);
  bytes.set(memory.subarray(0, length));
  return { bytes, length };
}
