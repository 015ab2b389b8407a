// JavaScript's own memory, aligned for Direct I/O.

import { addressOf } from "../../ffi/address.ts";
import type { Memory } from "../engine/operation.ts";

/** The alignment of every buffer's address: enough for any device. */
const MEMORY_ALIGNMENT = 4096;

/** An aligned part of an ArrayBuffer. */
export class AlignedMemory implements Memory {
  readonly registration = -1;
  readonly buffer: ArrayBuffer;
  readonly address: number;
  readonly bytes: Uint8Array<ArrayBuffer>;

  private constructor(buffer: ArrayBuffer, address: number, offset: number, length: number) {
    this.buffer = buffer;
    this.address = address;
    this.bytes = new Uint8Array(buffer, offset, length);
  }

  /** Zeroed memory: a buffer that is larger than `length`, so that it has an aligned part. */
  static allocate(length: number): AlignedMemory {
    const buffer = new ArrayBuffer(length + MEMORY_ALIGNMENT);
    const address = addressOf(buffer);
    const offset = (MEMORY_ALIGNMENT - address % MEMORY_ALIGNMENT) % MEMORY_ALIGNMENT;
    return new AlignedMemory(buffer, address + offset, offset, length);
  }

  /** The same memory at the same address in a new ArrayBuffer. Every view of the old one becomes empty. */
  moved(): AlignedMemory {
    if (this.buffer.detached) {
      throw new TypeError(
        "Cannot use a DmaBuffer whose memory was transferred away: allocate another",
      );
    }
    const { byteOffset, length } = this.bytes;
    return new AlignedMemory(this.buffer.transfer(), this.address, byteOffset, length);
  }
}
