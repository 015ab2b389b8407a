// Ranges of a file that calls under way are at work on.

/** A call under way that changes a range. */
export interface Claim {
  readonly from: number;
  readonly to: number;
  /** What it puts there; undefined where nothing may change meanwhile, because it is read. */
  readonly bytes: Uint8Array | undefined;
}

/** Who gave bytes, and up to where. */
export interface Source<Writer> {
  readonly bytes: Uint8Array | undefined;
  readonly to: number;
  readonly writer?: Writer;
}

/** Blocks of any file system here are no larger. */
export const LARGEST_BLOCK = 4096;

/** The start of the block that a position is in. */
export function blockStart(position: number): number {
  return position - position % LARGEST_BLOCK;
}

/** The end of the block that a position is in, or ends. */
export function blockEnd(position: number): number {
  return blockStart(position + LARGEST_BLOCK - 1);
}
