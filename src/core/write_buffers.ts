// The buffers of a writer: bytes are copied into one of them, and full ones get in line to be written.

import type { BufferBudget } from "../engine/buffer_budget.ts";
import type { Engine } from "../engine/engine.ts";
import type { Memory } from "../engine/operation.ts";
import { WriteBuffer } from "./write_buffer.ts";
import type { WriteLine } from "./write_line.ts";

/** A file's first buffer starts this small: most files never need a large one. */
const FIRST_BLOCK = 64 * 1024;

/** What {@linkcode WriteBuffers} are made of. */
export interface WriteBuffersOptions {
  engine: Engine;
  line: WriteLine;
  alignment: number;
  /** A multiple of the alignment. */
  bufferSize: number;
  /** Writes in flight at most. */
  writeBehind: number;
  /** What the buffers count against; undefined where their size and number were asked for. */
  budget: BufferBudget | undefined;
  /** Where the first byte goes; aligned. */
  base: number;
}

/** Takes bytes in, and never has more buffers than one that fills and those in flight. */
export class WriteBuffers {
  readonly #engine: Engine;
  readonly #line: WriteLine;
  readonly #alignment: number;
  readonly #bufferSize: number;
  readonly #writeBehind: number;
  readonly #budget: BufferBudget | undefined;
  #first = true;
  /** Buffers that exist: filling, waiting or in flight. */
  #count = 0;
  /** Most buffers that ever existed at once. */
  most = 0;
  /** The one that is being filled. */
  filling: WriteBuffer | undefined;
  /** Where the current buffer starts, or would. */
  base: number;

  constructor(options: WriteBuffersOptions) {
    this.#engine = options.engine;
    this.#line = options.line;
    this.#alignment = options.alignment;
    this.#bufferSize = options.bufferSize;
    this.#writeBehind = options.writeBehind;
    this.#budget = options.budget;
    this.base = options.base;
  }

  /** Where the next byte goes. */
  get position(): number {
    return this.filling ? this.filling.end : this.base;
  }

  /** Whether a buffer may be started. With a budget that is spent there is one, which fills and then flies. */
  get #spare(): boolean {
    return this.#count <= (this.#budget?.crowded ? 0 : this.#writeBehind);
  }

  /** Bytes that a buffer should have now. */
  get #wholeSize(): number {
    return this.#budget?.sizeNow(this.#bufferSize, this.#alignment) ?? this.#bufferSize;
  }

  /** Whether {@linkcode write} would take a byte. */
  get hasRoom(): boolean {
    return this.filling !== undefined || this.#spare;
  }

  /** Whether {@linkcode writeMemory} may be called now: nothing partly filled, and a buffer to spare. */
  get takesMemory(): boolean {
    return this.filling === undefined && this.#spare;
  }

  /** Copies what there is room for, from `from` on, and returns how much that was. */
  write(bytes: Uint8Array, from: number): number {
    let { filling } = this;
    let at = from;
    while (at < bytes.length) {
      if (!filling) {
        if (!this.#spare) break;
        filling = this.start();
      }
      const room = filling.capacity - filling.fill;
      if (room === 0) {
        if (!this.#grow(filling)) {
          this.retire(filling);
          filling = undefined;
        }
        continue;
      }
      const length = Math.min(room, bytes.length - at);
      filling.bytes.set(
        at === 0 && length === bytes.length ? bytes : bytes.subarray(at, at + length),
        filling.fill,
      );
      filling.fill += length;
      at += length;
      if (filling.fill === filling.capacity && filling.capacity >= this.#wholeSize) {
        this.retire(filling);
        filling = undefined;
      }
    }
    return at - from;
  }

  /** Writes memory that is handed over. */
  writeMemory(memory: Memory, offset: number, length: number, release: () => void): void {
    const position = this.base;
    this.base += length;
    this.#add(length);
    this.#line.queue({
      memory,
      offset,
      length,
      position,
      dataEnd: position + length,
      release: () => {
        this.#leaveOut(length);
        release();
      },
    });
  }

  #add(bytes: number): void {
    this.#count++;
    this.most = Math.max(this.most, this.#count);
    this.#budget?.take(bytes);
  }

  #leaveOut(bytes: number): void {
    this.#count--;
    this.#budget?.giveBack(bytes);
  }

  /** Starts a buffer. */
  start(): WriteBuffer {
    // Never less than a block, up to which the last one is padded.
    const first = Math.max(FIRST_BLOCK, this.#alignment);
    const capacity = this.#first ? Math.min(first, this.#bufferSize) : this.#wholeSize;
    const filling = new WriteBuffer(
      this.#engine,
      capacity,
      this.base,
      () => this.#leaveOut(filling.capacity),
    );
    // Where there is no memory to be had, none counts.
    this.#add(capacity);
    return this.filling = filling;
  }

  /** Makes a small buffer a whole one. False where it is one, or the kernel still has a part of it. */
  #grow(filling: WriteBuffer): boolean {
    this.#first = false;
    const { capacity } = filling;
    const size = this.#wholeSize;
    if (capacity >= size || !filling.grow(size)) return false;
    this.#budget?.take(size - capacity);
    return true;
  }

  /** The current buffer is full, or as full as it gets: what was not written of it gets in line. */
  retire(filling: WriteBuffer): void {
    this.#leave(filling);
    const padded = Math.ceil(filling.fill / this.#alignment) * this.#alignment;
    const last = filling.begun < filling.fill ? filling.part(padded) : undefined;
    filling.retire();
    if (last) this.#line.queue(last);
  }

  /** What was not written yet never will be. */
  drop(): void {
    const { filling } = this;
    if (!filling) return;
    this.#leave(filling);
    filling.retire();
  }

  #leave(filling: WriteBuffer): void {
    this.filling = undefined;
    this.base = filling.end;
  }
}
