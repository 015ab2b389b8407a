// Ranges of a file that running calls use.

import type { WriterOracle } from "./writer_oracle.ts";

/** A running call that changes a range, or reads it, so that the range must not change. */
export interface Claim {
  readonly from: number;
  readonly to: number;
  /** The bytes that it writes from `from` on; empty for a read, or behind the end. */
  readonly bytes: Uint8Array;
}

/** The owner of some bytes, and their end. */
export interface Source {
  readonly bytes: Uint8Array | undefined;
  readonly to: number;
  readonly writer?: WriterOracle;
}

/** The owner of the byte at a position. */
export function sourceOf(
  position: number,
  { claims, writers }: { claims: Iterable<Claim>; writers: Iterable<WriterOracle> },
): Source {
  let to = Infinity;
  for (const { from, bytes } of claims) {
    const end = from + bytes.length;
    if (from > position) to = Math.min(to, from);
    else if (position < end) return { bytes: bytes.subarray(position - from), to: end };
  }
  for (const writer of writers) {
    const { start, givenEnd } = writer;
    if (start > position) to = Math.min(to, start);
    else if (position < givenEnd) {
      const end = Math.min(to, givenEnd);
      return { bytes: writer.givenAt(position, end), to: end, writer };
    }
  }
  return { bytes: undefined, to };
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
