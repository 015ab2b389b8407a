// Ranges of a file that calls under way are at work on.

import type { WriterOracle } from "./writer_oracle.ts";

/** A call under way that changes a range. */
export interface Claim {
  readonly from: number;
  readonly to: number;
  /** What it puts there; undefined where nothing may change meanwhile, because it is read. */
  readonly bytes: Uint8Array | undefined;
}

/** Who gave bytes, and up to where. */
export interface Source {
  readonly bytes: Uint8Array | undefined;
  readonly to: number;
  readonly writer?: WriterOracle;
}

/** Who gave the byte at a position. */
export function sourceOf(
  position: number,
  { claims, writers }: { claims: Iterable<Claim>; writers: Iterable<WriterOracle> },
): Source {
  let to = Infinity;
  for (const claim of claims) {
    if (!claim.bytes) continue;
    if (claim.from > position) to = Math.min(to, claim.from);
    else if (position < claim.to) {
      return { bytes: claim.bytes.subarray(position - claim.from), to: claim.to };
    }
  }
  for (const writer of writers) {
    const { start, givenEnd } = writer;
    if (start > position) to = Math.min(to, start);
    else if (position < givenEnd) {
      const end = Math.min(to, givenEnd);
      return { bytes: writer.given.slice(position - start, end - start), to: end, writer };
    }
  }
  return { bytes: undefined, to };
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
