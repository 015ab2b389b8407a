// What may be in a file: for each byte one value, or two where it is open which; and how long it may be.

import { Buffer } from "node:buffer";
import type { FileView } from "../kernel/flight.ts";
import { SparseBytes } from "../kernel/sparse_bytes.ts";
import { type Range, Ranges } from "./ranges.ts";

/** The content of a file as the contract has it. */
export class ExpectedFile {
  /** What every byte below {@linkcode end} is, or was before something began that may change it. */
  readonly content: SparseBytes = new SparseBytes();
  /** Where it is open what a byte is: the value of {@linkcode content}, or this one. */
  readonly #alternative = new SparseBytes();
  readonly open: Ranges = new Ranges();
  /** The content ends here: the file is never shorter. */
  end: number;
  /** The file is never longer than this when nobody works on it. */
  longest: number;

  /** All that is in the file now is its content. */
  constructor(readonly view: FileView) {
    this.end = this.longest = view.size;
    view.copyTo(this.content, 0, view.size);
  }

  /** The bytes of a range are these, and nothing else. */
  settle(position: number, bytes: Uint8Array): void {
    const end = position + bytes.length;
    this.#reach(position);
    this.content.write(position, bytes);
    this.open.remove(position, end);
    this.end = Math.max(this.end, end);
    this.longest = Math.max(this.longest, this.end);
  }

  /** What stands between the end and a position that is to be content, is content as it is. */
  #reach(position: number): void {
    if (position <= this.end) return;
    this.view.copyTo(this.content, this.end, position);
    this.end = position;
  }

  /** The bytes of a range are these from now on, or those that they were. */
  leaveOpen(position: number, bytes: Uint8Array): void {
    const end = Math.min(position + bytes.length, this.end);
    if (end <= position) return;
    // Where it was open already the file itself says which of them it was.
    for (const [from, to] of this.open.within(position, end)) {
      this.content.write(from, this.view.read(from, to - from));
    }
    this.#alternative.write(position, bytes.subarray(0, end - position));
    this.open.add(position, end);
  }

  /** The file was truncated to `length`, or extended by zeros. */
  truncated(length: number): void {
    if (length > this.end) this.#reach(length);
    this.content.zero(length, Infinity);
    this.open.remove(length, Infinity);
    this.end = this.longest = length;
  }

  /** The file may be that long from now on, by zeros. */
  mayExtendTo(length: number): void {
    this.longest = Math.max(this.longest, length);
  }

  /** What is behind `end` may be there or not. */
  mayEndAt(end: number): void {
    this.end = Math.min(this.end, end);
  }

  /** What stands in a range now is its content. */
  isAsFound(from: number, to: number): void {
    if (from >= this.end) return;
    const end = Math.min(to, this.end);
    this.view.copyTo(this.content, from, end);
    this.open.remove(from, end);
  }

  /** The first of these bytes that may not stand where they stand; -1 where all may. */
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

  /** The first byte of the file, or of a range, that is not what it may be; -1 where none is. */
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

  /** The ranges in which it is certain what every byte is. */
  certain(): Ranges {
    const certain = new Ranges([0, this.end]);
    certain.removeAll(this.open);
    return certain;
  }
}

/** What a power cut must leave of a file. */
export class DurableFile {
  readonly #bytes: SparseBytes;
  /** Where its bytes must be there. */
  readonly #promised: Ranges;
  /** The exact length, where that was promised. */
  #size: number | undefined;

  /** All of it is durable. */
  constructor(expected: ExpectedFile) {
    this.#bytes = expected.content.clone();
    this.#promised = new Ranges([0, expected.end]);
    this.#size = expected.end;
  }

  /** The bytes of these ranges are durable, and the length where given. */
  promise(expected: ExpectedFile, ranges: Iterable<Range>, size?: number): void {
    for (const [from, to] of ranges) {
      this.#bytes.copy(expected.content, from, to);
      this.#promised.add(from, to);
    }
    if (size === undefined) return;
    this.#size = size;
    this.#promised.remove(size, Infinity);
  }

  /** A file that was just made: nothing of it is promised. */
  promiseNothing(): void {
    this.#promised.remove(0, Infinity);
    this.#size = undefined;
  }

  /** A range may change: what was promised of it holds only where it stays the same. */
  mayBecome(position: number, bytes: Uint8Array): void {
    for (const [from, to] of this.#promised.within(position, position + bytes.length)) {
      const same = Buffer.compare(
        this.#bytes.slice(from, to),
        bytes.subarray(from - position, to - position),
      ) === 0;
      if (!same) this.#promised.remove(from, to);
    }
    this.mayExtendTo(position + bytes.length);
  }

  /** Anything may become of a range. */
  mayChange(from: number, to: number): void {
    this.#promised.remove(from, to);
    this.mayExtendTo(to);
  }

  /** The file may become longer. */
  mayExtendTo(end: number): void {
    if (this.#size !== undefined && end > this.#size) this.#size = undefined;
  }

  /** The file may become shorter or longer, or stay. */
  mayBeTruncated(length: number): void {
    this.#promised.remove(length, Infinity);
    this.#size = undefined;
  }

  /** What is wrong with what a power cut leaves; undefined where nothing is. */
  wrong(image: { readonly content: SparseBytes; readonly size: number }): string | undefined {
    const { size } = image;
    if (this.#size !== undefined && size !== this.#size) {
      return `${size} bytes are left of ${this.#size}`;
    }
    if (size < this.#promised.end) return `${size} bytes are left of ${this.#promised.end}`;
    for (const [from, to] of this.#promised) {
      const at = image.content.firstDifference(this.#bytes, from, to);
      if (at >= 0) {
        return `byte ${at} is ${image.content.at(at)} and was ${this.#bytes.at(at)}`;
      }
    }
    return undefined;
  }
}
