// When the end of file moves ahead of the writes. On ext4 every write that moves the end of file runs alone, so write-behind
// would gain nothing. So the end is moved in steps, by a size-changing fallocate on a kernel thread, and the file is cut when
// the writer ends.

import { alignUp } from "../align.ts";
import { Errno } from "../engine/linux.ts";

const MIB = 1 << 20;

/** The least length at which the end is moved: small files gain nothing. */
const FROM: number = 8 * MIB;
/**
 * A step is a part of the length so far, so that many writers at once do not fill the disk with reservations. Steps
 * above the maximum stall fragmented file systems for longer than they save.
 */
const PART = 4;
const SMALLEST_STEP: number = 4 * MIB;
const LARGEST_STEP: number = 64 * MIB;

/** Decides when the end of a file moves ahead, and how far. */
export class Preallocator {
  #enabled: boolean;
  readonly #expectedEnd: number;
  #running = false;

  /** `expectedEnd` is where the writes are expected to end, or 0. */
  constructor(enabled: boolean, expectedEnd: number) {
    this.#enabled = enabled;
    this.#expectedEnd = expectedEnd;
  }

  /**
   * The next allocation, which must be {@linkcode end | ended}; undefined if none is due. The bytes before `flushed` are
   * in the file, `written` is where the furthest write ends, `size` the length that the file has, or is being given.
   * The allocation begins at the writes in flight: if the disk has no room for all of it, they get what there is.
   */
  next(
    flushed: number,
    written: number,
    size: number,
  ): { readonly position: number; readonly length: number } | undefined {
    if (!this.#enabled || this.#running || written === 0) return undefined;
    const end = this.#nextEnd(written, size);
    if (end <= size) return undefined;
    this.#running = true;
    return { position: flushed, length: end - flushed };
  }

  #nextEnd(written: number, size: number): number {
    if (this.#expectedEnd > size) return this.#expectedEnd;
    // With a size hint, steps are only for writes well beyond it.
    if (written < this.#expectedEnd + FROM) return 0;
    const part = alignUp(written / PART, MIB);
    const step = Math.min(Math.max(part, SMALLEST_STEP), LARGEST_STEP);
    // Early: the next step starts while half a step is left.
    return size - written >= step / 2 ? 0 : size + step;
  }

  /** An allocation has ended. Its failure is ignored: the writes report the real error. */
  end(result: number): void {
    this.#running = false;
    if (result < 0 && result !== -Errno.EINTR) this.#enabled = false;
  }

  /** Stops further steps: the file is about to get its exact length. */
  stop(): void {
    this.#enabled = false;
  }
}
