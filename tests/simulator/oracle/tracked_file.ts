// A file and its operations. Each operation is judged at its submission, because from then on a kill may find it done.

import { alignUp } from "../../../src/align.ts";
import { type Flight, rangeOf } from "../kernel/flight.ts";
import type { SimulatedFile } from "../kernel/simulated_file.ts";
import type { SimulatedKernel } from "../kernel/simulated_kernel.ts";
import { firstDifference, type Range } from "../kernel/sparse_bytes.ts";
import { DurableFile } from "./durable_file.ts";
import { ExpectedFile } from "./expected_file.ts";
import { type PromiseName, violate } from "./promises.ts";
import { blockEnd, blockStart, type Claim, Ranges } from "./ranges.ts";
import { Touches } from "./touches.ts";
import type { WriterOracle } from "./writer_oracle.ts";

/** One file under test, with any names and descriptors. */
export class TrackedFile {
  readonly expected: ExpectedFile;
  readonly durable: DurableFile;
  readonly writers: Set<WriterOracle> = new Set();
  readonly claims: Set<Claim> = new Set();
  /** The lengths to which running calls truncate the file. */
  readonly truncates: Set<{ readonly length: number }> = new Set();
  /** The number of running opens that truncate the file to nothing. */
  emptying = 0;
  /** The ends up to which running calls reserve space. */
  readonly reserves: Set<{ readonly end: number }> = new Set();
  /** The handle that set the current name, and must make it durable. */
  namer: object | undefined;
  /** Whether a sync has failed. Later ones do not write the bytes that it has dropped: only new writers can sync. */
  hasFailedSync = false;
  /** The length before others cut the file. The module may take bytes up to there for its reserve (docs/limits.md). */
  #sizeBeforeCut = 0;
  /** The changes in flight, and the end of the content at their submission. */
  readonly #flights = new Map<Flight, number>();
  /** Truncates in flight that may lose content, or make the file longer. */
  readonly #allowed = new Set<Flight>();
  /** The beginnings of the syncs in flight. */
  readonly #syncs = new Map<Flight, number>();
  readonly touches: Touches;
  /** Whether a server that answers early has lost bytes of completed writes. */
  #lostAt = 0;

  constructor(readonly view: SimulatedFile, readonly world: SimulatedKernel) {
    this.touches = new Touches(world.clock);
    this.expected = new ExpectedFile(view);
    this.durable = new DurableFile(this.expected);
  }

  begin(writer: WriterOracle): void {
    this.writers.add(writer);
    if (this.writers.size > 1) { for (const each of this.writers) each.isBeside = true; }
    this.touches.begun = this.world.clock.tick();
  }

  /** A writer has ended. Its unflushed bytes may be in the file or not. */
  end(writer: WriterOracle): void {
    this.writers.delete(writer);
    this.expected.isAsFound(writer.flushedForSure, writer.givenEnd);
    if (this.writers.size === 0) this.expected.tighten();
  }

  /** Whether an operation in flight changes the file. */
  get isBusy(): boolean {
    return this.#flights.size > 0;
  }

  /** Whether a running call or stream changes a range. */
  isClaimed(from: number, to: number): boolean {
    return [...this.claims].some((claim) =>
      blockStart(claim.from) < blockEnd(to) && blockStart(from) < blockEnd(claim.to)
    );
  }

  /** Whether a writer or a running call has the file. */
  get isUsed(): boolean {
    return this.claims.size + this.truncates.size + this.writers.size + this.emptying > 0;
  }

  /** Whether no running call may change the length. */
  get isLengthLeftAlone(): boolean {
    return this.claims.size + this.truncates.size + this.reserves.size + this.emptying === 0;
  }

