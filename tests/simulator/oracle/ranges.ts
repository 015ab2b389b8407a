// Sets of positions, as ranges that do not touch.

import type { Range } from "../kernel/sparse_bytes.ts";

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

  removeAll(others: Iterable<Range>): void {
    for (const [from, to] of others) this.remove(from, to);
  }

  /** The parts of a range that are in the set. */
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
