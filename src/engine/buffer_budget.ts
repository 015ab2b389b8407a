// The memory that streams share which leave the size and number of their buffers to this module. One stream is fastest
// with a few large buffers; a thousand of them would hold gigabytes, of which the disk could use a hundredth.

const MIB = 1 << 20;

/**
 * Bytes that such streams may hold before each makes do with less, unless told otherwise. Measured: 1,000 writers reach
 * 1,036 MiB/s with 64 MiB, 768 with 256 MiB and 331 without a limit (bench/FINDINGS.md).
 */
export const DEFAULT_BUFFER_BUDGET: number = 64 * MIB;

/** Bytes of the one buffer that a stream has while the budget is spent. A thousand streams hold 250 MiB then. */
export const CROWDED_BUFFER_SIZE: number = 256 * 1024;

/** Counts what streams hold, and says when it is too much. Nobody ever waits for it: each stream has one buffer. */
export class BufferBudget {
  /** Bytes that may be held before it is {@linkcode crowded}. */
  readonly bytes: number;
  /** Bytes that are held. */
  held = 0;

  constructor(bytes: number = DEFAULT_BUFFER_BUDGET) {
    this.bytes = bytes;
  }

  /** Whether streams should make do with one small buffer each. */
  get crowded(): boolean {
    return this.held >= this.bytes;
  }

  /** How large a buffer should be now that is to have `size` bytes, in blocks of `alignment`. */
  sizeNow(size: number, alignment: number): number {
    const small = Math.max(CROWDED_BUFFER_SIZE, alignment);
    return this.crowded ? Math.min(small, size) : size;
  }

  /** A stream has so many bytes more. */
  take(bytes: number): void {
    this.held += bytes;
  }

  /** A stream has so many bytes less. */
  giveBack(bytes: number): void {
    this.held -= bytes;
  }
}