  /** Whether the module may mistake bytes behind the content for space that it has reserved. */
  get mayLookReserved(): boolean {
    const { expected: { end }, reserves, view } = this;
    return reserves.size > 0 || Math.max(view.size, this.#sizeBeforeCut) > end;
  }

  /**
   * The ranges in which every byte is certain. The bytes of a running call are uncertain until it ends, and those of a
   * writer until they are flushed: they may be in the file or not.
   */
  certain(): Ranges {
    const certain = new Ranges(0, this.expected.end);
    for (const [from, to] of this.expected.loose) certain.remove(from, to);
    for (const { from, bytes } of this.claims) certain.remove(from, from + bytes.length);
    for (const { flushedForSure, givenEnd } of this.writers) {
      certain.remove(flushedForSure, givenEnd);
    }
    return certain;
  }

  isCertain(from: number, to: number): boolean {
    const inside = Math.min(to, this.expected.end);
    return from >= inside || this.certain().contains(from, inside);
  }

  /** The index of the first certain byte that has another value; -1 if there is none. */
  firstWrong(position: number, bytes: Uint8Array): number {
    for (const [from, to] of this.certain().within(position, position + bytes.length)) {
      const right = this.expected.content.slice(from, to);
      const wrong = firstDifference(bytes.subarray(from - position, to - position), right);
      if (wrong >= 0) return from + wrong;
    }
    return -1;
  }

  /** The ranges that are certain and unchanged since a moment, except for relevant changes by writers. */
  certainSince(time: number, withWriters: boolean): Ranges {
    const certain = this.certain();
    for (const touch of this.touches.all) {
      if (touch.time < time || (withWriters && touch.byWriter)) continue;
      certain.remove(touch.from, touch.to);
    }
    return certain;
  }

  /** Makes the bytes of these ranges durable, and the size if given, except for bytes that are being changed. */
  promise(ranges: Iterable<Range>, size?: number): void {
    this.durable.promise(this.expected, ranges, size);
    for (const [flight, end] of this.#flights) this.durable.mayPerform(flight, end);
  }

  submitted(flight: Flight): void {
    const { operation } = flight;
    const { op } = operation;
    if (op === "sync") return void this.#syncs.set(flight, this.world.clock.tick());
    if (op === "write") this.#judgeWrite(operation.position, flight.bytes!);
    else if (op === "truncate") this.#judgeTruncate(flight, operation.length);
    else if (op === "copyRange") this.#judgePut(operation.targetPosition);
    else if (op !== "allocate") return;
    else if (rangeOf(operation)) this.#judgePut(operation.position);
    else if (operation.mode === 0) this.#judgeAllocate(operation.position + operation.length);
    const { end } = this.expected;
    this.#flights.set(flight, end);
    this.durable.mayPerform(flight, end);
  }

  performed(flight: Flight): void {
    const { operation, result } = flight;
    for (const writer of this.writers) writer.noteSize();
    if (operation.op === "sync" && result! < 0 && this.world.kind.answersEarly) this.#lose();
    if (!this.#flights.has(flight)) return;
    if (operation.op === "truncate" && result === 0) this.#truncated(flight, operation.length);
    const range = rangeOf(operation);
    if (range) this.#noteChange(...range);
    this.touches.resize();
  }

  returned(flight: Flight): void {
    this.#flights.delete(flight);
    const began = this.#syncs.get(flight);
    if (began === undefined) return;
    this.#syncs.delete(flight);
    if (flight.result! < 0) this.hasFailedSync = true;
    else this.touches.synced = Math.max(this.touches.synced, began);
  }

  /** A server has lost unsynced bytes of completed writes, and perhaps the length. Flushed bytes cannot be lost. */
  #lose(): void {
    const { expected, touches, view } = this;
    const kept = this.certainSince(touches.synced, true);
    for (const { start, flushed } of this.writers) {
      for (const [from, to] of kept.within(start, flushed)) {
        const at = view.content.firstDifference(expected.content, from, to);
        if (at >= 0) violate("writer 2", `byte ${at} was flushed, and is lost`);
      }
    }
    this.#lostAt = this.world.clock.tick();
    // If another process has appended, what remains below its bytes looks like reserved space.
    this.#sizeBeforeCut = Math.max(this.#sizeBeforeCut, expected.end);
    expected.mayEndAt(view.size);
    expected.isAsFound(0, Infinity);
    touches.addPastWriters(0, Infinity);
  }

  /** Whether bytes that calls have written since a moment may be lost. */
  hasLostSince(time: number): boolean {
    return this.#lostAt > time;
  }

  #noteChange(from: number, to: number): void {
    this.touches.add(from, to, !this.isClaimed(from, to));
    if (to > this.view.size) this.touches.resize();
  }

  /** Every written byte must come from a call or a chunk, or be the file's current byte. */
  #judgeWrite(position: number, bytes: Uint8Array): void {
    const end = position + bytes.length;
    if (![...this.claims].some(({ from, to }) => from <= position && position < to)) {
      for (const writer of this.writers) writer.opened();
    }
    const part = (from: number, to = end) => bytes.subarray(from - position, to - position);
    const left = new Ranges(position, end);
    for (const claim of this.claims) {
      for (const [from, to] of left.within(claim.from, claim.from + claim.bytes.length)) {
        const given = claim.bytes.subarray(from - claim.from, to - claim.from);
        const wrong = firstDifference(part(from, to), given);
        if (wrong >= 0) violate("writer 9", `byte ${from + wrong} is not the call's`);
        left.remove(from, to);
      }
    }
    for (const writer of this.writers) {
      for (const [from, to] of left.within(writer.start, writer.givenEnd)) {
        const wrong = firstDifference(part(from, to), writer.givenAt(from, to));
        left.remove(from, wrong < 0 ? to : from + wrong);
        // A tail that was copied before further chunks came has padding in their place.
        const isPadding = from + wrong >= writer.flushed && to - from - wrong < writer.block;
        if (wrong < 0 || isPadding) continue;
        violate("writer 9", `byte ${from + wrong} is not the one that was given`);
      }
    }
    for (const [from, to] of left) this.#judgePreserved(from, part(from, to));
    const furthest = this.#furthestEnd();
    if (end > furthest) {
      const isExact = [...this.writers].every(({ block }) => block === 1);
      const promise = isExact ? "exact tail" : "writer 5";
      violate(promise, `a write up to ${end}, of which ${furthest} counts`);
    }
    this.#noteChange(position, end);
  }

