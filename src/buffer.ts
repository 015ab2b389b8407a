// DmaBuffer: memory of JavaScript's own that suits Direct I/O.

import { AlignedMemory } from "./core/aligned_memory.ts";

/** Guards the constructor: buffers come from {@linkcode DmaFile.allocBuffer}. */
const made = Symbol("made");

/** A zeroed buffer. For this module only. */
export let allocateBuffer: (length: number) => DmaBuffer;
/** Takes the memory away from whoever holds views of it. For this module only. */
export let takeMemory: (buffer: DmaBuffer) => AlignedMemory;
/** Gives memory back that was taken. For this module only. */
export let giveMemoryBack: (buffer: DmaBuffer, memory: AlignedMemory) => void;

/**
 * Memory that Direct I/O can use without a copy. It is JavaScript's own: nothing that is done with its `bytes`
 * can reach freed memory. {@linkcode DmaFile.prototype.allocBuffer | DmaFile.allocBuffer} gives it out.
 *
 * While the kernel has it, `bytes` is empty, as are all views that were taken of it; afterwards `bytes` is a new
 * view of the same memory.
 *
 * @example Fill a buffer and write it
 * ```ts
 * import { DmaFile } from "@denodma/dma";
 *
 * await using file = await DmaFile.create("buffer.bin");
 * const buffer = file.allocBuffer(4096);
 * new TextEncoder().encodeInto("Hello, disk", buffer.bytes);
 * console.log(await file.writeAt(buffer, 0)); // 4096
 * ```
 */
export class DmaBuffer {
  /** Its length in bytes, also while the kernel has it. */
  readonly length: number;
  #memory: AlignedMemory | undefined;
  #bytes: Uint8Array<ArrayBuffer>;

  static {
    allocateBuffer = (length) => new DmaBuffer(made, length);
    takeMemory = (buffer) => {
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
    };
    giveMemoryBack = (buffer, memory) => {
      buffer.#memory = memory;
      buffer.#bytes = memory.bytes;
    };
  }

  /** @ignore */
  private constructor(token: symbol, length: number) {
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

  /**
   * Shows the length in `console.log`.
   *
   * @ignore
   */
  [Symbol.for("Deno.customInspect")](): string {
    return `DmaBuffer { length: ${this.length}${this.#memory ? "" : ", in use"} }`;
  }
}
