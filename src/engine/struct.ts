// Reads the structures that the kernel has written.

import type { Bytes } from "./operation.ts";

/** The buffer of the last structure, and its view. To create a view takes longer than to read a structure. */
let viewed = new ArrayBuffer(0);
let view = new DataView(viewed);

export function u32({ buffer, byteOffset }: Bytes, at: number): number {
  if (viewed !== buffer) view = new DataView(viewed = buffer);
  return view.getUint32(byteOffset + at, true);
}

/** 64 bits at an offset: a BigInt if a number does not hold them exactly. */
export function u64(bytes: Bytes, at: number): number | bigint {
  const low = u32(bytes, at);
  const high = u32(bytes, at + 4);
  const value = high * 0x100000000 + low;
  return Number.isSafeInteger(value) ? value : (BigInt(high) << 32n) | BigInt(low);
}
