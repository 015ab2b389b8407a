// The policy for writes that extend a file. On ext4 every write that moves the end of file runs alone, so
// write-behind buys nothing; the end of file is therefore moved ahead of the writes in steps of a
// size-changing fallocate, early and on a kernel thread, and the file is cut back in the end.

import { type Engine, run } from "../engine/engine.ts";
import { Errno } from "../engine/linux.ts";
import type { Completion } from "../engine/operation.ts";
import { type DmaError, ioError } from "../errors.ts";

const MIB = 1 << 20;

/** The end is moved from this length on: small files must not pay for what large ones need. */
const FROM: number = 8 * MIB;
/**
 * A step is a part of the length so far: many writers at once must not fill the disk with what they only reserve.
 * Larger steps than the largest stall fragmented file systems for longer than they save.
 */
const PART = 4;
const SMALLEST_STEP: number = 4 * MIB;
const LARGEST_STEP: number = 64 * MIB;

/** What {@linkcode EndOfFile} is made of. */
export interface EndOfFileOptions {
  engine: Engine;
  fd: number;
  /** For messages. */
  path: string;
  /** The length of the file now. */
  size: number;
  /** Where the writes start. */
  start: number;
  /** Whether to move the end ahead at all. */
  ahead: boolean;
  /** Where the writes are expected to end; 0 where nobody knows. */
  expectedEnd: number;
  /** Called when a step is over. */
  settled: () => void;
}

/** Keeps the end of a file ahead of its writes, and knows how long the file may have become. */
export class EndOfFile implements Completion {
  readonly #engine: Engine;
  readonly #fd: number;
  readonly #path: string;
  readonly #settled: () => void;
  #ahead: boolean;
  #expectedEnd: number;
  /** Space is there up to here, or is being made. */
  #reserved: number;
  /** Where the furthest write ends. */
  #written = 0;
  /** Where the step starts that is with the kernel. */
  #from = 0;
  /** A step or a cut is with the kernel. */
  busy = false;
  /** The file is no longer than this on disk. */
  longest: number;

  constructor(options: EndOfFileOptions) {
    this.#engine = options.engine;
    this.#fd = options.fd;
    this.#path = options.path;
    this.#ahead = options.ahead;
    this.#expectedEnd = options.expectedEnd;
    // A hole before the first byte stays one.
    this.#reserved = Math.max(options.size, options.start);
    this.longest = options.size;
    this.#settled = options.settled;
  }

  /** To be called before a write up to `end` is queued. */
  beforeWrite(end: number): void {
    this.longest = Math.max(this.longest, end);
    this.#written = Math.max(this.#written, end);
    this.#keepAhead();
  }

  #keepAhead(): void {
    if (!this.#ahead || this.busy) return;
    const end = this.#written;
    if (this.#expectedEnd > this.#reserved) {
      this.#reserve(this.#expectedEnd);
      return;
    }
    // Where a size was hinted, steps are for what goes well beyond it.
    if (end < this.#expectedEnd + FROM) return;
    const step = Math.min(Math.max(Math.ceil(end / PART / MIB) * MIB, SMALLEST_STEP), LARGEST_STEP);
    // Early: half a step is left when the next one is asked for.
    if (this.#reserved - end >= step / 2) return;
    // What is being written already makes its own space.
    this.#reserved = Math.max(this.#reserved, end);
    this.#reserve(this.#reserved + step);
  }

  #reserve(end: number): void {
    const from = this.#reserved;
    this.#from = from;
    this.busy = true;
    this.#reserved = end;
    this.longest = Math.max(this.longest, end);
    this.#engine.submit(
      { op: "allocate", fd: this.#fd, mode: 0, position: from, length: end - from },
      this,
    );
  }

  /** A step is over. Its failure fails nothing: the writes will say what is really wrong. */
  complete(result: number): void {
    this.busy = false;
    if (result < 0) {
      // A failed fallocate may have made the file longer all the same (ext4, on a full disk), so `longest` stays.
      this.#reserved = this.#from;
      if (result !== -Errno.EINTR) this.#ahead = false;
    }
    // The writes may have come near the end while it was moved.
    this.#keepAhead();
    this.#settled();
  }

  /** No further steps: what follows must leave an exact length. */
  stop(): void {
    this.#ahead = false;
  }

  /** Cuts the file to `length`. To be called when no write or step is in flight. Resolves to the error, if any. */
  async cut(length: number): Promise<DmaError | undefined> {
    this.busy = true;
    const queued = run(this.#engine, { op: "truncate", fd: this.#fd, length });
    this.#engine.flush();
    const result = await queued;
    this.busy = false;
    if (result < 0) return ioError(-result, "truncate", this.#path);
    this.noteCut(length);
    return undefined;
  }

  /** The file was cut to `length`. */
  noteCut(length: number): void {
    this.longest = length;
    this.#reserved = length;
  }
}
