// The possible content of a file: for each byte one value, or two if both are possible, and the possible lengths.

import { Buffer } from "node:buffer";
import type { SimulatedFile } from "../kernel/simulated_file.ts";
import { SparseBytes } from "../kernel/sparse_bytes.ts";
import { Ranges } from "./ranges.ts";

/** The content of a file by the contract. */
export class ExpectedFile {
  /** The value of every byte below {@linkcode end}, or the value before an operation that may change it. */
  readonly content: SparseBytes = new SparseBytes();
  /** The second possible value of a byte, besides that of {@linkcode content}. */
  readonly #alternative = new SparseBytes();
  readonly open: Ranges = new Ranges();
  /** The end of the content. The file is never shorter. */
  end: number;
  /** The maximum length of the file while no call uses it. */
  longest: number;

  /** Makes the whole file content. */
  constructor(readonly view: SimulatedFile) {
    this.end = this.longest = view.size;
    view.copyTo(this.content, 0, view.size);
  }

  /** Sets the bytes of a range. */
  settle(position: number, bytes: Uint8Array): void {
    const end = position + bytes.length;
    this.#reach(position);
    this.content.write(position, bytes);
    this.open.remove(position, end);
    this.end = Math.max(this.end, end);
    this.longest = Math.max(this.longest, this.end);
  }

  /** Makes the bytes between the end and a new content position content. */
  #reach(position: number): void {
    if (position <= this.end) return;
    this.view.copyTo(this.content, this.end, position);
    this.end = position;
  }

  /** Sets a second possible value for the bytes of a range. */
  leaveOpen(position: number, bytes: Uint8Array): void {
    const end = Math.min(position + bytes.length, this.end);
    if (end <= position) return;
    // If there were two values already, the file shows the actual one.
    for (const [from, to] of this.open.within(position, end)) {
      this.content.write(from, this.view.read(from, to - from));
    }
    this.#alternative.write(position, bytes.subarray(0, end - position));
    this.open.add(position, end);
  }

  /** Records a truncate to `length`, or an extension with zeros. */
  truncated(length: number): void {
    if (length > this.end) this.#reach(length);
    this.content.zero(length, Infinity);
    this.open.remove(length, Infinity);
    this.end = this.longest = length;
  }

  /** Allows the file to have zeros up to this length. */
  mayExtendTo(length: number): void {
    this.longest = Math.max(this.longest, length);
  }

  /** Allows the bytes behind `end` to be present or missing. */
  mayEndAt(end: number): void {
    this.end = Math.min(this.end, end);
  }

  /** Makes the current bytes of a range content. */
  isAsFound(from: number, to: number): void {
    if (from >= this.end) return;
    const end = Math.min(to, this.end);
    this.view.copyTo(this.content, from, end);
    this.open.remove(from, end);
  }

  /** The index of the first byte that is not possible at its position; -1 if all are possible. */
  firstWrong(position: number, bytes: Uint8Array): number {
    const end = position + bytes.length;
    const expected = this.content.slice(position, end);
    if (Buffer.compare(expected, bytes) === 0) return -1;
    for (let at = 0; at < bytes.length; at++) {
      if (bytes[at] === expected[at]) continue;
      const where = position + at;
      const isOther = this.open.overlaps(where, where + 1) &&
        this.#alternative.at(where) === bytes[at];
      if (!isOther) return where;
    }
    return -1;
  }

  /** The position of the first byte of the file, or of a range, that has an impossible value; -1 if there is none. */
  firstDifference(start = 0, end: number = this.end): number {
    const { view, content } = this;
    let from = start;
    for (;;) {
      const at = view.firstDifference(content, from, end);
      if (at < 0) return -1;
      const [, to] = this.open.within(at, end).find(([start]) => start === at) ?? [at, at];
      const wrong = to > at ? this.firstWrong(at, view.read(at, to - at)) : at;
      if (wrong >= 0) return wrong;
      from = to;
    }
  }

  /** The ranges in which every byte has only one possible value. */
  certain(): Ranges {
    const certain = new Ranges([0, this.end]);
    certain.removeAll(this.open);
    return certain;
  }
}
