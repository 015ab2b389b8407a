// Bytes that other processes have cut off a file, and that a writer may have read before.

import { SparseBytes } from "../kernel/sparse_bytes.ts";
import type { ExpectedFile } from "./expected_file.ts";
import { Ranges } from "./ranges.ts";

export class CutsByOthers {
  readonly #bytes = new SparseBytes();
  readonly #ranges = new Ranges();
  /** How long the file was before. The module may take what comes up to there for space that it has reserved (docs/limits.md). */
  size = 0;

  /** A file of `size` bytes is cut to `length`. With `isRead` writers are at work, and fill blocks with what they have read. */
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
