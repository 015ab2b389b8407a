// The memory that I/O goes through. What is in it shows when somebody uses it who should not.

import type { Block } from "../../../src/engine/operation.ts";
import { sizeClass } from "../../../src/engine/pool.ts";

/** Fresh memory is never zeros: padding with what was in it must show. */
const FRESH = 0xa5;
/** Memory that was given back. */
const STALE = 0xdd;

/** Hands out blocks. The last one that came back goes out first, so that its last user would be seen. */
export class SimulatedMemory {
  readonly #free = new Map<number, Block[]>();
  /** Blocks that are out, and bytes that were asked for. */
  readonly #out = new Map<Block, number>();
  readonly #make: (size: number) => Block;
  /** Bytes of blocks that are out, but for those of less than a sector: stats and the like. */
  bytesForData = 0;

  constructor(make: (size: number) => Block = simulatedMemory()) {
    this.#make = make;
  }

  /** Blocks that are out. */
  get blocks(): number {
    return this.#out.size;
  }

  isOut(block: object): boolean {
    return this.#out.has(block as Block);
  }

  acquire(requested: number): Block {
    const size = sizeClass(requested);
    const block = this.#free.get(size)?.pop() ?? this.#make(size);
    block.bytes.fill(FRESH);
    this.#out.set(block, requested);
    if (isForData(requested)) this.bytesForData += requested;
    return block;
  }

  /** Takes a block back. False where it was not out. */
  release(block: Block): boolean {
    const requested = this.#out.get(block);
    if (requested === undefined) return false;
    this.#out.delete(block);
    if (isForData(requested)) this.bytesForData -= requested;
    block.bytes.fill(STALE);
    const free = this.#free.get(block.size);
    if (free) free.push(block);
    else this.#free.set(block.size, [block]);
    return true;
  }

  /** Everything that was ever made. Nobody may use it any more. */
  all(): Block[] {
    return [...this.#out.keys(), ...[...this.#free.values()].flat()];
  }
}

/** Memory at addresses that are the same in each run. */
function simulatedMemory(): (size: number) => Block {
  let next = 1 << 20;
  return (size) => {
    const address = next;
    next += size;
    return { bytes: new Uint8Array(size), address, registration: -1, size };
  };
}

function isForData(requested: number): boolean {
  return requested >= 512;
}
