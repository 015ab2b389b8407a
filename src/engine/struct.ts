// Reads the structures that the kernel has written.

import type { Bytes } from "./operation.ts";

export function u32(bytes: Bytes, at: number): number {
  // Faster than a view, of which each structure would need its own.
  return (bytes[at]! | bytes[at + 1]! << 8 | bytes[at + 2]! << 16 | bytes[at + 3]! << 24) >>> 0;
}

/** 64 bits at an offset: a BigInt if a number does not hold them exactly. */
export function u64(bytes: Bytes, at: number): number | bigint {
  const low = u32(bytes, at);
  const high = u32(bytes, at + 4);
  const value = high * 0x100000000 + low;
  return Number.isSafeInteger(value) ? value : (BigInt(high) << 32n) | BigInt(low);
}
