// The bytes of a file that a power cut must leave.

import { Buffer } from "node:buffer";
import { type Flight, rangeOf } from "../kernel/flight.ts";
import type { SparseBytes } from "../kernel/sparse_bytes.ts";
import type { ExpectedFile } from "./expected_file.ts";
import { type Range, Ranges } from "./ranges.ts";

/** The bytes of a file that must survive a power cut. */
export class DurableFile {
  readonly #bytes: SparseBytes;
  /** The durable ranges. */
  readonly #promised: Ranges;
  /** The exact length, if it was promised. */
  #size: number | undefined;

  /** Makes the whole file durable. */
  constructor(expected: ExpectedFile) {
    this.#bytes = expected.content.clone();
    this.#promised = new Ranges([0, expected.end]);
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

  /** Resets a new file, of which nothing is promised. */
  promiseNothing(): void {
    this.#promised.remove(0, Infinity);
    this.#size = undefined;
  }

  /** Applies the possible effect of an operation in flight. The content ended at `end` when it was submitted. */
  mayPerform({ operation, bytes }: Flight, end: number): void {
    const range = rangeOf(operation);
    if (operation.op === "write") this.#mayBecome(operation.position, bytes!);
    else if (operation.op === "truncate") this.mayBeTruncated(Math.min(operation.length, end));
    else if (operation.op === "copyRange") this.mayChange(...range!);
    else if (range) this.mayChange(range[0], Math.min(range[1], end));
    else if (operation.op === "allocate" && operation.mode === 0) {
      this.#mayExtendTo(operation.position + operation.length);
    }
  }

  /** Notes that a range may change. The promise stays for bytes that keep their value. */
  #mayBecome(position: number, bytes: Uint8Array): void {
    for (const [from, to] of this.#promised.within(position, position + bytes.length)) {
      const same = Buffer.compare(
        this.#bytes.slice(from, to),
        bytes.subarray(from - position, to - position),
      ) === 0;
      if (!same) this.#promised.remove(from, to);
    }
    this.#mayExtendTo(position + bytes.length);
  }

  /** Drops the promise for a range. */
  mayChange(from: number, to: number): void {
    this.#promised.remove(from, to);
    this.#mayExtendTo(to);
  }

  /** Notes that the file may become longer. */
  #mayExtendTo(end: number): void {
    if (this.#size !== undefined && end > this.#size) this.#size = undefined;
  }

  /** Drops the promised length. */
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
      if (at >= 0) {
        return `byte ${at} is ${image.content.at(at)} and was ${this.#bytes.at(at)}`;
      }
    }
    return undefined;
  }
}
