// The first and the last block of a writer. Their other bytes are read from the file and written again.

import { alignDown } from "../align.ts";
import type { TransferRange } from "../engine/operation.ts";
import type { DmaError } from "../errors.ts";
import { type FileBlock, submitBlockRead } from "../file/block.ts";
import type { OpenFile } from "../file/open_file.ts";

/** Completes the writes of a writer with the file's own bytes. */
export class EdgeBlocks {
  readonly #file: OpenFile;

  /** `start` is the writer's first position. */
  constructor(file: OpenFile, readonly start: number) {
    this.#file = file;
  }

  /**
   * Completes a write whose data ends at `dataEnd`: before the start, and past the data. The bytes are read for each
   * write, because another program may have changed them since the last one.
   */
  complete(
    { memory, length, position }: TransferRange,
    dataEnd: number,
    ended: (error?: DmaError) => void,
  ): void {
    const end = position + length;
    const { blockSize, length: { contentEnd } } = this.#file;
    const startsAt = Math.min(this.start, end);
    const endsAt = dataEnd < contentEnd ? dataEnd : end;
    const fill = (from: number, to: number, next: (block: FileBlock) => void) => {
      const base = alignDown(from, blockSize);
      submitBlockRead(this.#file, base, (block) => {
        if (block instanceof Error) return ended(block);
        memory.bytes.set(block.bytes.subarray(from - base, to - base), from - position);
        next(block);
      });
    };
    const fillEnd = () => endsAt < end ? fill(endsAt, end, () => ended()) : ended();
    if (startsAt <= position) return fillEnd();
    fill(position, startsAt, ({ bytes }) => {
      if (length > blockSize) return fillEnd();
      // One block is read once.
      memory.bytes.set(bytes.subarray(endsAt - position), endsAt - position);
      ended();
    });
  }
}
