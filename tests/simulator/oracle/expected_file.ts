// The content of a file by the contract, and its possible lengths.

import type { SimulatedFile } from "../kernel/simulated_file.ts";
import { SparseBytes } from "../kernel/sparse_bytes.ts";
import { Ranges } from "./ranges.ts";

export class ExpectedFile {
  /** The value of every byte below {@linkcode end}. */
  readonly content: SparseBytes = new SparseBytes();
  /** Ranges of which nothing is promised while the file has writers. */
  readonly loose: Ranges = new Ranges();
  /** The end of the content. The file is never shorter. */
  end: number;
  /** The maximum length of the file while no call uses it. */
  longest: number;

  /** Makes the whole file content. */
  constructor(readonly view: SimulatedFile) {
    this.end = this.longest = view.size;
    this.content.copy(view.content, 0, view.size);
  }

  /** Sets the bytes of a range. Returns the position of the first one that is not in the file; -1 if all are. */
  settle(position: number, bytes: Uint8Array): number {
    const end = position + bytes.length;
    this.#reach(position);
    this.content.write(position, bytes);
    this.loose.remove(position, end);
    this.end = Math.max(this.end, end);
    this.longest = Math.max(this.longest, this.end);
    return this.view.content.firstDifference(this.content, position, end);
  }

  /** Makes the bytes between the end and a new content position content. */
  #reach(position: number): void {
    if (position <= this.end) return;
    this.content.copy(this.view.content, this.end, position);
    this.end = position;
  }

  /** Makes the current bytes of a range content, as far as it was content before. */
  isAsFound(from: number, to: number): void {
    if (from < this.end) this.content.copy(this.view.content, from, Math.min(to, this.end));
  }

  /** Records that the file has no writers, so that loose bytes no longer change. */
  tighten(): void {
    for (const [from, to] of this.loose) this.isAsFound(from, to);
    this.loose.remove(0, Infinity);
  }

  /** Records a truncate to `length`, or an extension with zeros. */
  truncated(length: number): void {
    if (length > this.end) this.#reach(length);
    this.content.zero(length, Infinity);
    this.loose.remove(length, Infinity);
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
}
