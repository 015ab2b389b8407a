// Moves bytes between memory and a file. A short transfer is continued, and an interrupted one is repeated.

import { alignDown } from "../align.ts";
import {
  Errno,
  errnos,
  MAX_TRANSFER,
  RWF_ATOMIC,
  RWF_DONTCACHE,
  RWF_DSYNC,
} from "../engine/linux.ts";
import { attempt, type Ended, promiseOf } from "../engine/engine.ts";
import type { Bytes, Completion, TransferRange } from "../engine/operation.ts";
import { type DmaError, ioError } from "../errors.ts";
import { explain, mayBeLonger } from "./file_system.ts";
import type { OpenFile } from "./open_file.ts";
import { type StatFacts, submitStat } from "./stat.ts";

/** The attempts without progress after which a transfer fails. */
const MAX_ATTEMPTS = 8;

/** Temporary errors, which are not about the file. */
const PASSING = errnos("EINTR", "EAGAIN", "ENOMEM", "ECANCELED");

/** The errors of a write whose flag a file system lacks, or whose pwritev2(2) a sandbox forbids. */
const REFUSES_FLAG = errnos("EOPNOTSUPP", "ENOSYS", "EPERM");

/** One transfer of a range that suits the file's alignment. It ends with all bytes, the file's end, or an error. */
export class Transfer implements Completion {
  /** The bytes moved from the start on, also after a failure. A part of a block does not count. */
  bytesDone = 0;
  /** The most bytes moved so far, including parts of blocks. */
  #furthest = 0;
  #stalled = 0;
  endOfFile = false;
  /** Whether it has ended, so that the kernel no longer uses the memory. */
  hasEnded = false;
  error: DmaError | undefined;
  #direct = false;

  /** `ended` gets the number of bytes, or the error. `flags` are `RWF_*` of a write; those that are refused are removed. */
  constructor(
    readonly file: OpenFile,
    readonly op: "read" | "write",
    readonly range: TransferRange,
    readonly ended: Ended<number>,
    public flags = 0,
  ) {
    if (op === "write") this.flags |= file.writeFlags & RWF_DONTCACHE;
  }

  start(): void {
    const { engine, fd, direct, blockSize, fileSystem } = this.file;
    const { memory } = this.range;
    const offset = this.bytesDone;
    const waits = this.op === "read" ? fileSystem.readWaits : !direct;
    this.#direct = direct;
    const left = Math.min(this.range.length - offset, MAX_TRANSFER);
    const position = this.range.position + offset;
    // The shim refuses a range that ends past the safe integers. Files with such a length do not open.
    const length = Math.min(left, alignDown(Number.MAX_SAFE_INTEGER - position, blockSize));
    if (this.op === "read") {
      if (length === 0) return this.#askSize(offset);
      engine.submit({ op: "read", fd, memory, offset, length, position, waits }, this);
    } else if (length < left) this.#fail(Errno.EFBIG);
    else {
      const { flags } = this;
      engine.submit({ op: "write", fd, memory, offset, length, position, waits, flags }, this);
    }
  }

  complete(result: number): void {
    if (result < 0) return this.#judgeError(-result);
    const reached = this.bytesDone + result;
    if (reached >= this.range.length) this.#end(this.range.length);
    // A short read means the end of the file, or that FUSE returns fewer bytes than it has, or even none.
    else if (this.op === "read" && result < MAX_TRANSFER) this.#askSize(reached);
    else this.#continueFrom(reached);
  }

