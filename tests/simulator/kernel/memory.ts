// The memory of I/O. Its contents reveal a use of memory that was not allocated or is already released.

import type { Memory } from "../../../src/engine/operation.ts";
import { sizeClass } from "../../../src/engine/pool.ts";

/** Fresh memory has no zeros, so that padding with old contents is detected. */
const FRESH = 0xa5;
/** The byte of released memory. */
const STALE = 0xdd;

/** Smaller blocks are not for data, but for results such as those of stat. */
const LEAST_DATA = 512;

/** Allocates blocks. The last released block is allocated first, so that a late use by its former owner is detected. */
export class SimulatedMemory {
  /** Addresses are the same in each run. */
  #next = 1 << 20;
  readonly #free: Memory[] = [];
  /** The allocated blocks, and their requested sizes. */
  readonly #out = new Map<Memory, number>();

  get blocks(): number {
    return this.#out.size;
  }

  get bytesForData(): number {
    let sum = 0;
    for (const requested of this.#out.values()) if (requested >= LEAST_DATA) sum += requested;
    return sum;
  }

  /** Whether a block was released, and not allocated again. */
  isFree(block: Memory): boolean {
    return this.#free.includes(block);
  }

  acquire(requested: number): Memory {
    const size = sizeClass(requested);
    const at = this.#free.findLastIndex(({ bytes }) => bytes.length === size);
    let [block] = at < 0 ? [] : this.#free.splice(at, 1);
    if (!block) {
      block = { bytes: new Uint8Array(size), address: this.#next, registration: -1 };
      this.#next += size;
    }
    block.bytes.fill(FRESH);
    this.#out.set(block, requested);
    return block;
  }

  /** Releases a block. Returns false if it was not allocated. */
  release(block: Memory): boolean {
    if (!this.#out.delete(block)) return false;
    block.bytes.fill(STALE);
    this.#free.push(block);
    return true;
  }
}
