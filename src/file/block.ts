// Reads whole blocks of a file, of which a part is to be written.

import type { DmaError } from "../errors.ts";
import type { OpenFile } from "./open_file.ts";
import { Transfer } from "./transfer.ts";

/** A block that was read. */
export interface FileBlock {
  /** All of it; zeros behind the end of the file. */
  readonly bytes: Uint8Array;
  /** Bytes of it that are in the file. */
  readonly length: number;
}

/** Reads the block at `position` of a file that is in use. `ended` gets it, or the error. Throws without memory. */
export function readBlock(
  file: OpenFile,
  position: number,
  ended: (block: FileBlock | DmaError) => void,
): void {
  const { engine, blockSize } = file;
  const memory = engine.acquire(blockSize);
  const complete = (length: number) => {
    const bytes = new Uint8Array(blockSize);
    bytes.set(memory.bytes.subarray(0, Math.max(0, length)));
    engine.release(memory);
    ended(reading.error ?? { bytes, length });
  };
  const range = { memory, offset: 0, length: blockSize, position };
  const reading = new Transfer(file, "read", range, { complete });
  reading.start();
}
