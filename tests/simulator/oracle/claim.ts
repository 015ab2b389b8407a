// Ranges of a file that running calls use.

/** A running call that changes a range, or reads it, so that the range must not change. */
export interface Claim {
  readonly from: number;
  readonly to: number;
  /** The bytes that it writes from `from` on; empty for a read, or behind the end. */
  readonly bytes: Uint8Array;
}

/** The largest block size of any file system here. */
export const LARGEST_BLOCK = 4096;

/** The start of the block that contains a position. */
export function blockStart(position: number): number {
  return position - position % LARGEST_BLOCK;
}

/** The end of the block that contains, or ends at, a position. */
export function blockEnd(position: number): number {
  return blockStart(position + LARGEST_BLOCK - 1);
}
