// The buffers of a writer: bytes are copied into one of them, and full buffers become writes.

import { alignDown, alignUp } from "../align.ts";
import { assert } from "../assert.ts";
import { type BufferBudget, UNLIMITED } from "../engine/buffer_budget.ts";
import type { Engine } from "../engine/engine.ts";
import type { Block, Memory } from "../engine/operation.ts";
import type { OpenFile } from "../file/open_file.ts";
import type { WriteQueue, WriteRequest } from "./write_queue.ts";
import type { WriterOptions } from "./writer_options.ts";

/** The initial size of a file's first buffer: most files never need a larger one. */
const FIRST_BUFFER = 64 * 1024;

const NO_BYTES = new Uint8Array(0);

class FillingBuffer {
  readonly #engine: Engine;
  readonly #freed: (capacity: number) => void;
  #block: Block;
  /** Writes from it that have not ended. They hold the block. */
  #writes = 0;
  #retired = false;
  /** Where its first byte goes. */
  readonly base: number;
  bytes: Uint8Array<ArrayBuffer>;
  capacity: number;
  /** Bytes in it. */
  fill = 0;
  /** Bytes of it that became writes, in whole blocks. */
  written = 0;

  constructor(engine: Engine, capacity: number, base: number, freed: (capacity: number) => void) {
    this.#engine = engine;
    this.#freed = freed;
    this.#block = engine.acquire(capacity);
    this.bytes = this.#block.bytes;
    this.capacity = capacity;
    this.base = base;
  }

  /** Where the next byte goes. */
  get end(): number {
    return this.base + this.fill;
  }

  /** Makes it larger. Returns false if the kernel has a part of it. */
  grow(capacity: number): boolean {
    if (this.#writes > 0) return false;
    const block = this.#engine.acquire(capacity);
    block.bytes.set(this.bytes.subarray(this.written, this.fill), this.written);
    this.#engine.release(this.#block);
    this.#block = block;
    this.bytes = block.bytes;
    this.capacity = capacity;
    return true;
  }

  /** A write in place of the bytes since the last one, up to `to`, padding included. */
  writeUpTo(to: number): WriteRequest {
    const { written: offset, base, fill } = this;
    assert(to > offset, "a write has bytes");
    this.#writes++;
    this.written = Math.min(to, fill);
    return {
      memory: this.#block,
      offset,
      length: to - offset,
      position: base + offset,
      dataEnd: base + this.written,
      release: () => {
        this.#writes--;
        this.#free();
      },
    };
  }

  /** Ends the filling. The memory is released with the last write. */
  retire(): void {
    this.#retired = true;
    this.#free();
  }

  #free(): void {
    if (!this.#retired || this.#writes > 0) return;
    this.#engine.release(this.#block);
    this.#freed(this.capacity);
  }
}

/** Accepts bytes. There are never more buffers than one that is being filled and those in flight. */
export class WriteBuffers {
  readonly #engine: Engine;
  /** Gets the writes of what is full. */
  readonly #queue: WriteQueue;
  readonly #blockSize: number;
  readonly #bufferSize: number;
  readonly #writeBehind: number;
  /** The shared budget of the buffers, unless their size or number was set. */
  readonly #budget: BufferBudget;
  /** Whether a chunk that fits into a buffer stays in one, so that it is written by one write. */
  readonly #wholeChunks: boolean;
  #isFirst = true;
  /** Buffers that exist: filling, waiting or in flight. */
  #count = 0;
  /** Where the current buffer starts, or would. */
  #base: number;
  #filling: FillingBuffer | undefined;

  /** `base` is where the first byte goes; a multiple of the block size. */
  constructor(file: OpenFile, options: WriterOptions, queue: WriteQueue, base: number) {
    const { engine, blockSize, appends } = file;
    const { bufferSize, writeBehind, sharesMemory } = options;
    this.#engine = engine;
    this.#queue = queue;
    this.#blockSize = blockSize;
    this.#bufferSize = bufferSize;
    this.#writeBehind = writeBehind;
    this.#budget = sharesMemory ? engine.budget : UNLIMITED;
    this.#wholeChunks = appends;
    this.#base = base;
  }

  /** Where the next byte goes. */
  get position(): number {
    return this.#filling?.end ?? this.#base;
  }

  /** The end of the buffers that are full. */
  get fullEnd(): number {
    return this.#base;
  }

  /** Whether a buffer may be started. If the budget is spent, there is one at a time. */
  get hasSpare(): boolean {
    return this.#count <= (this.#budget.crowded ? 0 : this.#writeBehind);
  }

  /** Bytes that a buffer should have now. */
  get #wholeSize(): number {
    return this.#budget.sizeNow(this.#bufferSize, this.#blockSize);
  }

  /** Whether {@linkcode write} would accept a byte. */
  get hasRoom(): boolean {
    return this.#filling !== undefined || this.hasSpare;
  }

  get isFilling(): boolean {
    return this.#filling !== undefined;
  }

  /** Whether {@linkcode writeMemory} may be called now: nothing partly filled, and a buffer to spare. */
  get takesMemory(): boolean {
    return this.#filling === undefined && this.hasSpare;
  }

