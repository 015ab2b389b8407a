// Moves bytes between memory and a file. A short transfer is continued, an interrupted one is repeated, and one without
// progress is given up. Every read and write goes through here.

import { alignDown } from "../align.ts";
import { Errno, MAX_TRANSFER, RWF_ATOMIC, RWF_DONTCACHE, RWF_DSYNC } from "../engine/linux.ts";
import type { Block, Completion, TransferRange } from "../engine/operation.ts";
import { type DmaError, ioError } from "../errors.ts";
import { explain, mayBeLonger } from "./file_system.ts";
import type { OpenFile } from "./open_file.ts";
import { type StatFacts, submitStat } from "./stat.ts";

/** Attempts in a row without progress after which a transfer fails. */
const MAX_ATTEMPTS = 8;

const NO_BYTES = new Uint8Array(0);

/** Errors that may pass: they do not concern the file. */
const PASSING: ReadonlySet<number> = new Set([
  Errno.EINTR,
  Errno.EAGAIN,
  Errno.ENOMEM,
  Errno.ECANCELED,
]);

/**
 * One transfer, of a range that suits the file's alignment. It ends with all bytes moved, with the end of the file (reads), or
 * with an error.
 */
export class Transfer implements Completion {
  readonly #file: OpenFile;
  readonly #op: "read" | "write";
  readonly #range: TransferRange;
  #flags: number;
  readonly #ended: Completion;
  /** Bytes moved, from the start, also by a transfer that failed. A part of a block does not count. */
  bytesDone = 0;
  /** The most bytes that were ever moved, parts of blocks included. */
  #furthest = 0;
  #stalled = 0;
  /** Whether a read met the end of the file. */
  endOfFile = false;
  /** Why it failed, and where. */
  error: DmaError | undefined;
  /** Whether the last attempt used Direct I/O. */
  #direct = false;

  /** `ended` gets the bytes moved, or `-errno`, which {@linkcode error} explains. `flags` are `RWF_*` of a write. */
  constructor(
    file: OpenFile,
    op: "read" | "write",
    range: TransferRange,
    ended: Completion,
    flags = 0,
  ) {
    this.#file = file;
    this.#op = op;
    this.#range = range;
    this.#flags = flags | (op === "write" ? file.writeFlags & RWF_DONTCACHE : 0);
    this.#ended = ended;
  }

