// One buffer of a writer: filled from the front, written as a whole or in parts while filling goes on, and given
// back with its last part.

import type { Engine } from "../engine/engine.ts";
import type { Block } from "../engine/operation.ts";
import type { Piece } from "./write_line.ts";

/** A buffer that is being filled. */
export class WriteBuffer {
  readonly #engine: Engine;
  readonly #freed: () => void;
  #block: Block;
  /** Parts that are not whole yet. While there are any, the block stays. */
  #parts = 0;
  #retired = false;
  /** Where its first byte goes; aligned. */
  readonly base: number;
  /** What it is filled into. */
  bytes: Uint8Array<ArrayBuffer>;
  /** How much goes in. */
  capacity: number;
  /** Bytes in it. */
  fill = 0;
  /** Bytes of it that have been written or are being written, in whole blocks. */
  begun = 0;

  /** Takes memory for `capacity` bytes, which go to `base`. `freed` is called when it is given back. */
  constructor(engine: Engine, capacity: number, base: number, freed: () => void) {
    this.#engine = engine;
    this.#freed = freed;
    this.#block = engine.acquire(capacity);
    this.bytes = this.#block.bytes;
    this.capacity = capacity;
    this.base = base;
  }

  /** Where the next byte goes. */
  get end(): number {
    return this.base + this.fill;
  }

  /** Makes it larger. False where the kernel has a part of it. */
  grow(capacity: number): boolean {
    if (this.#parts > 0) return false;
    const block = this.#engine.acquire(capacity);
    block.bytes.set(this.bytes.subarray(this.begun, this.fill), this.begun);
    this.#engine.release(this.#block);
    this.#block = block;
    this.bytes = block.bytes;
    this.capacity = capacity;
    return true;
  }

  /** What was filled in since the last part, up to `to` and padding included, to be written in place. */
  part(to: number): Piece {
    const { begun: offset, base, fill } = this;
    this.#parts++;
    this.begun = Math.min(to, fill);
    return {
      memory: this.#block,
      offset,
      length: to - offset,
      position: base + offset,
      dataEnd: base + this.begun,
      release: () => {
        this.#parts--;
        this.#free();
      },
    };
  }

  /** Nothing more is filled in: the memory goes back with the last part. */
  retire(): void {
    this.#retired = true;
    this.#free();
  }

  #free(): void {
    if (!this.#retired || this.#parts > 0) return;
    this.#engine.release(this.#block);
    this.#freed();
  }
}
