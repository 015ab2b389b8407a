// The memory that I/O goes through. What is in it shows when somebody uses it who should not.

import type { Block } from "../../../src/engine/operation.ts";
import { sizeClass } from "../../../src/engine/pool.ts";

/** Fresh memory is never zeros: padding with what was in it must show. */
const FRESH = 0xa5;
/** Memory that was given back. */
const STALE = 0xdd;

interface SimulatedBlock extends Block {
  /** Bytes that were asked for. */
  requested: number;
}

/** Hands out blocks. The last one that came back goes out first, so that its last user would be seen. */
export class SimulatedMemory {
  readonly #free = new Map<number, SimulatedBlock[]>();
  readonly #out = new Set<Block>();
  #nextAddress = 1 << 20;
  /** Bytes of blocks that are out, but for those of less than a sector: stats and the like. */
  bytesForData = 0;

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
    block.requested = requested;
    block.bytes.fill(FRESH);
    this.#out.add(block);
    if (isForData(block)) this.bytesForData += requested;
    return block;
  }

  #make(size: number): SimulatedBlock {
    const address = this.#nextAddress;
    this.#nextAddress += size;
    return { bytes: new Uint8Array(size), address, registration: -1, size, requested: size };
  }

  /** Takes a block back. False where it was not out. */
  release(block: Block): boolean {
    if (!this.#out.delete(block)) return false;
    const known = block as SimulatedBlock;
    if (isForData(known)) this.bytesForData -= known.requested;
    block.bytes.fill(STALE);
    const free = this.#free.get(block.size);
    if (free) free.push(known);
    else this.#free.set(block.size, [known]);
    return true;
  }
}

function isForData({ requested }: SimulatedBlock): boolean {
  return requested >= 512;
}
