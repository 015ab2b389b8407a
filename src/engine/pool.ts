// The memory of I/O buffers: a few large mappings, divided into blocks. Blocks are reused, because the first touch of
// fresh memory costs more than writing it to a disk (0.5 to 2.8 ms a MiB). Large ones may have huge pages.

import { memoryAt } from "../../ffi/address.ts";
import type { Shim } from "../../ffi/shim.ts";
import type { KernelRing } from "./kernel_ring.ts";
import type { Bytes, Memory } from "./operation.ts";

const PAGE = 4096;
const MIB = 1 << 20;

/** Blocks up to this size come from mappings without huge pages, because a small file touches only a page or two. */
const MAX_SMALL = 64 * 1024;
/** The number of blocks of a mapping, within these sizes. A larger block has a separate mapping. */
const BLOCKS_PER_SLAB = 8;
const MIN_SLAB = 512 * 1024;
const MAX_SLAB = 8 * MIB;

/** Unused mappings are kept for reuse up to this many bytes. Further ones are unmapped. */
const MAX_IDLE = 32 * MIB;

/** A mapping is registered when acquired this often. It takes 14 ms, and saves 19 µs a MiB without huge pages. */
const REGISTER_AFTER = 64;

/** The block size for `size` bytes: whole pages, in four steps for each power of two. At most a fifth is unused. */
export function sizeClass(size: number): number {
  const step = size <= 8 * PAGE ? PAGE : 2 ** (Math.ceil(Math.log2(size)) - 3);
  return Math.max(PAGE, Math.ceil(size / step) * step);
}

/** A mapping of blocks of one size. */
class Slab {
  readonly free: PoolBlock[] = [];
  /** Blocks in use. */
  used = 0;
  /** The bytes of all acquired blocks, in total. */
  acquired = 0;
  registration = -1;

  constructor(
    readonly address: number,
    readonly length: number,
    readonly blockSize: number,
    readonly buffer: ArrayBuffer,
  ) {}
}

const hasRoom = ({ used, blockSize, length }: Slab) => used * blockSize < length;

class PoolBlock implements Memory {
  readonly address: number;
  readonly bytes: Bytes;
  /** Guards against a second release, which would give the same memory to two owners. */
  inUse = false;

  /** A new block of a mapping whose other blocks are all in use. */
  constructor(readonly slab: Slab) {
    const offset = slab.used * slab.blockSize;
    this.address = slab.address + offset;
    this.bytes = new Uint8Array(slab.buffer, offset, slab.blockSize);
  }

  get registration(): number {
    return this.slab.registration;
  }
}

export class Pool {
  readonly #slabs = new Map<number, Slab[]>();
  mapped = 0;
  /** Bytes of blocks in use. */
  used = 0;
  /** Blocks in use. */
  blocks = 0;
  #idle = 0;

  constructor(readonly shim: Shim, readonly ring?: KernelRing) {}

  acquire(size: number): Memory {
    const blockSize = sizeClass(size);
    // The last slab with a free block comes first, so that older ones can drain and be unmapped.
    const slab = this.#slabs.get(blockSize)?.findLast(hasRoom) ?? this.#map(blockSize);
    const block = slab.free.pop() ?? new PoolBlock(slab);
    if (slab.used++ === 0) this.#idle -= slab.length;
    block.inUse = true;
    slab.acquired += blockSize;
    // A mapping is a whole number of blocks, so this holds once.
    if (this.ring && slab.acquired === REGISTER_AFTER * slab.length) {
      slab.registration = this.ring.registerBuffer(slab.address, slab.length);
    }
    this.used += blockSize;
    this.blocks++;
    return block;
  }

  release(block: Memory): void {
    if (!(block instanceof PoolBlock) || !block.inUse) {
      throw new Error("Cannot release a block that is not in use");
    }
    block.inUse = false;
    const { slab } = block;
    slab.free.push(block);
    this.used -= slab.blockSize;
    this.blocks--;
    // After dispose() the mapping is gone.
    if (--slab.used > 0 || slab.buffer.detached) return;
    this.#idle += slab.length;
    if (this.#idle > MAX_IDLE) this.#drop(slab);
  }

  #map(blockSize: number): Slab {
    const wanted = Math.min(Math.max(BLOCKS_PER_SLAB * blockSize, MIN_SLAB), MAX_SLAB);
    const length = Math.max(1, Math.floor(wanted / blockSize)) * blockSize;
    const address = this.shim.dma_map(length, blockSize <= MAX_SMALL ? 0 : 1);
    if (address < 0) {
      throw new RangeError(`Cannot map ${length} bytes for I/O buffers (os error ${-address})`);
    }
    const slab = new Slab(address, length, blockSize, memoryAt(address, length));
    this.#slabs.getOrInsertComputed(blockSize, () => []).push(slab);
    this.mapped += length;
    this.#idle += length;
    return slab;
  }

  #drop(slab: Slab): void {
    const slabs = this.#slabs.get(slab.blockSize)!;
    slabs.splice(slabs.indexOf(slab), 1);
    if (slab.registration >= 0) this.ring!.unregisterBuffer(slab.registration);
    this.#idle -= slab.length;
    // Detached first, so that any remaining view is empty.
    slab.buffer.transfer();
    this.shim.dma_unmap(slab.address, slab.length);
    this.mapped -= slab.length;
  }

  /** Unmaps everything. Views become empty. No operation may be in flight. */
  dispose(): void {
    for (const slab of [...this.#slabs.values()].flat()) this.#drop(slab);
  }
}
