// The memory budget of streams with default buffers. One stream is fastest with a few large buffers. A thousand streams
// would hold gigabytes, of which the disk can use a hundredth at a time.

import { alignUp } from "../align.ts";

/** In bytes. Measured: 1,000 writers reach 1,036 MiB/s with 64 MiB, 768 with 256 MiB, and 331 without a limit. */
export const DEFAULT_BUFFER_BUDGET: number = 64 << 20;

/** The size of a stream's only buffer while the budget is spent. A thousand streams then hold 250 MiB. */
export const CROWDED_BUFFER_SIZE: number = 256 << 10;

/** Counts the memory of streams against the budget. No stream waits for memory: each may always have one buffer. */
export class BufferBudget {
  /** The bytes of the buffers in use. Streams add and subtract those of their own. */
  held = 0;

  constructor(readonly bytes: number = DEFAULT_BUFFER_BUDGET) {}

  get crowded(): boolean {
    return this.held >= this.bytes;
  }

  /** The size that a buffer of `size` bytes should have now, in blocks of `alignment`. */
  sizeNow(size: number, alignment: number): number {
    return this.crowded ? Math.min(alignUp(CROWDED_BUFFER_SIZE, alignment), size) : size;
  }
}

/** For streams that do not share memory. */
export const UNLIMITED = new BufferBudget(Infinity);
