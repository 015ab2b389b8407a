// The checked options of a writer, which its parts share.

import type { BufferBudget } from "../engine/buffer_budget.ts";

export interface WriterOptions {
  /** Whether to start at the end of the file instead of `position`. */
  readonly append: boolean;
  readonly position: number;
  /** A multiple of the file's block size. */
  readonly bufferSize: number;
  /** The maximum number of writes in flight. */
  readonly writeBehind: number;
  /** The budget of the buffers. It is shared unless their size or number was set. */
  readonly budget: BufferBudget;
  /** Whether the end of file may be moved ahead. */
  readonly preallocate: boolean;
  /** The expected length, or 0. */
  readonly sizeHint: number;
  readonly syncOnClose: boolean;
  readonly closeFile: boolean;
}
