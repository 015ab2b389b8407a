// One writer, and what it promised.

import type { DmaStreamWriter } from "../../../mod.ts";
import { type PromiseName, Violation } from "./promises.ts";
import type { TrackedFile } from "./tracked_file.ts";

/** Bytes one after the other. */
export class ByteLog {
  #bytes = new Uint8Array(1024);
  length = 0;

  append(bytes: Uint8Array): void {
    const end = this.length + bytes.length;
    if (end > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(end, 2 * this.#bytes.length));
      larger.set(this.#bytes.subarray(0, this.length));
      this.#bytes = larger;
    }
    this.#bytes.set(bytes, this.length);
    this.length = end;
  }

  slice(from: number, to: number): Uint8Array {
    return this.#bytes.subarray(from, Math.min(to, this.length));
  }

  cutTo(length: number): void {
    this.length = Math.min(length, this.length);
  }
}

/** How a writer was opened. */
export interface WriterFacts {
  readonly append: boolean;
  /** Every write goes to the end of the file as it then is. */
  readonly appendsAlways: boolean;
  readonly position: number;
  readonly preallocate: boolean;
  readonly sizeHint: number;
  readonly syncOnClose: boolean;
  readonly closeFile: boolean;
}

export type WriterEnd = "closed" | "failed";

export class WriterOracle {
  /** All bytes that were given to it, in order. */
  readonly given: ByteLog = new ByteLog();
  /** It must not come further: there somebody else's bytes are. */
  wall = Infinity;
  flushed: number;
  /** The least that the file was truncated to while it was at work. */
  leastTruncated = Infinity;
  #start: number | undefined;
  /** A pipe is at work: what was given may be more than it will take. */
  piped = false;
  /** An end was asked for, and whether it was a close. */
  ending = false;
  closes = false;
  /** An abort came when the close had begun, and every chunk was taken. */
  closeStands = false;
  end: WriterEnd | undefined;
  /** Reasons of aborts. */
  readonly reasons: Set<unknown> = new Set();
  #failure: { readonly reason: unknown } | undefined;
  readonly #sizesSeen: Set<number>;

  /** Writes begin and end at a multiple of `block`. */
  constructor(
    readonly stream: DmaStreamWriter,
    readonly file: TrackedFile,
    readonly facts: WriterFacts,
    readonly block: number,
  ) {
    if (!facts.append) this.#start = facts.position;
    this.flushed = facts.append ? -1 : facts.position;
    this.#sizesSeen = new Set([file.view.size]);
  }

  // ---- where it is ------------------------------------------------------------------------------------------------

  /** Where its first byte goes. An appending writer finds that out itself: until then the furthest that it may be. */
  get start(): number {
    return this.#start ?? Math.max(...this.#sizesSeen);
  }

  /** It has found where to start. */
  opened(): void {
    if (this.isOpened || this.end || this.#failure) return;
    const { nextPos, currentFlushedPos } = this.stream;
    const start = nextPos - this.given.length;
    // Chunks of a stream that fails are given, and not waiting any more. Nothing was written yet.
    this.#startAt(this.#sizesSeen.has(start) ? start : currentFlushedPos);
  }

  /** It writes for the first time: what it writes shows where it has started. */
  locate(position: number, bytes: Uint8Array): void {
    if (this.isOpened) return;
    const start = [...this.#sizesSeen].find((size) => {
      const at = Math.max(size, position);
      const written = bytes.subarray(at - position, at - position + 8);
      const given = this.given.slice(at - size, at - size + written.length);
      // Not all that was given need be in it yet: zeros are padding.
      return written.length > 0 && given[0] === written[0] &&
        given.every((byte, index) => byte === written[index] || written[index] === 0);
    });
    if (start !== undefined) this.#startAt(start);
  }

  #startAt(start: number): void {
    this.#start = this.flushed = start;
    if (this.#sizesSeen.has(start)) return;
    this.#break(
      "positions",
      `a writer appends at ${start}, the file had ${[...this.#sizesSeen].join(", ")} bytes`,
    );
  }

  /** Whether a lock or a pipe has it. Nobody was told yet of a pipe that is over. */
  get isLocked(): boolean {
    return this.piped || this.stream.locked;
  }

  get isOpened(): boolean {
    return this.#start !== undefined;
  }

  get givenEnd(): number {
    return this.start + this.given.length;
  }

  /** Bytes that it can still be given. */
  get room(): number {
    return this.isOpened ? Math.max(0, this.wall - this.givenEnd) : this.wall;
  }

  /** Whether a range is its own. */
  covers(from: number, to: number): boolean {
    return this.isOpened && from >= this.start - this.block && to <= this.givenEnd + this.block;
  }

  /** The file has this size while it may be looking where to start. */
  noteSize(): void {
    if (!this.isOpened) this.#sizesSeen.add(this.file.view.size);
  }

  // ---- after each completion --------------------------------------------------------------------------------------

  /** Looks at its positions, and at what it says has reached the file. */
  poll(): void {
    const { stream, file } = this;
    const { currentFlushedPos: flushed, currentPos, nextPos } = stream;
    if (!this.isOpened) return;
    if (flushed < this.flushed) this.#break("writer 2", `${this.flushed}, then ${flushed}`);
    const inOrder = flushed <= currentPos && currentPos <= nextPos;
    if (!inOrder || currentPos > this.givenEnd) {
      const all = `flushed ${flushed}, current ${currentPos}, next ${nextPos}`;
      this.#break("positions", `${all}, given ${this.givenEnd}`);
    }
    const { flushed: before } = this;
    if (flushed === before) return;
    // Where the file was cut meanwhile, what lies between is zeros now.
    const { end } = file.expected;
    if (end < before) file.touches.addPastWriters(end, before);
    const given = this.given.slice(before - this.start, flushed - this.start);
    const bytes = flushed > this.leastTruncated ? this.#left(before, given) : given;
    this.flushed = flushed;
    // What was cut off before a server had confirmed it is gone.
    if (bytes.length > 0) file.settle(before, bytes);
    file.touches.resize();
    const at = file.expected.firstDifference(before, flushed);
    if (at >= 0) this.#break("writer 2", `flushed ${flushed}, but byte ${at} is not there`);
  }

  /** A server has lost something in a range. What counts as flushed cannot be lost. */
  checkKept(from: number, to: number): void {
    const { start, flushed, file: { expected } } = this;
    const at = expected.firstDifference(Math.max(from, start), Math.min(to, flushed));
    if (at >= 0) this.#break("writer 2", `byte ${at} was flushed, and is lost`);
  }

  /** What a truncate has left of bytes that were in the file before they counted as flushed. */
  #left(position: number, given: Uint8Array): Uint8Array {
    const left = this.file.view.read(position, given.length);
    for (let at = 0; at < left.length; at++) if (left[at] !== 0) left[at] = given[at]!;
    return left;
  }

