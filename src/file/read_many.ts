// Reads many ranges with few reads: near ranges share one, and several are in flight. Results come in input order.

import { alignDown, alignUp } from "../align.ts";
import { checkRange, shown } from "../arguments.ts";
import { yieldIfNeeded } from "../engine/event_loop.ts";
import type { Bytes } from "../engine/operation.ts";
import type { OpenFile } from "./open_file.ts";
import { readBytes } from "./shared_reads.ts";

/** A range of a file. */
export interface ByteRange {
  /** The position of the first byte. */
  position: number;
  /** The number of bytes. */
  length: number;
}

/** A range of a file with its bytes, which are fewer than `length` at the end of the file. */
export interface RangeRead extends ByteRange {
  /** The bytes; the caller owns them. */
  bytes: Uint8Array;
}

export type MergeLimits = Readonly<Record<"maxMerged" | "maxGap" | "concurrency", number>>;

/** The maximum number of ranges that share a read, so that an endless input yields results. */
const MAX_RANGES = 1024;

/** Reads whose results wait, for each that may be in flight: the disk must not idle while the first one is slow. */
const READS_AHEAD = 4;

class Group {
  readonly ranges: ByteRange[];
  start: number;
  end: number;
  /** The bytes, or the failure; undefined until the read has ended. */
  outcome: Bytes | { readonly error: unknown } | undefined;

  constructor(range: ByteRange) {
    this.ranges = [range];
    this.start = range.position;
    this.end = range.position + range.length;
  }

  /** Adds a range if it is near enough and the read stays small enough, counted in whole blocks. Returns whether it did. */
  add(range: ByteRange, { maxMerged, maxGap }: MergeLimits, alignment: number): boolean {
    const span = (from: number, to: number) => alignUp(to, alignment) - alignDown(from, alignment);
    const rangeEnd = range.position + range.length;
    const start = Math.min(this.start, range.position);
    const end = Math.max(this.end, rangeEnd);
    const before = span(this.start, this.end);
    const merged = span(start, end);
    const gap = merged - before - span(range.position, rangeEnd);
    // A range within blocks that are read anyway adds no cost.
    const free = merged === before || range.length === 0;
    const isNear = free || (gap <= maxGap && merged <= maxMerged);
    if (!isNear || this.ranges.length >= MAX_RANGES) return false;
    this.ranges.push(range);
    if (range.length > 0) {
      this.start = start;
      this.end = end;
    }
    return true;
  }

  /** The caller's own bytes of a range; undefined if the shared read failed, so that the range must be read alone. */
  bytesOf({ position, length }: ByteRange): Uint8Array | undefined {
    const { outcome } = this;
    const isAlone = this.ranges.length === 1;
    if (outcome instanceof Uint8Array) {
      const from = position - this.start;
      return isAlone ? outcome : new Uint8Array(outcome.subarray(from, from + length));
    }
    if (isAlone) throw outcome!.error;
    return undefined;
  }
}

class Reads {
  /** The group that collects ranges for the next read. */
  #open: Group | undefined;
  readonly #begun: Group[] = [];
  #bytes = 0;
  #inFlight = 0;
  /** Called when a read has ended. */
  #wake = () => {};

  constructor(readonly file: OpenFile, readonly limits: MergeLimits) {}

  get hasRoom(): boolean {
    const { concurrency, maxMerged } = this.limits;
    const { length } = this.#begun;
    const mayBeAhead = length < READS_AHEAD * concurrency && this.#bytes < concurrency * maxMerged;
    return this.#inFlight < concurrency && (length < concurrency || mayBeAhead);
  }

  get isEmpty(): boolean {
    return this.#begun.length === 0 && !this.#open;
  }

