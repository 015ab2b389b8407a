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

/** Ranges that share a read. */
class Group {
  readonly ranges: ByteRange[] = [];
  start: number;
  end: number;
  read: Promise<Uint8Array<ArrayBuffer>> | undefined;

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

  begin(file: OpenFile): void {
    this.read = readBytes(file, this.start, this.end - this.start);
    // A failure is reported in the order of the results.
    this.read.catch(() => {});
  }

  async *results(file: OpenFile): AsyncGenerator<RangeRead> {
    let merged: Uint8Array<ArrayBuffer> | undefined;
    try {
      merged = await this.read!;
    } catch (error) {
      if (this.ranges.length === 1) throw error;
    }
    for (const { position, length } of this.ranges) {
      // If the shared read failed, each range is read alone: only some of them may fail.
      const bytes = merged
        ? this.#part(merged, position - this.start, length)
        : await readBytes(file, position, length);
      yield { position, length, bytes };
    }
  }

  #part(merged: Uint8Array<ArrayBuffer>, from: number, length: number): Uint8Array {
    // The caller owns the memory of each range.
    if (this.ranges.length === 1) return merged;
    return length === 0 ? new Uint8Array(0) : merged.slice(from, from + length);
  }
}

/** Reads and checks the ranges, one after the other. */
class Input {
  readonly #iterator: Iterator<unknown> | AsyncIterator<unknown>;
  readonly #waits: boolean;
  /** The request for the next range. */
  #asked: Promise<void> | undefined;
  #arrived: ByteRange | undefined;
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
  async next(patient: boolean): Promise<ByteRange | undefined> {
    this.#asked ??= this.#ask();
    await (patient || !this.#waits ? this.#asked : Promise.race([this.#asked, someTurns()]));
    const arrived = this.#arrived;
    if (arrived || this.ended) this.#asked = undefined;
    this.#arrived = undefined;
    return arrived;
  }

  async #ask(): Promise<void> {
    let asking = true;
    try {
      const next = this.#iterator.next();
      const { done, value } = this.#waits ? await next : next as IteratorResult<unknown>;
      asking = false;
      if (!done) {
        this.#arrived = checked(value);
        return;
      }
    } catch (error) {
      this.failure = { error };
    }
    this.#exhausted = asking || this.failure === undefined;
    this.ended = true;
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
  let open: Group | undefined;
  const begin = () => {
    if (!open) return;
    open.begin(file);
    begun.push(open);
    open = undefined;
  };
  try {
    for (;;) {
      while (!input.ended && begun.length < limits.concurrency) {
        // An input that waits adds no latency: the ranges so far are read meanwhile.
        const range = await input.next(begun.length === 0 && !open);
        if (!range) {
          begin();
          if (begun.length > 0) break;
        } else if (!open?.add(range, limits, file.alignment)) {
          begin();
          open = new Group(range);
        }
      }
      if (input.ended) begin();
      const first = begun.shift();
      if (first) yield* first.results(file);
      else if (input.failure) throw input.failure.error;
      else return;
    }
  } finally {
    await Promise.allSettled(begun.map((group) => group.read));
    await input.close();
  }
}

/** Waits for some microtasks, after which a range that needs no I/O is there. */
async function someTurns(): Promise<void> {
  for (let turn = 0; turn < 12; turn++) await undefined;
}
