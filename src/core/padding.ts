// What a block is filled up with in which the bytes end that are written: zeros, or what stands there in the file
// already and is to stay.

import { type Engine, run } from "../engine/engine.ts";
import { Errno } from "../engine/linux.ts";
import type { Memory } from "../engine/operation.ts";
import { type DmaError, ioError } from "../errors.ts";
import { parseStat } from "./stat.ts";

/** Reads that bring too little before it is an error. */
const PATIENCE = 3;

/** What {@linkcode Padding} is made of. */
export interface PaddingOptions {
  engine: Engine;
  fd: number;
  /** For messages. */
  path: string;
  alignment: number;
  /** Below it the file has bytes of its own, now. */
  keep: () => number;
}

/** Fills the last block up. */
export class Padding {
  readonly #options: PaddingOptions;
  /** A block of the file, as it was before anything was written to it. */
  #known: { position: number; bytes: Uint8Array } | undefined;
  /** The file is being read. */
  reading = false;

  constructor(options: PaddingOptions) {
    this.#options = options;
  }

  /** Whether bytes stand behind `end` that would be lost, because nobody has read them yet. */
  lacks(end: number): boolean {
    const { alignment, keep } = this.#options;
    const inside = end % alignment;
    return inside > 0 && end < keep() && this.#known?.position !== end - inside;
  }

  /** Reads what stands behind `end`. Resolves to the error, if there is one. */
  async read(end: number): Promise<DmaError | undefined> {
    const { engine, path, alignment } = this.#options;
    const position = end - end % alignment;
    const memory = engine.acquire(alignment);
    this.reading = true;
    const result = await this.#readBlock(memory, position);
    if (result >= 0) {
      memory.bytes.fill(0, result, alignment);
      this.#known = { position, bytes: memory.bytes.slice(0, alignment) };
    }
    engine.release(memory);
    this.reading = false;
    if (result >= 0) return undefined;
    return ioError(-result, "read", path, `the block at ${position}, which is to stay`);
  }

  /** Reads until the block is in, or what the file has of it. Returns how much that is, or `-errno`. */
  async #readBlock(memory: Memory, position: number): Promise<number> {
    const { engine, fd, alignment } = this.#options;
    for (let attempt = 0; attempt <= PATIENCE; attempt++) {
      const read = run(engine, { op: "read", fd, memory, offset: 0, length: alignment, position });
      engine.flush();
      const result = await read;
      if (result === alignment) return result;
      if (result < 0 && result !== -Errno.EINTR && result !== -Errno.EAGAIN) return result;
      // A file system may give less than it has (FUSE does): that is no reason to write zeros over the rest.
      const size = await this.#size();
      if (size < 0) return size;
      if (result >= 0 && position + result >= size) return result;
    }
    return -Errno.EIO;
  }

  /** The length of the file, or `-errno`. */
  async #size(): Promise<number> {
    const { engine, fd } = this.#options;
    const memory = engine.acquire(256);
    const stated = run(engine, { op: "stat", fd, memory });
    engine.flush();
    const result = await stated;
    const size = result < 0 ? result : Number(parseStat(memory.bytes).size);
    engine.release(memory);
    return size;
  }

  /** Fills `bytes` up, from `used` on, where `end` goes, to the end of that block. */
  apply(bytes: Uint8Array, used: number, end: number): void {
    const { alignment } = this.#options;
    const inside = end % alignment;
    if (inside === 0) return;
    if (this.#known?.position === end - inside) {
      bytes.set(this.#known.bytes.subarray(inside), used);
    } else {
      bytes.fill(0, used, used + alignment - inside);
    }
  }
}
