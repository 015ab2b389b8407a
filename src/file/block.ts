// Whole blocks of a file, for whoever writes a part of one.

import { unwrap } from "../errors.ts";
import type { OpenFile } from "./open_file.ts";
import { transfer } from "./transfer.ts";

/** Reads the block at `position`; zeros where the file has none. The file's descriptor is in use. */
export async function readBlock(file: OpenFile, position: number): Promise<Uint8Array> {
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
export function readBlockNow(file: OpenFile, position: number): Uint8Array {
  const { engine, fd, path, blockSize: length } = file;
  const memory = engine.acquire(length);
  try {
    const range = { memory, offset: 0, length, position };
    const read = unwrap(engine.runNow({ op: "read", fd, ...range }), "read", path);
    return copyOf(memory.bytes, read, length);
  } finally {
    engine.release(memory);
  }
}

function copyOf(bytes: Uint8Array, length: number, blockSize: number): Uint8Array {
  const block = new Uint8Array(blockSize);
  block.set(bytes.subarray(0, length));
  return block;
}