  /** Adds a range. If it is not near the earlier ranges, their read begins. */
  add(range: ByteRange): void {
    if (this.#open?.add(range, this.limits, this.file.alignment)) return;
    this.begin();
    this.#open = new Group(range);
  }

  begin(): void {
    const group = this.#open;
    if (!group) return;
    this.#open = undefined;
    this.#begun.push(group);
    this.#bytes += group.end - group.start;
    this.#inFlight++;
    const read = readBytes(this.file, group.start, group.end - group.start);
    // The results report the failure.
    read.catch((error) => ({ error })).then((outcome) => {
      group.outcome = outcome;
      this.#inFlight--;
      this.#wake();
    });
  }

  takeFirst(): Group | undefined {
    const [first] = this.#begun;
    if (!first?.outcome) return undefined;
    this.#bytes -= first.end - first.start;
    return this.#begun.shift();
  }

  untilOver(): Promise<void> {
    return new Promise((resolve) => this.#wake = resolve);
  }

  async end(): Promise<void> {
    while (this.#inFlight > 0) await this.untilOver();
  }
}

/** Takes and checks the user's ranges, one after the other. */
class Input {
  readonly #iterator: Iterator<unknown> | AsyncIterator<unknown>;
  readonly #waits: boolean;
  #asked: Promise<IteratorResult<unknown>> | undefined;
  /** Whether the iterator must be closed, because it has not ended by itself. */
  #isOpen = true;

  constructor(ranges: Iterable<unknown> | AsyncIterable<unknown>) {
    this.#waits = Symbol.asyncIterator in ranges;
    this.#iterator = Symbol.asyncIterator in ranges
      ? ranges[Symbol.asyncIterator]()
      : ranges[Symbol.iterator]();
  }

  get ended(): boolean {
    return !this.#isOpen && !this.#asked;
  }

  /** The next range; undefined at the end, or if there is none yet. With `patient` it waits for the range. */
  next(patient: boolean): ByteRange | undefined | Promise<ByteRange | undefined> {
    this.#isOpen = false;
    if (this.#waits) return this.#nextArrived(patient);
    return this.#take(this.#iterator.next() as IteratorResult<unknown>);
  }

  async #nextArrived(patient: boolean): Promise<ByteRange | undefined> {
    const asked = this.#asked ??= (async () => await this.#iterator.next())();
    if (!patient && !await settlesSoon(asked)) return undefined;
    this.#asked = undefined;
    return this.#take(await asked);
  }

  #take({ done, value }: IteratorResult<unknown>): ByteRange | undefined {
    this.#isOpen = !done;
    return done ? undefined : checked(value);
  }

  async close(): Promise<void> {
    if (this.ended) return;
    const closed = (async () => await this.#iterator.return?.())();
    // An iterator with a pending request may never settle.
    if (this.#asked) closed.catch(() => {});
    else await closed;
  }
}

/** Whether a promise settles within some microtasks, as for an input that needs no I/O. */
async function settlesSoon(promise: Promise<unknown>): Promise<boolean> {
  let isSettled = false;
  const settle = () => isSettled = true;
  promise.then(settle, settle);
  for (let turn = 0; turn < 12 && !isSettled; turn++) await undefined;
  return isSettled;
}

function checked(range: unknown): ByteRange {
  if (typeof range !== "object" || range === null) {
    throw new TypeError(`Invalid range ${shown(range)}: it must have position and length`);
  }
  const { position, length } = range as ByteRange;
  checkRange(position, length);
  return { position, length };
}

/** Reads many ranges, in their order. Wrong arguments reject the first step: asynchronous methods do not throw. */
export async function* readMany(
  file: OpenFile,
  ranges: unknown,
  checkLimits: () => MergeLimits,
): AsyncGenerator<RangeRead> {
  if (
    typeof ranges !== "object" || ranges === null ||
    !(Symbol.iterator in ranges || Symbol.asyncIterator in ranges)
  ) {
    throw new TypeError(`Invalid ranges ${shown(ranges)}: it must be iterable`);
  }
  const reads = new Reads(file, checkLimits());
  file.assertReadable();
  const input = new Input(ranges as Iterable<unknown>);
  /** The failure. That of the input is reported after the results of the earlier ranges. */
  let failure: { readonly error: unknown } | undefined;
  try {
    for (;;) {
      while (!failure && !input.ended && reads.hasRoom) {
        let range: ByteRange | undefined;
        try {
          // While the input waits, the ranges so far are read.
          const arriving = input.next(reads.isEmpty);
          range = arriving instanceof Promise ? await arriving : arriving;
        } catch (error) {
          failure = { error };
        }
        if (range) reads.add(range);
        else {
          reads.begin();
          break;
        }
      }
      if (reads.isEmpty) break;
      const group = reads.takeFirst();
      if (!group) {
        await reads.untilOver();
        continue;
      }
      for (const range of group.ranges) {
        const bytes = group.bytesOf(range) ?? await readBytes(file, range.position, range.length);
        yield { ...range, bytes };
        const turn = yieldIfNeeded(bytes.length);
        if (turn) await turn;
      }
    }
  } catch (error) {
    failure = { error };
  } finally {
    await reads.end();
    const closed = input.close();
    // As in a loop, an error of the iterator's end does not replace an earlier one.
    await (failure ? closed.catch(() => {}) : closed);
  }
  if (failure) throw failure.error;
}
