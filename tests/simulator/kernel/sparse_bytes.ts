// Bytes at any position. Only non-zero pages take memory. Copies share pages until one is written.

import { Buffer } from "node:buffer";

const PAGE = 4096;
const ZEROS = new Uint8Array(PAGE);

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

  /** A copy of the current state. */
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

  /** The pages of a range, each with its part of the range. */
  *#parts(from: number, to: number): Generator<[index: number, start: number, end: number]> {
    for (let at = from; at < to;) {
      const index = Math.floor(at / PAGE);
      const end = Math.min(to, (index + 1) * PAGE);
      yield [index, at - index * PAGE, end - index * PAGE];
      at = end;
    }
  }

  write(position: number, bytes: Uint8Array): void {
    let at = 0;
    for (const [index, start, end] of this.#parts(position, position + bytes.length)) {
      this.#writable(index).set(bytes.subarray(at, at + end - start), start);
      at += end - start;
    }
  }

  /** Fills a range with zeros; with `Infinity` the rest. */
  zero(from: number, to: number): void {
    for (const index of [...this.#pages.keys()]) {
      const start = Math.max(from - index * PAGE, 0);
      const end = Math.min(to - index * PAGE, PAGE);
      if (start >= end) continue;
      if (start === 0 && end === PAGE) this.#pages.delete(index);
      else this.#writable(index).fill(0, start, end);
    }
  }

  /** The parts of a range that take memory. All other bytes are zeros. */
  extents(from: number, to: number): [from: number, to: number][] {
    return [...this.#pages.keys()].sort((one, other) => one - other).flatMap((index) => {
      const start = Math.max(from, index * PAGE);
      const end = Math.min(to, (index + 1) * PAGE);
      return start < end ? [[start, end] as [number, number]] : [];
    });
  }

  read(position: number, into: Uint8Array): void {
    let at = 0;
    for (const [index, start, end] of this.#parts(position, position + into.length)) {
      into.set((this.#pages.get(index)?.bytes ?? ZEROS).subarray(start, end), at);
      at += end - start;
    }
  }

  slice(from: number, to: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(Math.max(0, to - from));
    this.read(from, bytes);
    return bytes;
  }

  at(position: number): number {
    const index = Math.floor(position / PAGE);
    return this.#pages.get(index)?.bytes[position - index * PAGE] ?? 0;
  }

  /** Copies a range of another instance. */
  copy(other: SparseBytes, from: number, to: number): void {
    this.zero(from, to);
    for (const [index, page] of other.#pages) {
      const start = Math.max(from - index * PAGE, 0);
      const end = Math.min(to - index * PAGE, PAGE);
      if (start < end) this.#writable(index).set(page.bytes.subarray(start, end), start);
    }
  }

  /** The first position of a range at which it differs from another instance; -1 if there is none. */
  firstDifference(other: SparseBytes, from: number, to: number): number {
    const indices = new Set([...this.#pages.keys(), ...other.#pages.keys()]);
    let first = -1;
    for (const index of indices) {
      const mine = this.#pages.get(index);
      const others = other.#pages.get(index);
      if (mine === others) continue;
      const start = Math.max(from - index * PAGE, 0);
      const end = Math.min(to - index * PAGE, PAGE);
      if (start >= end) continue;
      const one = mine?.bytes ?? ZEROS;
      const two = others?.bytes ?? ZEROS;
      if (Buffer.compare(one.subarray(start, end), two.subarray(start, end)) === 0) continue;
      let at = start;
      while (one[at] === two[at]) at++;
      const position = index * PAGE + at;
      if (first < 0 || position < first) first = position;
    }
    return first;
  }
}
