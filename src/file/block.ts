// Completes blocks that are written as a whole although only a part of them is data.

import type { Ended } from "../engine/engine.ts";
import type { Bytes, TransferRange } from "../engine/operation.ts";
import type { OpenFile } from "./open_file.ts";
import { readPooled } from "./transfer.ts";

/**
 * Copies the bytes of a file in use into blocks that will be written over them: in the first block those before `from`,
 * and in the last one those from `to` on. `ended` gets the error, or whether a read reached past the end of the file.
 */
export function completeBlocks(
  file: OpenFile,
  { memory: { bytes }, length, position }: TransferRange,
  from: number,
  to: number,
  ended: Ended<boolean>,
): void {
  const { blockSize } = file;
  const end = position + length;
  const last = end - blockSize;
  const readBlock = (base: number, next: (isShort: boolean) => void) => {
    const take = (read: Bytes) => {
      if (base === position) bytes.set(read.subarray(0, Math.max(0, from - base)));
      if (base === last) bytes.set(read.subarray(to - base), to - position);
      return read.length < blockSize;
    };
    readPooled(file, base, blockSize, take, (isShort) => {
      if (isShort instanceof Error) return ended(isShort);
      if (isShort) file.length.noteEnd();
      next(isShort);
    });
  };
  const completeLast = () => to < end ? readBlock(last, ended) : ended(false);
  if (from <= position) completeLast();
  // A single block is read once.
  else readBlock(position, last === position ? ended : completeLast);
}
