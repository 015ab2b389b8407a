// Bytes that differ by position, and from zeros, so that what is missing, misplaced or stale in a file is seen.

/** The bytes that belong to positions from `position` on: others for each seed, and next to no aligned word zero. */
export function content(position: number, length: number, seed = 0): Uint8Array<ArrayBuffer> {
  const first = Math.floor(position / 4);
  const words = new Uint32Array(Math.ceil((position + length) / 4) - first);
  for (let at = 0; at < words.length; at++) {
    words[at] = Math.imul(first + at + 1 + Math.imul(seed, 0x0100_0193), 0x9e37_79b1);
  }
  return new Uint8Array(words.buffer, position - first * 4, length);
}

/** The position of the first byte below `length` that is not what belongs there; -1 where all are. */
export function firstWrong(bytes: Uint8Array, length: number, seed = 0, position = 0): number {
  const expected = content(position, length, seed);
  for (let at = 0; at < length; at++) if (bytes[at] !== expected[at]) return position + at;
  return -1;
}

/** The position of the first byte from `from` on that is neither what belongs there nor zero; -1 without one. */
export function firstForeign(bytes: Uint8Array, from: number, seed = 0): number {
  const expected = content(from, Math.max(0, bytes.length - from), seed);
  for (let at = from; at < bytes.length; at++) {
    if (bytes[at] !== 0 && bytes[at] !== expected[at - from]) return at;
  }
  return -1;
}
