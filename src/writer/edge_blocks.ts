// The first and the last block of a writer. Their other bytes are read from the file and written again.

import { alignDown } from "../align.ts";
import type { TransferRange } from "../engine/operation.ts";
import type { DmaError } from "../errors.ts";
import { type FileBlock, submitBlockRead } from "../file/block.ts";
import type { OpenFile } from "../file/open_file.ts";

interface KnownBlock extends FileBlock {
  readonly position: number;
  /** The changes by other handles that had ended when the read began. */
  readonly changesOfOthers: number;
}

/** Completes the writes of a writer with the file's own bytes. */
export class EdgeBlocks {
  readonly #file: OpenFile;
  #known: KnownBlock | undefined;
  /** The writer's own changes to the file. */
  ownChanges = 0;

  /** `start` is the writer's first position. */
  constructor(file: OpenFile, readonly start: number) {
    this.#file = file;
  }

  /** Completes a write whose data ends at `dataEnd`: before the start, and past the data. */
  complete(
    { memory, length, position }: TransferRange,
    dataEnd: number,
    ended: (error?: DmaError) => void,
  ): void {
    const end = position + length;
    const { contentEnd } = this.#file.length;
    const fill = (from: number, to: number, next: (error?: DmaError) => void) => {
      if (from >= to) return next();
      this.#read(from, (block) => {
        if (block instanceof Error) return ended(block);
        const bytes = block.bytes.subarray(from - block.position, to - block.position);
        memory.bytes.set(bytes, from - position);
        next();
      });
    };
    const fillEnd = () => fill(dataEnd, dataEnd < contentEnd ? end : 0, ended);
    fill(position, Math.min(this.start, end), fillEnd);
  }

  /** Reads the block that contains `at`, unless it was read before and only this writer has changed the file since. */
  #read(at: number, ended: (block: KnownBlock | DmaError) => void): void {
    const file = this.#file;
    const position = alignDown(at, file.blockSize);
    const changesOfOthers = file.durability.changes - this.ownChanges;
    const known = this.#known;
    if (known?.position === position && known.changesOfOthers === changesOfOthers) {
      return ended(known);
    }
    submitBlockRead(file, position, (block) => {
      if (block instanceof Error) return ended(block);
      ended(this.#known = { ...block, position, changesOfOthers });
    });
  }
}
