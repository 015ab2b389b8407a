// The bytes of a file that a power cut must leave.

import { Buffer } from "node:buffer";
import { type Flight, rangeOf } from "../kernel/flight.ts";
import type { Range, SparseBytes } from "../kernel/sparse_bytes.ts";
import type { ExpectedFile } from "./expected_file.ts";
import { Ranges } from "./ranges.ts";

export class DurableFile {
  readonly #bytes: SparseBytes;
  readonly #promised: Ranges;
  /** The exact length, if it was promised. */
  #size: number | undefined;

  /** Makes the whole file durable. */
  constructor(expected: ExpectedFile) {
    this.#bytes = expected.content.clone();
    this.#promised = new Ranges(0, expected.end);
    this.#size = expected.end;
  }

  /** Makes the bytes of these ranges durable, and the length if given. */
  promise(expected: ExpectedFile, ranges: Iterable<Range>, size?: number): void {
    for (const [from, to] of ranges) {
      this.#bytes.copy(expected.content, from, to);
      this.#promised.add(from, to);
    }
    if (size === undefined) return;
    this.#size = size;
    this.#promised.remove(size, Infinity);
  }

  /** Applies the possible effect of an operation in flight. The content ended at `end` when it was submitted. */
  mayPerform({ operation, bytes }: Flight, end: number): void {
    const range = rangeOf(operation);
    if (operation.op === "truncate") this.mayBeTruncated(Math.min(operation.length, end));
    else if (operation.op === "allocate" && operation.mode === 0) {
      this.mayChange(end, operation.position + operation.length);
    } else if (operation.op === "allocate" && range) {
      this.mayChange(range[0], Math.min(range[1], end));
    } else if (range) this.mayChange(...range, bytes);
  }

  /** Drops the promise for a range, except for bytes that keep their value. The file may become longer. */
  mayChange(from: number, to: number, bytes?: Uint8Array): void {
    for (const [start, stop] of this.#promised.within(from, to)) {
      const now = this.#bytes.slice(start, stop);
      const isSame = bytes && Buffer.compare(now, bytes.subarray(start - from, stop - from)) === 0;
      if (!isSame) this.#promised.remove(start, stop);
    }
    if (this.#size !== undefined && to > this.#size) this.#size = undefined;
  }

  /** Drops the promise for everything from a length on, and for the length. */
  mayBeTruncated(length: number): void {
    this.#promised.remove(length, Infinity);
    this.#size = undefined;
  }

  /** The defect of the file after a power cut; undefined if there is none. */
  wrong(image: { readonly content: SparseBytes; readonly size: number }): string | undefined {
    const { size } = image;
    if (this.#size !== undefined && size !== this.#size) {
      return `${size} bytes are left of ${this.#size}`;
    }
    if (size < this.#promised.end) return `${size} bytes are left of ${this.#promised.end}`;
    for (const [from, to] of this.#promised) {
      const at = image.content.firstDifference(this.#bytes, from, to);
      if (at >= 0) return `byte ${at} is ${image.content.at(at)} and was ${this.#bytes.at(at)}`;
    }
    return undefined;
  }
}
