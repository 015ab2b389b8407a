// What a block is filled up with in which the bytes end that are written: zeros, or what stands there in the file
// already and is to stay.

import { type Engine, outcome } from "../engine/engine.ts";
import { type DmaError, Errno, ioError } from "../errors.ts";

/** Reads that bring too little before it is an error. */
const PATIENCE = 3;

/** What {@linkcode Padding} is made of. */
export interface PaddingOptions {
  engine: Engine;
  fd: number;
  /** For messages. */
  path: string;
  alignment: number;
  /** Below it the file has bytes of its own. */
  keep: number;
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
    return inside > 0 && end < keep && this.#known?.position !== end - inside;
  }

  /** Reads what stands behind `end`. Resolves to the error, if there is one. */
  async read(end: number): Promise<DmaError | undefined> {
    const { engine, fd, path, alignment, keep } = this.#options;
    const position = end - end % alignment;
    const wanted = Math.min(alignment, keep - position);
    const memory = engine.acquire(alignment);
    this.reading = true;
    let result = 0;
    // A file system may give less than it has (FUSE does): that is no reason to write zeros over the rest.
    for (let attempt = 0; attempt <= PATIENCE; attempt++) {
      const read = outcome((done) => engine.read(fd, memory, 0, alignment, position, done));
      engine.submit();
      result = await read;
      if (result >= wanted) break;
      if (result < 0 && result !== -Errno.EINTR && result !== -Errno.EAGAIN) break;
    }
    if (result >= wanted) {
      memory.bytes.fill(0, result, alignment);
      this.#known = { position, bytes: memory.bytes.slice(0, alignment) };
    }
    engine.release(memory);
    this.reading = false;
    if (result >= wanted) return undefined;
    if (result < 0) return ioError(-result, "read", path);
    const detail = `only ${result} of ${wanted} bytes at ${position} can be read`;
    return ioError(Errno.EIO, "read", path, detail);
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
