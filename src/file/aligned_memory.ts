// JavaScript's own memory, aligned for Direct I/O.

import { addressOf } from "../../ffi/address.ts";
import type { Memory } from "../engine/operation.ts";

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

/** The same memory at the same address in a new ArrayBuffer. Every view of the old one becomes empty. */
export function moveMemory({ bytes, address, registration }: Memory): Memory {
  const { buffer, byteOffset, length } = bytes;
  if (buffer.detached) {
    throw new TypeError(
      "Cannot use a DmaBuffer whose memory was transferred away: allocate another",
    );
  }
  return { bytes: new Uint8Array(buffer.transfer(), byteOffset, length), address, registration };
}
