// DmaBuffer: memory of JavaScript's own that suits Direct I/O.

import { AlignedMemory } from "./core/aligned_memory.ts";

/** Guards the constructor: buffers come from {@linkcode DmaFile.allocBuffer}. */
const made = Symbol("made");

/**
 * Memory that Direct I/O can use without a copy. It is JavaScript's own: nothing that is done with its `bytes`
 * can reach freed memory.
 *
 * While the kernel has it, `bytes` is empty, as are all views that were taken of it; afterwards `bytes` is a new
 * view of the same memory.
 */
export class DmaBuffer {
  /** Its length in bytes, also while the kernel has it. */
  readonly length: number;
  #memory: AlignedMemory | undefined;
  #bytes: Uint8Array<ArrayBuffer>;

  /** Not for users: use {@linkcode DmaFile.allocBuffer}. */
  constructor(token: symbol, length: number) {
    if (token !== made) {
      throw new TypeError("Cannot construct a DmaBuffer: get one from DmaFile.allocBuffer");
    }
    this.length = length;
    this.#memory = AlignedMemory.allocate(length);
    this.#bytes = this.#memory.bytes;
  }

  /** A view of the memory; empty while the kernel has it, and after it was given away. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes;
  }

  /** Shows the length in `console.log`. */
  [Symbol.for("Deno.customInspect")](): string {
    return `DmaBuffer { length: ${this.length}${this.#memory ? "" : ", in use"} }`;
  }

  /** Takes the memory away from whoever holds views of it. */
  static take(buffer: DmaBuffer): AlignedMemory {
    const memory = buffer.#memory;
    if (!memory) {
      throw new TypeError(
        "Cannot use a DmaBuffer that is in use or was given away: await its operation, or allocate another",
      );
    }
    const taken = memory.taken();
    buffer.#memory = undefined;
    buffer.#bytes = taken.none;
    return taken;
  }

  /** Gives memory back that was taken. */
  static giveBack(buffer: DmaBuffer, memory: AlignedMemory): void {
    buffer.#memory = memory;
    buffer.#bytes = memory.bytes;
  }
}

/** A zeroed buffer. */
export function allocateBuffer(length: number): DmaBuffer {
  return new DmaBuffer(made, length);
}
