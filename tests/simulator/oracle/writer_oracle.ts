// One writer, and its promises.

import type { DmaStreamWriter } from "../../../mod.ts";
import { SparseBytes } from "../kernel/sparse_bytes.ts";
import { violate } from "./promises.ts";
import type { TrackedFile } from "./tracked_file.ts";

export interface WriterFacts {
  readonly append: boolean;
  /** Every write goes to the current end of the file. */
  readonly appendsAlways: boolean;
  readonly position: number;
  readonly preallocate: boolean;
  readonly sizeHint: number;
  readonly syncOnClose: boolean;
  readonly closeFile: boolean;
}

export class WriterOracle {
  /** All bytes of its chunks, in order, and their number. */
  readonly #given = new SparseBytes();
  givenLength = 0;
  /** Whether another handle had a writer at the same time. */
  isBeside = false;
  /** The limit of its positions, behind which another call writes. */
  wall = Infinity;
  flushed: number;
  /** The minimum length to which the file was truncated while it was open. */
  leastTruncated = Infinity;
  #start: number | undefined;
  /** Whether the call that gives a chunk is running. */
  #isGiving = false;
  /** Whether a pipe is running, so that `given` may exceed the bytes that the writer gets. */
  piped = false;
  /** Whether an end was requested, and whether it was a close. */
  ending = false;
  closes = false;
  /** Whether an abort came after the close had begun with every chunk accepted. */
  closeStands = false;
  end: "closed" | "failed" | undefined;
  readonly reasons: Set<unknown> = new Set();
  failure: { readonly reason: unknown } | undefined;
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

  /** The position of its first byte. If it appends, this is the largest possible one until the start is known. */
  get start(): number {
    return this.#start ?? Math.max(...this.#sizesSeen);
  }

