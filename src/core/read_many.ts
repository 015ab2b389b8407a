// Many reads as few: near ranges are read at once, several at a time, and given out in the order they came in.

import type { Handle } from "./handle.ts";
import { readBytes } from "./shared_reads.ts";

/** A part of a file. */
export interface ByteRange {
  /** The first byte. */
  position: number;
  /** Bytes of it. */
  length: number;
}

/** A part of a file, with its bytes: fewer than were asked for where the file ends. */
export interface RangeRead extends ByteRange {
  /** The bytes; the caller owns them. */
  bytes: Uint8Array;
}

/** What {@linkcode readMany} goes by. Every number has been checked. */
export interface MergeLimits {
  maxMerged: number;
  maxGap: number;
  concurrency: number;
}

/** Ranges that are read with one request. */
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

  /** Takes a range in, where it is near enough and the whole stays small enough. In whole blocks: so they are read. */
  add(range: ByteRange, { maxMerged, maxGap }: MergeLimits, alignment: number): boolean {
    const down = (value: number) => value - value % alignment;
    const up = (value: number) => Math.ceil(value / alignment) * alignment;
    const end = range.position + range.length;
    const gap = Math.max(down(range.position) - up(this.end), down(this.start) - up(end));
    const before = up(this.end) - down(this.start);
    const merged = up(Math.max(end, this.end)) - down(Math.min(range.position, this.start));
    // What lies in blocks that are read anyway costs nothing.
    const free = merged === before || range.length === 0;
    if (!free && (gap > maxGap || merged > maxMerged)) return false;
    this.ranges.push(range);
    if (range.length === 0) return true;
    this.start = Math.min(this.start, range.position);
    this.end = Math.max(this.end, end);
    return true;
  }

  begin(handle: Handle): void {
    this.read = readBytes(handle, this.start, this.end - this.start);
    // Looked at when its turn comes; until then its failure is nobody's.
    this.read.catch(() => {});
  }

  async *results(handle: Handle): AsyncGenerator<RangeRead> {
    let merged: Uint8Array<ArrayBuffer> | undefined;
    try {
      merged = await this.read!;
    } catch (error) {
      if (this.ranges.length === 1) throw error;
    }
    for (const { position, length } of this.ranges) {
      // Where the merged read failed each range is read alone, so that only those fail that must.
      const bytes = merged
        ? this.#part(merged, position - this.start, length)
        : await readBytes(handle, position, length);
      yield { position, length, bytes };
    }
  }

  #part(merged: Uint8Array<ArrayBuffer>, from: number, length: number): Uint8Array {
    // Ranges that share a read each get memory of their own: the caller may do anything with it.
    if (this.ranges.length === 1) return merged;
    return length === 0 ? new Uint8Array(0) : merged.slice(from, from + length);
  }
}

/** The ranges, checked, one after the other. */
class Input {
  readonly #iterator: Iterator<unknown> | AsyncIterator<unknown>;
  readonly #check: (range: unknown) => ByteRange;
  readonly #waits: boolean;
  #next: Promise<void> | undefined;
  #result: ByteRange | undefined;
  /** Nothing more comes, or nothing more is wanted. */
  ended = false;
  /** Why it ended, where it did not simply do so: told when the ranges before have been given out. */
  failure: { error: unknown } | undefined;
  #exhausted = false;

  constructor(
    ranges: Iterable<unknown> | AsyncIterable<unknown>,
    check: (range: unknown) => ByteRange,
  ) {
    this.#check = check;
    this.#waits = Symbol.asyncIterator in ranges;
    this.#iterator = Symbol.asyncIterator in ranges
      ? ranges[Symbol.asyncIterator]()
      : ranges[Symbol.iterator]();
  }

  /** The next range, where it is there at once; else {@linkcode arrived} tells when. */
  take(): ByteRange | undefined | Promise<ByteRange | undefined> {
    if (!this.#waits) return this.#settle(() => this.#iterator.next() as IteratorResult<unknown>);
    return this.#takeSoon();
  }

  /** Resolves when a range is there, or the end. */
  async arrived(): Promise<void> {
    await this.#next;
  }

  async #takeSoon(): Promise<ByteRange | undefined> {
    this.#next ??= this.#ask();
    await Promise.race([this.#next, someTurns()]);
    const result = this.#result;
    if (result || this.ended) this.#next = undefined;
    this.#result = undefined;
    return result;
  }

  async #ask(): Promise<void> {
    let next: () => IteratorResult<unknown>;
    try {
      const result = await this.#iterator.next();
      next = () => result;
    } catch (error) {
      next = () => {
        throw error;
      };
    }
    this.#result = this.#settle(next);
  }

  #settle(next: () => IteratorResult<unknown>): ByteRange | undefined {
    this.#exhausted = true;
    try {
      const { done, value } = next();
      if (!done) {
        this.#exhausted = false;
        return this.#check(value);
      }
    } catch (error) {
      this.failure = { error };
    }
    this.ended = true;
    return undefined;
  }

  /** Tells whoever makes the ranges that no more are wanted. */
  async close(): Promise<void> {
    this.ended = true;
    if (this.#exhausted) return;
    const closed = (async () => await this.#iterator.return?.())();
    // One that is still thinking about its next range may do so for ever.
    if (this.#next) closed.catch(() => {});
    else await closed;
  }
}

/** Reads many ranges. Results come in the order of `ranges`. */
export async function* readMany(
  handle: Handle,
  ranges: Iterable<unknown> | AsyncIterable<unknown>,
  check: (range: unknown) => ByteRange,
  limits: MergeLimits,
): AsyncGenerator<RangeRead> {
  const input = new Input(ranges, check);
  const begun: Group[] = [];
  let open: Group | undefined;
  const begin = () => {
    if (!open) return;
    open.begin(handle);
    begun.push(open);
    open = undefined;
  };
  try {
    for (;;) {
      while (!input.ended && begun.length < limits.concurrency) {
        const taken = input.take();
        const range = taken instanceof Promise ? await taken : taken;
        if (range) {
          if (open?.add(range, limits, handle.alignment)) continue;
          begin();
          open = new Group(range);
        } else if (!input.ended) {
          // An input that makes one wait adds no latency: what is there is read meanwhile.
          begin();
          if (begun.length > 0) break;
          await input.arrived();
        }
      }
      if (input.ended) begin();
      const first = begun.shift();
      if (first) yield* first.results(handle);
      else if (input.failure) throw input.failure.error;
      else return;
    }
  } finally {
    await Promise.allSettled(begun.map((group) => group.read));
    await input.close();
  }
}

/** A few turns of the microtask queue: what is ready at all is ready by then. */
async function someTurns(): Promise<void> {
  for (let turn = 0; turn < 12; turn++) await undefined;
}
