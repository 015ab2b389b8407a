// Many reads as few: near ranges are read at once, several at a time, and given out in the order they came in.

import type { Handle } from "./handle.ts";
import { readRange } from "./random_access.ts";

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
  bytes: Uint8Array<ArrayBuffer>;
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

  /** Takes a range in, where it is near enough and the whole stays small enough. */
  add(range: ByteRange, { maxMerged, maxGap }: MergeLimits): boolean {
    const end = range.position + range.length;
    const gap = Math.max(range.position - this.end, this.start - end);
    const merged = Math.max(end, this.end) - Math.min(range.position, this.start);
    if (gap > maxGap || merged > maxMerged) return false;
    this.start = Math.min(this.start, range.position);
    this.end = Math.max(this.end, end);
    this.ranges.push(range);
    return true;
  }

  begin(handle: Handle): void {
    this.read = readRange(handle, this.start, this.end - this.start);
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
        : await readRange(handle, position, length);
      yield { position, length, bytes };
    }
  }

  #part(merged: Uint8Array<ArrayBuffer>, from: number, length: number): Uint8Array<ArrayBuffer> {
    // Ranges that share a read each get memory of their own: the caller may do anything with it.
    return this.ranges.length === 1 ? merged : merged.slice(from, from + length);
  }
}

const notYet = Symbol("not yet");

/** Reads many ranges. Results come in the order of `ranges`. */
export async function* readMany(
  handle: Handle,
  ranges: Iterable<unknown> | AsyncIterable<unknown>,
  check: (range: unknown) => ByteRange,
  limits: MergeLimits,
): AsyncGenerator<RangeRead> {
  const input = Symbol.asyncIterator in ranges
    ? ranges[Symbol.asyncIterator]()
    : ranges[Symbol.iterator]();
  const begun: Group[] = [];
  let open: Group | undefined;
  let next: Promise<IteratorResult<unknown>> | undefined;
  let ended = false;
  const begin = () => {
    if (!open) return;
    open.begin(handle);
    begun.push(open);
    open = undefined;
  };
  try {
    for (;;) {
      while (!ended && begun.length < limits.concurrency) {
        next ??= Promise.resolve(input.next());
        // An input that makes one wait adds no latency: what is there is read meanwhile.
        let result = await Promise.race([next, turns()]);
        if (result === notYet) {
          begin();
          if (begun.length > 0) break;
          result = await next;
        }
        next = undefined;
        const { done, value } = result as IteratorResult<unknown>;
        if (done) {
          ended = true;
          break;
        }
        const range = check(value);
        if (!open?.add(range, limits)) {
          begin();
          open = new Group(range);
        }
      }
      if (ended) begin();
      const first = begun.shift();
      if (!first) return;
      yield* first.results(handle);
    }
  } finally {
    await Promise.allSettled(begun.map((group) => group.read));
    if (!ended) await input.return?.();
  }
}

/** A few turns of the microtask queue: what is ready at all is ready by then. */
async function turns(): Promise<typeof notYet> {
  for (let turn = 0; turn < 4; turn++) await undefined;
  return notYet;
}
