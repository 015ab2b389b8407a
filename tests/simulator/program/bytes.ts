// Bytes for files and chunks: never zero, to distinguish them from padding, and different for each seed.

import { Random } from "../random.ts";

const TABLE = 1 << 21;

const table = new Uint8Array(TABLE);
const random = new Random(1);
for (let at = 0; at < TABLE; at++) table[at] = 1 + random.below(255);

export function bytesOf(seed: number, length: number): Uint8Array<ArrayBuffer> {
  const start = Math.imul(seed, 2_654_435_761) >>> 12;
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += TABLE - start) {
    bytes.set(table.subarray(start, start + length - at), at);
  }
  return bytes;
}