  opened(): void {
    if (this.isOpened || this.end || this.failure) return;
    const { nextPos, currentFlushedPos } = this.stream;
    // Within a call and in a pipe `given` is ahead of the stream, and of a failing stream no chunk waits. A chunk that
    // is being taken counts twice. Nothing was written yet.
    const isAhead = this.#isGiving || this.piped;
    const start = Math.min(currentFlushedPos, isAhead ? Infinity : nextPos - this.givenLength);
    this.#start = this.flushed = this.#sizesSeen.has(start) ? start : currentFlushedPos;
    if (this.#sizesSeen.has(this.#start)) return;
    const sizes = [...this.#sizesSeen].join(", ");
    violate("positions", `it appends at ${this.#start}, the file had ${sizes} bytes`);
  }

  /** Whether a lock or a pipe holds the stream, including a pipe whose end was not reported yet. */
  get isLocked(): boolean {
    return this.piped || this.stream.locked;
  }

  get isOpened(): boolean {
    return this.#start !== undefined;
  }

  get givenEnd(): number {
    return this.start + this.givenLength;
  }

  /** The end of its bytes that stay: the block in which a truncate ended is written again, with all bytes for it. */
  get flushedForSure(): number {
    return Math.max(this.start, Math.min(this.flushed, this.leastTruncated));
  }

  /** The number of bytes that further chunks may have. */
  get room(): number {
    return this.isOpened ? Math.max(0, this.wall - this.givenEnd) : this.wall;
  }

  give(bytes: Uint8Array): void {
    this.#isGiving = true;
    queueMicrotask(() => this.#isGiving = false);
    this.#given.write(this.givenLength, bytes);
    this.givenLength += bytes.length;
  }

  /** Records that the writer got no more bytes than up to a position. */
  gotUpTo(position: number): void {
    this.givenLength = Math.max(0, Math.min(this.givenLength, position - this.start));
  }

  givenAt(from: number, to: number): Uint8Array<ArrayBuffer> {
    return this.#given.slice(from - this.start, Math.min(to, this.givenEnd) - this.start);
  }

  covers(from: number, to: number): boolean {
    return this.isOpened && from >= this.start - this.block && to <= this.givenEnd + this.block;
  }

  /** Records a size of the file while the writer may determine its start. */
  noteSize(): void {
    if (!this.isOpened) this.#sizesSeen.add(this.file.view.size);
  }

  /** Checks its positions, and the bytes below the flushed one. */
  poll(): void {
    const { stream, file } = this;
    const { currentFlushedPos: flushed, currentPos, nextPos } = stream;
    if (!this.isOpened) return;
    if (flushed < this.flushed) violate("writer 2", `${this.flushed}, then ${flushed}`);
    const inOrder = flushed <= currentPos && currentPos <= nextPos;
    if (!inOrder || currentPos > this.givenEnd) {
      const all = `flushed ${flushed}, current ${currentPos}, next ${nextPos}`;
      violate("positions", `${all}, given ${this.givenEnd}`);
    }
    const { flushed: before } = this;
    if (flushed === before) return;
    // If the file was cut meanwhile, the gap has zeros.
    const { end } = file.expected;
    if (end < before) file.touches.addPastWriters(end, before);
    let given = this.givenAt(before, flushed);
    if (flushed > this.leastTruncated) {
      // Bytes that were in the file before a truncate are gone.
      const left = file.view.read(before, given.length);
      given = left.subarray(0, 1 + left.findLastIndex((byte, at) => byte === given[at]));
    }
    this.flushed = flushed;
    file.touches.resize();
    const at = given.length > 0 ? file.expected.settle(before, given) : -1;
    if (at >= 0) violate("writer 2", `flushed ${flushed}, but byte ${at} is not there`);
  }

  /** Checks the failure of a call: all calls must report the first one. */
  failed(reason: unknown): void {
    // Calls that wait while an abort and a failure coincide may get either of them.
    if (this.reasons.has(reason)) return;
    this.failure ??= { reason };
    if (this.failure.reason === reason) return;
    violate("writer 6", `${this.failure.reason} came first, then ${reason}`);
  }

  /** Checks a close: all bytes are in the file, which has its exact length. */
  closed(): void {
    if (this.end) return;
    this.opened();
    this.poll();
    this.end = "closed";
    this.file.end(this);
    const { currentPos } = this.stream;
    if (currentPos !== this.givenEnd || this.flushed !== currentPos) {
      violate("writer 4", `${this.flushed} is flushed of ${this.givenEnd} given`);
    }
    this.file.check("writer 4");
    this.checkLength("writer 4");
  }

  /** Checks a failure or an abort: the flushed bytes are in the file. With `cut` no bytes follow them. */
  gaveUp(cut: boolean): void {
    if (this.end) return;
    if (this.isOpened) this.poll();
    this.end = "failed";
    this.file.end(this);
    this.file.check("writer 7");
    const { expected, view } = this.file;
    // If the writer started behind the end, or others have cut the file, the gap has zeros.
    expected.mayExtendTo(Math.max(this.start, this.flushed));
    // In a file with several appenders the owner of the last bytes is not known.
    if (!cut || this.facts.appendsAlways) expected.mayExtendTo(view.size);
    this.checkLength("writer 7");
  }

  /** All chunks must be in the file. For a pipe only the pipe knows their number. */
  checkFlushed(promise: "writer 2" | "normal end"): void {
    this.opened();
    this.poll();
    if (this.piped || this.flushed === this.givenEnd) return;
    violate(promise, `${this.flushed} is flushed of ${this.givenEnd} given`);
  }

  /** A close that began at a moment has made everything durable, and the exact length. */
  promiseAll(since: number): void {
    const { file, file: { expected, touches } } = this;
    // A handle that has not changed the file has nothing to sync.
    if (this.givenLength === 0) return;
    const certain = file.certainSince(since, true);
    const { unsyncedPastWriters } = touches;
    for (const { from, to } of unsyncedPastWriters) certain.remove(from, to);
    const isWhole = !this.isBeside && expected.end === file.view.size && file.isLengthLeftAlone &&
      touches.areWritersSince(since) && unsyncedPastWriters.length === 0;
    const isOwn = file.hasFailedSync || this.isBeside;
    const ranges = isOwn ? certain.within(this.start, this.flushed) : certain;
    file.promise(ranges, isWhole ? expected.end : undefined);
  }

  /** Running calls of others may have extended the file temporarily. */
  checkLength(promise: "writer 4" | "writer 7" | "normal end"): void {
    const { file } = this;
    const others = [...file.writers].filter((writer) => writer !== this);
    if (others.length === 0 && file.isLengthLeftAlone) file.checkLength(promise);
  }
}
