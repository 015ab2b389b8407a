// Many reads as few: near ranges are read at once, several at a time, and given out in the order they came in.

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

/** Ranges that share a read, at most: an input without an end must not be taken in before anything is given out. */
const MAX_RANGES = 1024;

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
    const down = (value: number) => alignDown(value, alignment);
    const up = (value: number) => alignUp(value, alignment);
    const end = range.position + range.length;
    const gap = Math.max(down(range.position) - up(this.end), down(this.start) - up(end));
    const before = up(this.end) - down(this.start);
    const merged = up(Math.max(end, this.end)) - down(Math.min(range.position, this.start));
    // What lies in blocks that are read anyway costs nothing.
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
    // Looked at when its turn comes; until then its failure is nobody's.
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
      // Where the merged read failed each range is read alone, so that only those fail that must.
      const bytes = merged
        ? this.#part(merged, position - this.start, length)
        : await readBytes(file, position, length);
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
  readonly #waits: boolean;
  /** The range that is waited for. */
  #asked: Promise<void> | undefined;
  #arrived: ByteRange | undefined;
  /** Whoever makes the ranges has come to an end. */
  #exhausted = false;
  /** Nothing more comes, or nothing more is wanted. */
  ended = false;
  /** Why it ended, where it did not simply do so: told when the ranges before have been given out. */
  failure: { readonly error: unknown } | undefined;

  constructor(ranges: Iterable<unknown> | AsyncIterable<unknown>) {
    this.#waits = Symbol.asyncIterator in ranges;
    this.#iterator = Symbol.asyncIterator in ranges
      ? ranges[Symbol.asyncIterator]()
      : ranges[Symbol.iterator]();
  }

  /** The next range; undefined at the end, and where it is not there yet. With `patient` it is waited for. */
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

  /** Tells whoever makes the ranges that no more are wanted. */
  async close(): Promise<void> {
    this.ended = true;
    if (this.#exhausted) return;
    const closed = (async () => await this.#iterator.return?.())();
    // One that is still thinking about its next range may do so for ever.
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
 * Reads many ranges. Results come in the order of `ranges`. Wrong arguments reject the first step, as every asynchronous
 * method rejects.
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
        // An input that makes one wait adds no latency: what is there is read meanwhile.
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

/** A few turns of the microtask queue: what is ready at all is ready by then. */
async function someTurns(): Promise<void> {
  for (let turn = 0; turn < 12; turn++) await undefined;
}
