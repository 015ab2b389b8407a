// The memory of I/O. Its contents reveal a use of memory that was not allocated or is already released.

import type { Block } from "../../../src/engine/operation.ts";
import { sizeClass } from "../../../src/engine/pool.ts";

/** Fresh memory has no zeros, so that padding with old contents is detected. */
const FRESH = 0xa5;
/** The byte of released memory. */
const STALE = 0xdd;

/** Allocates blocks. The last released block is allocated first, so that a late use by its former owner is detected. */
export class SimulatedMemory {
  #next = 1 << 20;
  readonly #free = new Map<number, Block[]>();
  /** The allocated blocks, and their requested sizes. */
  readonly #out = new Map<Block, number>();
  /** The bytes of allocated blocks, except those smaller than a sector, such as results of stat. */
  bytesForData = 0;

  /** The number of allocated blocks. */
  get blocks(): number {
    return this.#out.size;
  }

  /** Whether a block was released, and not allocated again. */
  isFree(block: Block): boolean {
    return this.#free.get(block.bytes.length)?.includes(block) === true;
  }

  /** Addresses are the same in each run. */
  #new(size: number): Block {
    const address = this.#next;
    this.#next += size;
    return { bytes: new Uint8Array(size), address, registration: -1 };
  }

  acquire(requested: number): Block {
    const size = sizeClass(requested);
    const block = this.#free.get(size)?.pop() ?? this.#new(size);
    block.bytes.fill(FRESH);
    this.#out.set(block, requested);
    if (isForData(requested)) this.bytesForData += requested;
    return block;
  }

  /** Releases a block. Returns false if it was not allocated. */
  release(block: Block): boolean {
    const requested = this.#out.get(block);
    if (requested === undefined) return false;
    this.#out.delete(block);
    if (isForData(requested)) this.bytesForData -= requested;
    block.bytes.fill(STALE);
    const free = this.#free.get(block.bytes.length);
    if (free) free.push(block);
    else this.#free.set(block.bytes.length, [block]);
    return true;
  }
}

function isForData(requested: number): boolean {
  return requested >= 512;
}
