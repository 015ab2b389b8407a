// Bytes that other processes have cut off a file, and that a writer may have read before.

import { SparseBytes } from "../kernel/sparse_bytes.ts";
import type { ExpectedFile } from "./expected_file.ts";
import { Ranges } from "./ranges.ts";

export class CutsByOthers {
  readonly #bytes = new SparseBytes();
  readonly #ranges = new Ranges();
  /**
   * The length of the file before the cut. The module may mistake bytes up to there for space that it has reserved
   * (docs/limits.md).
   */
  size = 0;

  /**
   * Records a cut of a file of `size` bytes to `length`. With `isRead` writers are running, and fill blocks with bytes
   * that they have read.
   */
  note({ content, end }: ExpectedFile, size: number, length: number, isRead: boolean): void {
    this.size = Math.max(this.size, size);
    if (!isRead) return;
    this.#bytes.copy(content, length, end);
    this.#ranges.add(length, end);
  }

  /** Whether a writer may have read this byte before a cut. */
  recalls(position: number, byte: number | undefined): boolean {
    return this.#ranges.overlaps(position, position + 1) && this.#bytes.at(position) === byte;
  }
}
