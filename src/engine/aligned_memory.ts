// JavaScript's own memory, aligned for Direct I/O.

import { addressOf } from "../../ffi/address.ts";
import type { Memory } from "./operation.ts";

/** The alignment of every buffer's address: enough for any device. */
const MEMORY_ALIGNMENT = 4096;

/** Zeroed memory: the aligned part of an ArrayBuffer that is larger than `length`. */
export function allocateMemory(length: number): Memory {
  const buffer = new ArrayBuffer(length + MEMORY_ALIGNMENT);
  const start = addressOf(buffer);
  const offset = (MEMORY_ALIGNMENT - start % MEMORY_ALIGNMENT) % MEMORY_ALIGNMENT;
  const bytes = new Uint8Array(buffer, offset, length);
  return { bytes, address: start + offset, registration: -1 };
}
