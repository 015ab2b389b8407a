// Reads many ranges with few reads: near ranges share a read, and several reads are in flight. Results come in input order.

import { alignDown, alignUp } from "../align.ts";
import type { OpenFile } from "./open_file.ts";
import { checkRange, shown } from "../arguments.ts";
import { readBytes } from "./shared_reads.ts";

/** A part of a file. */
export interface ByteRange {
  /** The first byte. */
  position: number;
  /** Bytes of it. */
  length: number;
}

/** A part of a file, with its bytes: fewer than were asked for if the file ends in it. */
export interface RangeRead extends ByteRange {
  /** The bytes; the caller owns them. */
  bytes: Uint8Array;
}

/** The limits of {@linkcode readMany}. Every number has been checked. */
export interface MergeLimits {
  maxMerged: number;
  maxGap: number;
  concurrency: number;
}

/** The most ranges that share a read: an input without an end must not be read before there are results. */
const MAX_RANGES = 1024;

/**
 * Reads whose results are not passed on yet, for each that may be in flight: results come in order, and a slow read must not
 * leave the disk idle.
 */
const READS_AHEAD = 4;

/** Ranges that share a read. */
class Group {
  readonly ranges: ByteRange[] = [];
  start: number;
  end: number;
  /** Whether its read is over. */
  isOver = false;
  #merged: Uint8Array<ArrayBuffer> | undefined;
  #failure: { readonly error: unknown } | undefined;

  constructor(range: ByteRange) {
    this.start = range.position;
    this.end = range.position + range.length;
    this.ranges.push(range);
  }

  /** Adds a range if it is near enough and the read stays small enough, counted in whole blocks. Returns whether it did. */
  add(range: ByteRange, { maxMerged, maxGap }: MergeLimits, alignment: number): boolean {
    const down = (value: number) => alignDown(value, alignment);
    const up = (value: number) => alignUp(value, alignment);
    const end = range.position + range.length;
    const gap = Math.max(down(range.position) - up(this.end), down(this.start) - up(end));
    const before = up(this.end) - down(this.start);
    const merged = up(Math.max(end, this.end)) - down(Math.min(range.position, this.start));
    // A range in blocks that are read anyway costs nothing.
    const free = merged === before || range.length === 0;
    if (!free && (gap > maxGap || merged > maxMerged)) return false;
    if (this.ranges.length >= MAX_RANGES) return false;
    this.ranges.push(range);
    if (range.length === 0) return true;
    this.start = Math.min(this.start, range.position);
    this.end = Math.max(this.end, end);
    return true;
  }

  /** Reads. A failure is reported with the results. */
  async read(file: OpenFile): Promise<void> {
    try {
      this.#merged = await readBytes(file, this.start, this.end - this.start);
    } catch (error) {
      this.#failure = { error };
    }
    this.isOver = true;
  }

  /** The bytes of a range, whose memory the caller owns; undefined if it must be read alone, because only others may fail. */
  bytesOf({ position, length }: ByteRange): Uint8Array | undefined {
    const isAlone = this.ranges.length === 1;
    if (this.#failure && isAlone) throw this.#failure.error;
    const merged = this.#merged;
    if (!merged || isAlone) return merged;
    const from = position - this.start;
    return length === 0 ? new Uint8Array(0) : merged.slice(from, from + length);
  }
}

/** Reads and checks the ranges, one after the other. */
class Input {
  readonly #iterator: Iterator<unknown> | AsyncIterator<unknown>;
  readonly #waits: boolean;
  /** The request for the next range. */
  #asked: Promise<ByteRange | undefined> | undefined;
  /** The iterator has ended by itself. */
  #exhausted = false;
  /** There are no more ranges, or none are wanted. */
  ended = false;
  /** Why it failed. Reported after the results of the ranges before. */
  failure: { readonly error: unknown } | undefined;

  constructor(ranges: Iterable<unknown> | AsyncIterable<unknown>) {
    this.#waits = Symbol.asyncIterator in ranges;
    this.#iterator = Symbol.asyncIterator in ranges
      ? ranges[Symbol.asyncIterator]()
      : ranges[Symbol.iterator]();
  }