  #judgeError(errno: number): void {
    if (PASSING.has(errno)) return this.#retry(errno);
    // The refusal of an atomic write has other reasons.
    const isAtomic = (this.flags & RWF_ATOMIC) !== 0;
    const refusesDirect = errno === Errno.EINVAL && this.#direct && !isAtomic;
    if (refusesDirect) return this.file.leaveDirect() ? this.start() : this.#fail(errno);
    // Some file systems lack RWF_DONTCACHE, and some gVisors RWF_DSYNC.
    const flag = this.flags & RWF_DONTCACHE || this.flags & RWF_DSYNC;
    if (flag === 0 || !REFUSES_FLAG.has(errno)) return this.#fail(errno);
    this.flags &= ~flag;
    this.file.writeFlags &= ~flag;
    this.start();
  }

  /** Continues from the start of the block in which the kernel stopped. */
  #continueFrom(reached: number): void {
    const before = this.bytesDone;
    const furthest = this.#furthest;
    this.#furthest = Math.max(furthest, reached);
    this.bytesDone = alignDown(reached, this.file.blockSize);
    // A write that stops inside the same block again makes no progress.
    const hasProgress = this.op === "write" ? this.bytesDone > before : reached > furthest;
    if (!hasProgress) return this.#retry(Errno.EIO);
    this.#stalled = 0;
    this.start();
  }

  /** The second attempt follows at once. Each further one follows a pause that is twice as long. */
  #retry(errno: number): void {
    if (++this.#stalled >= MAX_ATTEMPTS) return this.#fail(errno);
    if (this.#stalled < 2) return this.start();
    const pause = { op: "pause", milliseconds: 2 ** (this.#stalled - 2) } as const;
    this.file.engine.submit(pause, { complete: () => this.start() });
  }

  #askSize(reached: number): void {
    this.bytesDone = reached;
    submitStat(this.file.descriptor, (facts) => this.#judgeShort(reached, facts));
  }

  #judgeShort(reached: number, facts: StatFacts | DmaError): void {
    if (facts instanceof Error) {
      // Without memory for the result the error has no number.
      const { errno } = facts as Partial<DmaError>;
      if (errno === undefined || !PASSING.has(errno)) return this.#end(facts);
      this.bytesDone = alignDown(reached, this.file.blockSize);
      return this.#retry(errno);
    }
    const { size } = facts;
    const { position } = this.range;
    // If the length is unknown, only a read of no bytes shows the end.
    const isUnknown = mayBeLonger(this.file.fileSystem, size);
    const hasMore = isUnknown ? reached > this.#furthest : position + reached < size;
    if (hasMore) return this.#continueFrom(reached);
    this.endOfFile = true;
    // The file may have been truncated below the bytes that were read.
    this.#end(isUnknown ? reached : Math.max(0, Math.min(reached, size - position)));
  }

  #fail(errno: number): void {
    const at = this.range.position + Math.max(this.bytesDone, this.#furthest);
    const stops = this.#stalled > 0 || this.bytesDone > 0 ? `the ${this.op} stops at ${at}` : "";
    const refused = errno === Errno.EINVAL && this.#direct;
    const detail = refused
      ? `Direct I/O is required, and refused at ${at}`
      : explain(this.file.fileSystem, errno) || stops;
    this.#end(ioError(errno, this.op, this.file.path, detail));
  }

  #end(outcome: number | DmaError): void {
    if (outcome instanceof Error) this.error = outcome;
    else this.bytesDone = outcome;
    this.hasEnded = true;
    this.ended(outcome);
  }
}

/** Moves a range of a file in use. Resolves to the number of bytes: fewer if a read meets the end of the file. */
export function transfer(
  file: OpenFile,
  op: "read" | "write",
  range: TransferRange,
  flags = 0,
): Promise<number> {
  return promiseOf((ended) => new Transfer(file, op, range, ended, flags).start());
}

/** Reads into the pool. `take` gets the bytes, valid until it returns. Without memory `ended` is called within this call. */
export function readPooled<T>(
  file: OpenFile,
  position: number,
  length: number,
  take: (bytes: Bytes) => T,
  ended: Ended<T>,
): void {
  const { engine } = file;
  const memory = attempt(() => engine.acquire(length));
  if (memory instanceof Error) return ended(memory);
  const readEnded = (read: number | DmaError) => {
    const isRead = typeof read === "number";
    const outcome = isRead ? attempt(() => take(memory.bytes.subarray(0, read))) : read;
    engine.release(memory);
    ended(outcome);
  };
  new Transfer(file, "read", { memory, length, position }, readEnded).start();
}

/**
 * Copies the bytes of a file in use into blocks that will be written over them: in the first block those before `from`,
 * and in the last one those from `to` on. `ended` gets the error, or whether a read reached past the end of the file.
 */
export function completeBlocks(
  file: OpenFile,
  { memory: { bytes }, length, position }: TransferRange,
  from: number,
  to: number,
  ended: Ended<boolean>,
): void {
  const { blockSize } = file;
  const end = position + length;
  const last = end - blockSize;
  const readBlock = (base: number, next: (isShort: boolean) => void) => {
    const take = (read: Bytes) => {
      if (base === position) bytes.set(read.subarray(0, Math.max(0, from - base)));
      if (base === last) bytes.set(read.subarray(to - base), to - position);
      return read.length < blockSize;
    };
    readPooled(file, base, blockSize, take, (isShort) => {
      if (isShort instanceof Error) return ended(isShort);
      if (isShort) file.length.noteCut();
      next(isShort);
    });
  };
  const completeLast = () => to < end ? readBlock(last, ended) : ended(false);
  if (from <= position) completeLast();
  // A single block is read once.
  else readBlock(position, last === position ? ended : completeLast);
}