  /** Whether it is a write that is durable when it is over. */
  get isDurable(): boolean {
    return (this.#flags & RWF_DSYNC) !== 0;
  }

  /** Submits what is left. */
  start(): void {
    const { engine, fd, direct, blockSize } = this.#file;
    const { memory } = this.#range;
    const done = this.bytesDone;
    this.#direct = direct;
    const offset = this.#range.offset + done;
    const length = Math.min(this.#range.length - done, MAX_TRANSFER);
    const position = this.#range.position + done;
    if (this.#op === "read") {
      // A file that is longer is not opened, and the shim takes no range that ends there.
      const most = alignDown(Number.MAX_SAFE_INTEGER - position, blockSize);
      if (most === 0) return this.#askSize(done);
      engine.submit(
        { op: "read", fd, memory, offset, length: Math.min(length, most), position },
        this,
      );
    } else {
      const buffered = !direct;
      const flags = this.#flags;
      engine.submit({ op: "write", fd, memory, offset, length, position, buffered, flags }, this);
    }
  }

  /** The kernel is done with a request. */
  complete(result: number): void {
    if (result < 0) return this.#judgeError(-result);
    const reached = this.bytesDone + result;
    if (reached >= this.#range.length) this.#end(this.#range.length);
    else if (result >= MAX_TRANSFER) this.#continueFrom(reached);
    // A short read is the end of the file, or a file system that returns less than there is, even nothing (FUSE).
    else if (this.#op === "read") this.#askSize(reached);
    else this.#continueFrom(reached);
  }

  #judgeError(errno: number): void {
    if (PASSING.has(errno)) return this.#retry(errno);
    // An atomic write is refused for its own reasons.
    const isAtomic = (this.#flags & RWF_ATOMIC) !== 0;
    const refusesDirect = errno === Errno.EINVAL && this.#direct && !isAtomic;
    if (refusesDirect) return this.#file.leaveDirect() ? this.start() : this.#fail(errno);
    if (errno === Errno.EOPNOTSUPP && this.#leaveFlagOut()) this.start();
    else this.#fail(errno);
  }

  /** Not every file system has RWF_DONTCACHE, nor every gVisor RWF_DSYNC. Returns whether a flag is left out from now on. */
  #leaveFlagOut(): boolean {
    const refused = this.#flags & RWF_DONTCACHE || this.#flags & RWF_DSYNC;
    this.#flags &= ~refused;
    this.#file.writeFlags &= ~refused;
    return refused !== 0;
  }

  /** Continues at the start of the block in which the kernel stopped. */
  #continueFrom(reached: number): void {
    const progress = reached > this.#furthest;
    this.#furthest = Math.max(this.#furthest, reached);
    const before = this.bytesDone;
    this.bytesDone = alignDown(reached, this.#file.blockSize);
    // A write that stops inside the same block again makes no progress.
    if (this.#op === "write" ? this.bytesDone > before : progress) this.#stalled = 0;
    else if (++this.#stalled >= MAX_ATTEMPTS) return this.#fail(Errno.EIO);
    this.#startAfterPause();
  }

  #retry(errno: number): void {
    if (++this.#stalled >= MAX_ATTEMPTS) this.#fail(errno);
    else this.#startAfterPause();
  }

  /** The second attempt follows at once. Each further pause is twice as long. */
  #startAfterPause(): void {
    if (this.#stalled < 2) return this.start();
    const pause = { op: "pause", milliseconds: 2 ** (this.#stalled - 2) } as const;
    this.#file.engine.submit(pause, { complete: () => this.start() });
  }

  #askSize(reached: number): void {
    this.bytesDone = reached;
    submitStat(this.#file.descriptor, false, (facts) => this.#judgeShort(reached, facts));
  }

  #judgeShort(reached: number, facts: StatFacts | DmaError): void {
    if (facts instanceof Error) {
      // Without memory for the answer there is no number.
      const { errno = Errno.ENOMEM } = facts as Partial<DmaError>;
      if (facts instanceof RangeError || !PASSING.has(errno)) {
        this.error = facts;
        return this.#end(-errno);
      }
      this.bytesDone = alignDown(reached, this.#file.blockSize);
      return this.#retry(errno);
    }
    const { size } = facts;
    const { position } = this.#range;
    // Of an unknown length only a read that brings nothing has met the end.
    const isUnknown = mayBeLonger(this.#file.fileSystem, size);
    const hasMore = isUnknown ? reached > this.#furthest : position + reached < size;
    if (hasMore) return this.#continueFrom(reached);
    this.endOfFile = true;
    // The file may have been truncated below what was read.
    this.#end(isUnknown ? reached : Math.max(0, Math.min(reached, size - position)));
  }

  #fail(errno: number): void {
    const { path } = this.#file;
    const at = this.#range.position + Math.max(this.bytesDone, this.#furthest);
    const stops = this.#stalled > 0 || this.bytesDone > 0 ? `the ${this.#op} stops at ${at}` : "";
    const refused = errno === Errno.EINVAL && this.#direct;
    const detail = refused
      ? `Direct I/O, which was required, is refused at ${at}`
      : explain(this.#file.fileSystem, errno) || stops;
    this.error = ioError(errno, this.#op, path, detail);
    this.#end(-errno);
  }

  #end(result: number): void {
    if (result >= 0) this.bytesDone = result;
    this.#ended.complete(result);
  }
}

/** Moves a range of a file that is in use. Resolves to the bytes moved: fewer if a read meets the end of the file. */
export function transfer(
  file: OpenFile,
  op: "read" | "write",
  range: TransferRange,
  flags = 0,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const complete = (result: number) => {
      if (result < 0) reject(moving.error);
      else resolve(result);
    };
    const moving = new Transfer(file, op, range, { complete }, flags);
    moving.start();
  });
}

/**
 * Reads a range that suits the file's alignment by way of the pool. `ended` gets the bytes read, or the error, and the memory
 * that holds them until it returns; within this call if there is no memory.
 */
export function readPooled(
  file: OpenFile,
  position: number,
  length: number,
  ended: (read: number | DmaError, bytes: Uint8Array<ArrayBuffer>) => void,
): void {
  const { engine } = file;
  let memory: Block;
  try {
    memory = engine.acquire(length);
  } catch (error) {
    return ended(error as DmaError, NO_BYTES);
  }
  const complete = (read: number) => {
    ended(reading.error ?? read, memory.bytes);
    engine.release(memory);
  };
  const range = { memory, offset: 0, length, position };
  const reading = new Transfer(file, "read", range, { complete });
  reading.start();
}
