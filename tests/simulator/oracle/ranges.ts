// Ranges of a file: sets of positions, and the ranges that running calls use.

import type { Range } from "../kernel/sparse_bytes.ts";

/** A running call that changes a range, or reads it, so that the range must not change. */
export interface Claim {
  readonly from: number;
  readonly to: number;
  /** The bytes that it writes from `from` on; empty for a read, or behind the end. */
  readonly bytes: Uint8Array;
}

/** The largest block size of any file system here. */
export const LARGEST_BLOCK = 4096;

/** The start of the block that contains a position. */
export function blockStart(position: number): number {
  return position - position % LARGEST_BLOCK;
}

/** The end of the block that contains, or ends at, a position. */
export function blockEnd(position: number): number {
  return blockStart(position + LARGEST_BLOCK - 1);
}

/** A set of positions, as ranges that do not touch. */
export class Ranges {
  #ranges: Range[] = [];

  constructor(from = 0, to = 0) {
    this.add(from, to);
  }

  /** The end of the last range; 0 if there is none. */
  get end(): number {
    return this.#ranges.at(-1)?.[1] ?? 0;
  }

  [Symbol.iterator](): Iterator<Range> {
    return this.#ranges[Symbol.iterator]();
  }

  add(from: number, to: number): void {
    if (from >= to) return;
    const apart = this.#ranges.filter(([start, end]) => end < from || start > to);
    const joined = this.#ranges.filter(([start, end]) => end >= from && start <= to);
    const start = Math.min(from, ...joined.map(([start]) => start));
    const end = Math.max(to, ...joined.map(([, end]) => end));
    this.#ranges = [...apart, [start, end] as const].sort(([one], [other]) => one - other);
  }

  remove(from: number, to: number): void {
    if (from >= to) return;
    this.#ranges = this.#ranges.flatMap(([start, end]) => {
      if (end <= from || start >= to) return [[start, end] as Range];
      return ([[start, from], [to, end]] as Range[]).filter(([start, end]) => start < end);
    });
  }

  within(from: number, to: number): Range[] {
    return this.#ranges.flatMap(([start, end]) => {
      const part = [Math.max(start, from), Math.min(end, to)] as const;
      return part[0] < part[1] ? [part] : [];
    });
  }

  contains(from: number, to: number): boolean {
    return this.#ranges.some(([start, end]) => start <= from && to <= end);
  }

  overlaps(from: number, to: number): boolean {
    return this.#ranges.some(([start, end]) => start < to && from < end);
  }
}
