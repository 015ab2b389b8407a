// Bytes at any position. Only non-zero pages take memory. Copies share pages until one is written.

import { Buffer } from "node:buffer";

const PAGE = 4096;
const ZEROS = new Uint8Array(PAGE);

/** A range of positions, its end excluded. */
export type Range = readonly [from: number, to: number];

interface Page {
  owner: object;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** An unlimited array of bytes, initially zeros. */
export class SparseBytes {
  readonly #pages: Map<number, Page>;
  /** Pages of this owner are written in place. */
  #owner = {};

  constructor(pages: Map<number, Page> = new Map()) {
    this.#pages = pages;
  }

  clone(): SparseBytes {
    // Neither may write to the shared pages.
    this.#owner = {};
    return new SparseBytes(new Map(this.#pages));
  }

  #writable(index: number): Uint8Array<ArrayBuffer> {
    const page = this.#pages.get(index);
    if (page?.owner === this.#owner) return page.bytes;
    const bytes = page ? page.bytes.slice() : new Uint8Array(PAGE);
    this.#pages.set(index, { owner: this.#owner, bytes });
    return bytes;
  }

  write(position: number, bytes: Uint8Array): void {
    const end = position + bytes.length;
    for (const [index, start, stop] of partsOf(position, end)) {
      const at = index * PAGE - position;
      this.#writable(index).set(bytes.subarray(at + start, at + stop), start);
    }
  }

  /** Fills a range with zeros; with `Infinity` the rest. */
  zero(from: number, to: number): void {
    for (const [index, start, end] of partsOf(from, to, [...this.#pages.keys()])) {
      if (end - start === PAGE) this.#pages.delete(index);
      else this.#writable(index).fill(0, start, end);
    }
  }

  /** The parts of a range that take memory, in order. All other bytes are zeros. */
  *extents(from: number, to: number): Generator<Range> {
    for (const [index, start, end] of partsOf(from, to, inOrder(this.#pages.keys()))) {
      yield [index * PAGE + start, index * PAGE + end];
    }
  }

  slice(from: number, to: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(Math.max(0, to - from));
    for (const [index, start, end] of partsOf(from, to)) {
      const page = this.#pages.get(index)?.bytes;
      if (page) bytes.set(page.subarray(start, end), index * PAGE + start - from);
    }
    return bytes;
  }

  at(position: number): number {
    const index = Math.floor(position / PAGE);
    return this.#pages.get(index)?.bytes[position - index * PAGE] ?? 0;
  }

  copy(other: SparseBytes, from: number, to: number): void {
    this.zero(from, to);
    for (const [index, start, end] of partsOf(from, to, other.#pages.keys())) {
      this.#writable(index).set(other.#pages.get(index)!.bytes.subarray(start, end), start);
    }
  }

  /** The first position of a range at which it differs from another instance; -1 if there is none. */
  firstDifference(other: SparseBytes, from: number, to: number): number {
    const indices = inOrder(new Set([...this.#pages.keys(), ...other.#pages.keys()]));
    for (const [index, start, end] of partsOf(from, to, indices)) {
      const one = (this.#pages.get(index)?.bytes ?? ZEROS).subarray(start, end);
      const two = (other.#pages.get(index)?.bytes ?? ZEROS).subarray(start, end);
      const at = firstDifference(one, two);
      if (at >= 0) return index * PAGE + start + at;
    }
    return -1;
  }
}

/** The index of the first byte that differs; -1 if there is none. */
export function firstDifference(bytes: Uint8Array, right: Uint8Array): number {
  return Buffer.compare(bytes, right) === 0
    ? -1
    : bytes.findIndex((byte, at) => byte !== right[at]);
}

function inOrder(pages: Iterable<number>): number[] {
  return [...pages].sort((one, other) => one - other);
}

function* pagesOf(from: number, to: number): Generator<number> {
  for (let index = Math.floor(from / PAGE); index * PAGE < to; index++) yield index;
}

/** The pages that overlap a range, each with its part of the range. */
function* partsOf(
  from: number,
  to: number,
  pages: Iterable<number> = pagesOf(from, to),
): Generator<[index: number, start: number, end: number]> {
  for (const index of pages) {
    const start = Math.max(from - index * PAGE, 0);
    const end = Math.min(to - index * PAGE, PAGE);
    if (start < end) yield [index, start, end];
  }
}
