// Reads a block of a file before a part of it is written.

import { promiseOf } from "../engine/engine.ts";
import type { DmaError } from "../errors.ts";
import type { OpenFile } from "./open_file.ts";
import { readPooled } from "./transfer.ts";

/** A block that was read. */
export interface FileBlock {
  /** The whole block; zeros past the end of the file. */
  readonly bytes: Uint8Array;
  /** The number of its bytes that are in the file. */
  readonly length: number;
}

/** Reads the block at `position` of a file that is in use. `ended` gets the block or the error. */
export function submitBlockRead(
  file: OpenFile,
  position: number,
  ended: (block: FileBlock | DmaError) => void,
): void {
  const { blockSize } = file;
  const take = (read: Uint8Array) => {
    if (read.length < blockSize) file.length.noteEnd();
    const bytes = new Uint8Array(blockSize);
    bytes.set(read);
    return { bytes, length: read.length };
  };
  readPooled(file, position, blockSize, take, ended);
}

/** As {@linkcode submitBlockRead}. */
export function readBlock(file: OpenFile, position: number): Promise<FileBlock> {
  return promiseOf((ended) => submitBlockRead(file, position, ended));
}
