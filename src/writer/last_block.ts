// The bytes of the file that follow the data in the last block of a write.

import { alignDown } from "../align.ts";
import type { DmaError } from "../errors.ts";
import { type FileBlock, readBlock } from "../file/block.ts";
import type { OpenFile } from "../file/open_file.ts";

const NO_BYTES = new Uint8Array(0);

/** A block as it stands in the file. */
interface KnownBlock {
  readonly position: number;
  readonly bytes: Uint8Array;
}

/** The last block of what a writer has accepted. */
export class LastBlock {
  readonly #file: OpenFile;
  /** The block as it was before anything was written to it. */
  #known: KnownBlock | undefined;
  #reading = false;
  /** The least that the file was truncated to since the block was read. */
  #truncatedTo = Infinity;

  constructor(file: OpenFile) {
    this.#file = file;
  }

  /** Whether a block is being read. */
  get reading(): boolean {
    return this.#reading;
  }

  /** What goes behind `end`, to the end of its block. */
  padding(end: number): Uint8Array {
    const { blockSize } = this.#file;
    const inside = end % blockSize;
    if (inside === 0) return NO_BYTES;
    return this.#known?.position === end - inside
      ? this.#known.bytes.subarray(inside)
      : new Uint8Array(blockSize - inside);
  }

  /** Whether the block of `end` has content behind `end` that was not read yet. */
  lacks(end: number): boolean {
    const inside = end % this.#file.blockSize;
    const isKnown = this.#known?.position === end - inside;
    return inside > 0 && end < this.#file.length.contentEnd && !isKnown;
  }

  /** Reads the block of `end`. `ended` gets the error, if any. One read at a time. */
  read(end: number, ended: (error: DmaError | undefined) => void): void {
    const file = this.#file;
    const position = alignDown(end, file.blockSize);
    const { contentEnd } = file.length;
    readBlock(file, position, (block) => {
      this.#reading = false;
      const failed = block instanceof Error;
      if (!failed) this.#learn(position, contentEnd, block);
      ended(failed ? block : undefined);
    });
    this.#reading = true;
    this.#truncatedTo = Infinity;
  }

  /** What a file that ended at `contentEnd` does not have of the block is zeros. */
  #learn(position: number, contentEnd: number, { bytes, length }: FileBlock): void {
    this.#known = { position, bytes };
    if (length < bytes.length) this.#file.length.shrank(contentEnd, position + length);
  }

  /** The file was truncated to `length`: what was read of it behind that is zeros now. */
  truncated(length: number): void {
    this.#truncatedTo = Math.min(this.#truncatedTo, length);
    this.#known = undefined;
  }

  /** Where such zeros begin. */
  get truncatedTo(): number {
    return this.#truncatedTo;
  }
}
