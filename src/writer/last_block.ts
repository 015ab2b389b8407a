// The bytes of the file that follow the data in the last block of a write.

import { alignDown } from "../align.ts";
import type { DmaError } from "../errors.ts";
import { readBlock } from "../file/block.ts";
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

  /** What goes behind `end`, to the end of its block; undefined if that must be read first. */
  padding(end: number): Uint8Array | undefined {
    const { blockSize, length } = this.#file;
    const inside = end % blockSize;
    if (inside === 0) return NO_BYTES;
    if (this.#known?.position === end - inside) return this.#known.bytes.subarray(inside);
    return end < length.contentEnd ? undefined : new Uint8Array(blockSize - inside);
  }

  /** Reads the block of `end`. `ended` gets the error, if any. One read at a time. */
  read(end: number, ended: (error: DmaError | undefined) => void): void {
    const { blockSize, length } = this.#file;
    const position = alignDown(end, blockSize);
    const { contentEnd } = length;
    readBlock(this.#file, position, (block) => {
      this.#reading = false;
      if (block instanceof Error) return ended(block);
      this.#known = { position, bytes: block.bytes };
      // What the file does not have of the block is zeros.
      if (block.length < blockSize) length.shrank(contentEnd, position + block.length);
      ended(undefined);
    });
    this.#reading = true;
    this.#truncatedTo = Infinity;
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
