// The partial last block: when it is written before it is full, and which bytes of the file follow the data in it.

import { alignDown, alignUp } from "../align.ts";
import type { DmaError } from "../errors.ts";
import { type FileBlock, readBlock } from "../file/block.ts";
import type { OpenFile } from "../file/open_file.ts";
import type { WriteRequest } from "./write_queue.ts";

const NO_BYTES = new Uint8Array(0);

/** A block as it stands in the file. */
interface KnownBlock {
  readonly position: number;
  readonly bytes: Uint8Array;
}

/** The last block of what a writer has accepted. */
export class Tail {
  readonly #file: OpenFile;
  /** Up to where a caller wants it written. */
  #wanted = -1;
  /** Up to where it was written, or is being written. */
  #begun: number;
  /** A copy of it waits or is in flight. */
  #isCopied = false;
  /** The block as it was before anything was written to it. */
  #known: KnownBlock | undefined;
  #reading = false;
  /** The least that the file was truncated to since the block was read. */
  #truncatedTo = Infinity;

  /** `start` is where the first byte goes. */
  constructor(file: OpenFile, start: number) {
    this.#file = file;
    this.#begun = start;
  }

  // ---- when -------------------------------------------------------------------------------------------------------

  /** A caller wants everything below `position` written. */
  want(position: number): void {
    this.#wanted = Math.max(this.#wanted, position);
  }

  isWanted(position: number): boolean {
    return position <= this.#wanted;
  }

  /** Whether it is to be written now. One copy after the other: they share a block, so they could not fly together. */
  get due(): boolean {
    return this.#wanted > this.#begun && !this.#isCopied;
  }

  /** Everything below `end` is being written. */
  begin(end: number): void {
    this.#begun = end;
  }

  /** Whether everything below `end`, and no more, is written or being written. */
  covers(end: number): boolean {
    return this.#begun === end;
  }

  // ---- what -------------------------------------------------------------------------------------------------------

  /**
   * A write of `bytes`, which end in the last block at `end`, from a copy: filling can go on, and the block is written again
   * with its buffer.
   */
  copy(bytes: Uint8Array, end: number): WriteRequest {
    const { engine, blockSize } = this.#file;
    const length = alignUp(bytes.length, blockSize);
    const memory = engine.acquire(length);
    memory.bytes.set(bytes);
    memory.bytes.set(this.padding(end), bytes.length);
    this.#isCopied = true;
    const release = () => {
      engine.release(memory);
      this.#isCopied = false;
    };
    const position = end - bytes.length;
    return { memory, offset: 0, length, position, dataEnd: end, release };
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

  /** Reads the block of `end`, unless a block is being read. Returns whether it does. `ended` gets the error, if any. */
  read(end: number, ended: (error: DmaError | undefined) => void): boolean {
    if (this.#reading) return false;
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
    return true;
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