  /** A write may end at the end of a block that has content. */
  #furthestEnd(): number {
    const written = [...this.writers].map((each) => alignUp(each.givenEnd, each.block));
    const put = [...this.claims].map(({ from, bytes }) => blockEnd(from + bytes.length));
    return Math.max(this.expected.end, ...written, ...put);
  }

  #judgePreserved(position: number, bytes: Uint8Array): void {
    const { end, loose } = this.expected;
    const wrong = this.firstWrong(position, bytes);
    if (wrong >= 0 && !this.world.faults.hideSizes) {
      violate("writer 11", `byte ${wrong} is overwritten, and was nobody's to write`);
    }
    if (wrong >= 0) loose.add(position, end);
    for (let at = Math.max(0, end - position); at < bytes.length; at++) {
      const where = position + at;
      const isRight = bytes[at] === 0 || this.view.read(where, 1)[0] === bytes[at] ||
        loose.overlaps(where, where + 1);
      if (!isRight) violate("writer 5", `byte ${where} is padding, and ${bytes[at]}`);
    }
  }

  /** Another process has truncated the file, which had `size` bytes. */
  truncatedByOthers(length: number, size: number): void {
    const { expected, expected: { longest } } = this;
    this.#sizeBeforeCut = Math.max(this.#sizeBeforeCut, size);
    this.touches.addPastWriters(Math.min(length, expected.end), Infinity);
    this.durable.mayBeTruncated(length);
    this.#resized(length);
    if (this.writers.size === 0) return;
    // A writer that extends the file cannot know of the cut. It may restore bytes that it has read before, and the bytes
    // behind it may become zeros.
    expected.mayExtendTo(longest);
    expected.loose.add(length, Infinity);
  }

  #judgeTruncate(flight: Flight, length: number): void {
    const { end } = this.expected;
    const isAskedFor = [...this.truncates].some((truncate) => truncate.length === length);
    const isAllowed = isAskedFor || this.world.faults.hideSizes ||
      (length === 0 && this.emptying > 0) ||
      // Bytes that another process appends after a cut look like space reserved before.
      (length < end && end <= this.#sizeBeforeCut);
    if (isAllowed) return void this.#allowed.add(flight);
    if (length < end) violate("writer 11", `a cut to ${length} loses bytes, of which ${end} count`);
    const { size } = this.view;
    if (length > size) {
      violate("writer 4", `a cut to ${length} makes a file of ${size} bytes longer`);
    }
  }

  #truncated(flight: Flight, length: number): void {
    const from = Math.min(length, this.expected.end);
    if (!this.#allowed.delete(flight)) return this.touches.add(from, Infinity, true);
    this.touches.addPastWriters(from, Infinity);
    this.#resized(length);
  }

  #resized(length: number): void {
    this.expected.truncated(length);
    for (const writer of this.writers) {
      writer.leastTruncated = Math.min(writer.leastTruncated, length);
    }
  }

  #judgeAllocate(end: number): void {
    if ([...this.reserves].some((reserve) => reserve.end === end)) return;
    if ([...this.writers].some((writer) => writer.facts.preallocate)) return;
    violate("writer 10", `space up to ${end} is allocated, and nobody asked for it`);
  }

  /** The kernel itself puts bytes somewhere that it knows: those of a copy, or zeros. */
  #judgePut(position: number): void {
    const claim = [...this.claims].find(({ from, to }) => from <= position && position <= to);
    if (!claim) violate("file", `bytes for ${position}, which nobody asked for`);
  }

  check(promise: "writer 4" | "writer 7" | "writer 11" | "file"): void {
    const { expected: { content, end }, view, view: { size } } = this;
    if (size < end) violate(promise, `the file has ${size} bytes, and ${end} count`);
    for (const [from, to] of this.certain()) {
      const at = view.content.firstDifference(content, from, to);
      if (at < 0) continue;
      const [is] = view.read(at, 1);
      violate(promise, `byte ${at} is ${is}, right is ${content.at(at)}`);
    }
  }

  checkLength(promise: PromiseName): void {
    const { expected: { end, longest }, view: { size } } = this;
    if (size >= end && size <= longest) return;
    violate(promise, `the file has ${size} bytes, right is ${end}`);
  }
}
