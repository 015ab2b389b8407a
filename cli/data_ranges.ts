// Finds the ranges of a file that have data. The rest is holes, which read as zeros and take no space.
import { type Descriptor, SEEK_DATA, SEEK_HOLE } from "./descriptor.ts";

/** Bytes from `start` to `end`. */
export interface DataRange {
  readonly start: number;
  readonly end: number;
}

/** The ranges with data in the first `size` bytes, in order: one range if the file system cannot tell. */
export async function* dataRanges(on: Descriptor, size: number): AsyncGenerator<DataRange> {
  for (let at = 0; at < size;) {
    const hole = await on.seek(at, SEEK_HOLE);
    if (hole === at) {
      // If no data follows, the hole extends to the end.
      at = await on.seek(at, SEEK_DATA) ?? size;
      continue;
    }
    const end = hole === undefined ? size : Math.min(hole, size);
    yield { start: at, end };
    at = end;
  }
}