  #break(promise: PromiseName, detail: string): never {
    throw new Violation(promise, detail);
  }

  // ---- failures ---------------------------------------------------------------------------------------------------

  get failure(): { readonly reason: unknown } | undefined {
    return this.#failure;
  }

  /** A call was told of a failure. The first one is the only one. */
  failed(reason: unknown): void {
    // What waits when an abort comes together with a failure gets either.
    if (this.reasons.has(reason)) return;
    this.#failure ??= { reason };
    if (this.#failure.reason === reason) return;
    this.#break("writer 6", `${this.#failure.reason} came first, then ${reason}`);
  }

  // ---- the end ----------------------------------------------------------------------------------------------------

  /** It closed: everything is in the file, which has its exact length. */
  closed(): void {
    if (this.end) return;
    this.opened();
    this.poll();
    this.file.leaveUnflushedOpen();
    this.#leave("closed");
    const { currentPos } = this.stream;
    if (currentPos !== this.givenEnd || this.flushed !== currentPos) {
      this.#break("writer 4", `${this.flushed} is flushed of ${this.givenEnd} given`);
    }
    this.file.check("writer 4");
    this.checkLength("writer 4");
  }

  /** It failed, or was aborted: what was flushed is in the file. With `cut` nothing stands behind that. */
  gaveUp(cut: boolean): void {
    if (this.end) return;
    if (this.isOpened) {
      this.poll();
      // Somebody may have written behind it: what it had in flight is not cut off then.
      this.file.leaveUnflushedOpen();
    }
    this.#leave("failed");
    this.file.check("writer 7");
    const { expected, view } = this.file;
    // Others cut it while the writer went on behind that: what lies between is zeros.
    if (this.flushed > this.leastTruncated) expected.mayExtendTo(this.flushed);
    // Whose bytes stand at the end of a file that several append to nobody knows.
    if (!cut || this.facts.appendsAlways) expected.mayExtendTo(view.size);
    this.checkLength("writer 7");
  }

  #leave(end: WriterEnd): void {
    this.end = end;
    this.file.writers.delete(this);
  }

  /** Others at work on the file may have it longer for now. */
  checkLength(promise: "writer 4" | "writer 7" | "normal end"): void {
    const { file } = this;
    const others = [...file.writers].filter((writer) => writer !== this);
    if (others.length === 0 && file.isLengthLeftAlone) file.checkLength(promise);
  }
}