  /** The next range; undefined at the end, or if it is not there yet. With `patient` it is waited for. */
  next(patient: boolean): ByteRange | undefined | Promise<ByteRange | undefined> {
    if (this.#waits) return this.#nextArrived(patient);
    return this.#take(() => this.#iterator.next() as IteratorResult<unknown>);
  }

  async #nextArrived(patient: boolean): Promise<ByteRange | undefined> {
    this.#asked ??= this.#ask();
    const range = await (patient ? this.#asked : Promise.race([this.#asked, someTurns()]));
    if (range || this.ended) this.#asked = undefined;
    return range;
  }

  async #ask(): Promise<ByteRange | undefined> {
    try {
      const result = await this.#iterator.next();
      return this.#take(() => result);
    } catch (error) {
      return this.#take(() => {
        throw error;
      });
    }
  }

  /** Takes a result of the iterator, which `next` returns or throws. */
  #take(next: () => IteratorResult<unknown>): ByteRange | undefined {
    this.#exhausted = true;
    try {
      const { done, value } = next();
      this.#exhausted = Boolean(done);
      if (!done) return checked(value);
    } catch (error) {
      this.failure = { error };
    }
    this.ended = true;
    return undefined;
  }

  /** Closes the iterator, unless it has ended. */
  async close(): Promise<void> {
    this.ended = true;
    if (this.#exhausted) return;
    const closed = (async () => await this.#iterator.return?.())();
    // An iterator whose next range is under way may never settle.
    if (this.#asked) closed.catch(() => {});
    else await closed;
  }
}

/** A range that a user gave. Throws TypeError or RangeError. */
function checked(range: unknown): ByteRange {
  if (typeof range !== "object" || range === null) {
    throw new TypeError(`Invalid range ${shown(range)}: it must have position and length`);
  }
  const { position, length } = range as ByteRange;
  checkRange(position, length);
  return { position, length };
}

/**
 * Reads many ranges. Results come in the order of `ranges`. Wrong arguments reject the first step: asynchronous methods do
 * not throw.
 */
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
  const limits = checkLimits();
  file.assertReadable();
  const input = new Input(ranges as Iterable<unknown>);
  const begun: Group[] = [];
  let bytesBegun = 0;
  let open: Group | undefined;
  const reading = new Set<Promise<void>>();
  let someRead = Promise.withResolvers<void>();
  const begin = () => {
    if (!open) return;
    const read = open.read(file).then(() => {
      reading.delete(read);
      someRead.resolve();
    });
    reading.add(read);
    begun.push(open);
    bytesBegun += open.end - open.start;
    open = undefined;
  };
  const { concurrency, maxMerged } = limits;
  const readsAhead = () =>
    begun.length < READS_AHEAD * concurrency && bytesBegun < concurrency * maxMerged;
  const hasRoom = () => reading.size < concurrency && (begun.length < concurrency || readsAhead());
  try {
    for (;;) {
      while (!input.ended && hasRoom()) {
        // An input that waits adds no latency: the ranges so far are read meanwhile.
        const arriving = input.next(begun.length === 0 && !open);
        const range = arriving instanceof Promise ? await arriving : arriving;
        if (!range) {
          begin();
          if (begun.length > 0) break;
        } else if (!open?.add(range, limits, file.alignment)) {
          begin();
          open = new Group(range);
        }
      }
      if (input.ended) begin();
      const [first] = begun;
      if (!first) {
        if (input.failure) throw input.failure.error;
        return;
      }
      if (!first.isOver) {
        someRead = Promise.withResolvers();
        await someRead.promise;
        continue;
      }
      begun.shift();
      bytesBegun -= first.end - first.start;
      for (const range of first.ranges) {
        const { position, length } = range;
        const bytes = first.bytesOf(range) ?? await readBytes(file, position, length);
        yield { position, length, bytes };
      }
    }
  } finally {
    await Promise.all(reading);
    await input.close();
  }
}

/** Waits for some microtasks, after which a range that needs no I/O is there. */
async function someTurns(): Promise<undefined> {
  for (let turn = 0; turn < 12; turn++) await undefined;
}