  /** Copies a whole chunk if the current buffer has room left after it: the fast path, without any decision. */
  writeWhole(bytes: Uint8Array, length: number): boolean {
    const filling = this.#filling;
    if (!filling || filling.fill + length >= filling.capacity) return false;
    filling.bytes.set(bytes, filling.fill);
    filling.fill += length;
    return true;
  }

  /** Copies what there is room for, from `from` on, and returns how much that was. Throws without memory. */
  write(bytes: Uint8Array, from: number): number {
    if (this.#wholeChunks && from === 0) this.#makeRoomFor(bytes.length);
    let filling = this.#filling;
    let at = from;
    while (at < bytes.length) {
      if (!filling) {
        if (!this.hasSpare) break;
        filling = this.#start();
      }
      const room = filling.capacity - filling.fill;
      if (room === 0) {
        if (this.#grow(filling)) continue;
        this.#retire(filling);
        filling = undefined;
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
        this.#retire(filling);
        filling = undefined;
      }
    }
    return at - from;
  }

  /** Ends the current buffer if a chunk would fit only into the next one. */
  #makeRoomFor(length: number): void {
    const filling = this.#filling;
    if (!filling || filling.fill === 0 || filling.fill + length <= filling.capacity) return;
    if (filling.fill + length <= this.#wholeSize && this.#grow(filling)) return;
    this.#retire(filling);
  }

  /** Starts with the bytes that the file has before the first one, in the same block. */
  startWith(head: Uint8Array): void {
    const filling = this.#start();
    filling.bytes.set(head);
    filling.fill = head.length;
  }

  /** Writes the caller's memory. `release` is called when the kernel is done with it. */
  writeMemory(memory: Memory, length: number, release: () => void): void {
    const position = this.#base;
    this.#base += length;
    this.#add(length);
    this.#queue.add({
      memory,
      offset: 0,
      length,
      position,
      dataEnd: position + length,
      release: () => {
        this.#remove(length);
        release();
      },
    });
  }

  #add(bytes: number): void {
    this.#count++;
    assert(this.#count <= this.#writeBehind + 1, "one buffer fills and the others fly");
    this.#budget.take(bytes);
  }

  #remove(bytes: number): void {
    this.#count--;
    this.#budget.giveBack(bytes);
  }

  #start(): FillingBuffer {
    // At least a block, because the last one is padded to that.
    const first = Math.min(Math.max(FIRST_BUFFER, this.#blockSize), this.#bufferSize);
    const capacity = this.#isFirst ? first : this.#wholeSize;
    const freed = (capacity: number) => this.#remove(capacity);
    // Counted after the allocation, which may throw.
    const filling = new FillingBuffer(this.#engine, capacity, this.#base, freed);
    this.#add(capacity);
    return this.#filling = filling;
  }

  /** Makes a small buffer a whole one. Returns false if it is one, or if the kernel has a part of it. */
  #grow(filling: FillingBuffer): boolean {
    this.#isFirst = false;
    const { capacity } = filling;
    const size = this.#wholeSize;
    if (capacity >= size || !filling.grow(size)) return false;
    this.#budget.take(size - capacity);
    return true;
  }

  /** Ends the current buffer: what was not written of it becomes a write. */
  #retire(filling: FillingBuffer): void {
    const padded = alignUp(filling.fill, this.#blockSize);
    if (filling.written < filling.fill) this.#queue.add(filling.writeUpTo(padded));
    this.#leave(filling);
  }

  #leave(filling: FillingBuffer): void {
    this.#filling = undefined;
    this.#base = filling.end;
    filling.retire();
  }

  // ---- the tail -----------------------------------------------------------------------------------------------------

  /** What did not become a write, from a whole block on, as a view that is valid until the next call. */
  get unwritten(): Uint8Array<ArrayBuffer> {
    const filling = this.#filling;
    return filling ? filling.bytes.subarray(filling.written, filling.fill) : NO_BYTES;
  }

  /** Writes the full blocks of the current buffer in place. */
  writeFullBlocks(): void {
    const filling = this.#filling;
    const blocks = alignDown(filling?.fill ?? 0, this.#blockSize);
    if (filling && blocks > filling.written) this.#queue.add(filling.writeUpTo(blocks));
  }

  /** Writes a copy of what is {@linkcode unwritten}. It counts as a buffer. */
  addCopy(copy: WriteRequest): void {
    const { length } = copy;
    this.#add(length);
    const release = () => {
      copy.release();
      this.#remove(length);
    };
    this.#queue.add({ ...copy, release });
    const filling = this.#filling!;
    filling.written = alignDown(filling.fill, this.#blockSize);
  }

  /** Pads the last block, and writes the rest of the buffer. With `written` the last block has been written as it is. */
  finish(padding: Uint8Array, written: boolean): void {
    const filling = this.#filling!;
    if (written) filling.written = filling.fill;
    else filling.bytes.set(padding, filling.fill);
    this.#retire(filling);
  }

  drop(): void {
    if (this.#filling) this.#leave(this.#filling);
  }
}
