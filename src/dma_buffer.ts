// DmaBuffer: JavaScript memory that is aligned for Direct I/O.

import { addressOf } from "../ffi/address.ts";
import { wrongObject } from "./arguments.ts";
import type { Memory } from "./engine/operation.ts";

/** The alignment of every buffer's address: enough for any device. */
const MEMORY_ALIGNMENT = 4096;

/** Zeroed memory of JavaScript's own: the aligned part of an ArrayBuffer that is larger than `length`. */
export function allocateMemory(length: number): Memory {
  const buffer = new ArrayBuffer(length + MEMORY_ALIGNMENT);
  const start = addressOf(buffer);
  const offset = (MEMORY_ALIGNMENT - start % MEMORY_ALIGNMENT) % MEMORY_ALIGNMENT;
  const bytes = new Uint8Array(buffer, offset, length);
  return { bytes, address: start + offset, registration: -1 };
}

/** Guards the constructor: buffers come from `DmaFile.allocBuffer`. */
const allocated = Symbol("allocated");

/** Saved at the import: a user can give the ArrayBuffer another `transfer`. */
const transfer: (buffer: ArrayBuffer) => ArrayBuffer = Function.prototype.call.bind(
  ArrayBuffer.prototype.transfer,
);

/**
 * The memory and the length of each buffer. The memory is undefined while it is in use, and after a writer took it. Its
 * view is given to no user, who could add a `length` of its own.
 */
const states = new WeakMap<DmaBuffer, { memory: Memory | undefined; length: number }>();

/**
 * Memory that Direct I/O uses without a copy, allocated by `DmaFile.allocBuffer`. In a Worker its bytes are copied. The
 * memory belongs to JavaScript, so `bytes` never refers to freed memory.
 *
 * While the kernel uses the buffer, `bytes` and all earlier views of it are empty. Afterwards `bytes` is a new view of
 * the same memory.
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
  /** `structuredClone` and `postMessage` cannot clone a symbol. Their error names it. */
  private readonly cloning: symbol = Symbol(
    "A DmaBuffer belongs to its isolate: transfer bytes.buffer instead",
  );

  /** @ignore */
  private constructor(token: symbol, length: number) {
    if (token !== allocated) {
      throw new TypeError("Cannot construct a DmaBuffer: get one from DmaFile.allocBuffer");
    }
    states.set(this, { memory: allocateMemory(length), length });
  }

  /**
   * The length in bytes. It is constant, also while the kernel uses the buffer.
   *
   * @example Allocate whole blocks
   * ```ts
   * import { DmaFile } from "@denodma/dma";
   *
   * await using file = await DmaFile.create("buffer.bin");
   * console.log(file.allocBuffer(1).length); // 4096 where blocks have 4,096 bytes
   * ```
   */
  get length(): number {
    return states.get(this)!.length;
  }

  /**
   * A view of the memory. It is empty while the kernel uses the buffer, and after a writer has taken it.
   *
   * @example Take a new view after each operation
   * ```ts
   * import { DmaFile } from "@denodma/dma";
   *
   * await using file = await DmaFile.create("buffer.bin");
   * const buffer = file.allocBuffer(4096);
   * const written = file.writeAt(buffer, 0);
   * console.log(buffer.bytes.length); // 0: the kernel uses it
   * await written;
   * console.log(buffer.bytes.length); // 4096
   * ```
   */
  get bytes(): Uint8Array<ArrayBuffer> {
    const bytes = states.get(this)!.memory?.bytes;
    // It has no bytes if its memory was transferred.
    return bytes?.length ? bytes.subarray() : new Uint8Array(0);
  }

  /** @ignore */
  [Symbol.for("Deno.customInspect")](): string {
    const state = states.get(this);
    // The prototype has none.
    if (!state) return "DmaBuffer {}";
    return `DmaBuffer { length: ${state.length}${state.memory ? "" : ", in use"} }`;
  }
}

/** A zeroed buffer. */
export function allocateBuffer(length: number): DmaBuffer {
  const Buffer = DmaBuffer as unknown as new (token: symbol, length: number) => DmaBuffer;
  return new Buffer(allocated, length);
}

/** The length of a buffer that {@linkcode allocateBuffer} made; undefined for any other value. */
export function lengthOfBuffer(value: unknown): number | undefined {
  return states.get(value as DmaBuffer)?.length;
}

/** As {@linkcode lengthOfBuffer}. Throws TypeError for any other value; the message uses `what`. */
export function demandBuffer(value: unknown, what: string): number {
  const length = lengthOfBuffer(value);
  if (length === undefined) throw wrongObject("buffer", value, "DmaBuffer", what);
  return length;
}

/** Takes the memory, and detaches all views of it. */
export function takeMemory(buffer: DmaBuffer): Memory {
  const state = states.get(buffer)!;
  const { memory } = state;
  if (!memory) {
    throw new TypeError(
      "Cannot use a DmaBuffer that is in use or was passed to a writer: await its operation, or allocate another",
    );
  }
  const { buffer: old, byteOffset, length } = memory.bytes;
  if (length === 0) {
    throw new TypeError(
      "Cannot use a DmaBuffer whose memory was transferred away: allocate another",
    );
  }
  state.memory = undefined;
  // The address stays the same.
  return { ...memory, bytes: new Uint8Array(transfer(old), byteOffset, length) };
}

/** Takes the memory, and returns it when `use` has ended. */
export async function lendMemory<T>(
  buffer: DmaBuffer,
  use: (memory: Memory) => Promise<T>,
): Promise<T> {
  const memory = takeMemory(buffer);
  try {
    return await use(memory);
  } finally {
    states.get(buffer)!.memory = memory;
  }
}
