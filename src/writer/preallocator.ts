// The policy for writes that extend a file. On ext4 every write that moves the end of file runs alone, so write-behind
// buys nothing; the end of file is therefore moved ahead of the writes in steps of a size-changing fallocate, early and on
// a kernel thread, and the file is cut back in the end.

import { Errno } from "../engine/linux.ts";

const MIB = 1 << 20;

/** The end is moved from this length on: small files must not pay for what large ones need. */
const FROM: number = 8 * MIB;
/**
 * A step is a part of the length so far: many writers at once must not fill the disk with what they only reserve. Larger
 * steps than the largest stall fragmented file systems for longer than they save.
 */
const PART = 4;
const SMALLEST_STEP: number = 4 * MIB;
const LARGEST_STEP: number = 64 * MIB;

/** A part of the file that is to be allocated. */
export interface Allocation {
  readonly position: number;
  readonly length: number;
}

/** Decides when the end of a file moves ahead, and how far. */
export class Preallocator {
  #enabled: boolean;
  readonly #expectedEnd: number;
  #running = false;

  /** `expectedEnd` is where the writes are expected to end; 0 where nobody knows. */
  constructor(enabled: boolean, expectedEnd: number) {
    this.#enabled = enabled;
    this.#expectedEnd = expectedEnd;
  }

  /**
   * The next allocation, which must be {@linkcode end | ended}; undefined where none is due. The bytes before `flushed` are
   * in the file, `written` is where the furthest write ends, `size` the length that the file has, or is being given. The
   * allocation begins with the writes in flight: where the disk has no room for all of it, they get what there is.
   */
  next(flushed: number, written: number, size: number): Allocation | undefined {
    if (!this.#enabled || this.#running || written === 0) return undefined;
    const end = this.#nextEnd(written, size);
    if (end <= size) return undefined;
    this.#running = true;
    return { position: flushed, length: end - flushed };
  }

  #nextEnd(written: number, size: number): number {
    if (this.#expectedEnd > size) return this.#expectedEnd;
    // Where a size was hinted, steps are for what goes well beyond it.
    if (written < this.#expectedEnd + FROM) return 0;
    const part = Math.ceil(written / PART / MIB) * MIB;
    const step = Math.min(Math.max(part, SMALLEST_STEP), LARGEST_STEP);
    // Early: half a step is left when the next one is asked for.
    return size - written >= step / 2 ? 0 : size + step;
  }

  /** An allocation is over. Its failure fails nothing: the writes will say what is really wrong. */
  end(result: number): void {
    this.#running = false;
    if (result < 0 && result !== -Errno.EINTR) this.#enabled = false;
  }

  /** No further steps: what follows must leave an exact length. */
  stop(): void {
    this.#enabled = false;
  }
}
