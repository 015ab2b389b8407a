// The buffers of a writer: bytes are copied into one of them, and full buffers become writes.

import { alignDown, alignUp } from "../align.ts";
import { lengthOfBytes } from "../arguments.ts";
import { assert } from "../assert.ts";
import { type BufferBudget, UNLIMITED } from "../engine/buffer_budget.ts";
import type { Engine } from "../engine/engine.ts";
import type { Block, Memory } from "../engine/operation.ts";
import type { OpenFile } from "../file/open_file.ts";
import type { WriteQueue } from "./write_queue.ts";
import type { WriterOptions } from "./writer_options.ts";

/** The size of buffers until one has to be larger: most files never need that. */
const FIRST_BUFFER = 64 * 1024;

const NO_BYTES = new Uint8Array(0);

/** The buffer that is being filled. */
interface FillingBuffer {
  block: Block;
  capacity: number;
  /** Bytes in it. */
  fill: number;
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
  /** Whether no buffer had to be larger so far. */
  #smallIsEnough = true;
  /** Buffers that exist: filling, waiting or in flight. */
  #count = 0;
  /** Where the current buffer starts, or would. */
  #base: number;
  /** Bytes of the block at which the next buffer starts: in the file, or on their way. */
  #head: Uint8Array;
  #filling: FillingBuffer | undefined;

  constructor(file: OpenFile, options: WriterOptions, queue: WriteQueue, start: number) {
    const { engine, blockSize, appends } = file;
    const { bufferSize, writeBehind, sharesMemory } = options;
    this.#engine = engine;
    this.#queue = queue;
    this.#blockSize = blockSize;
    this.#bufferSize = bufferSize;
    this.#writeBehind = writeBehind;
    this.#budget = sharesMemory ? engine.budget : UNLIMITED;
    this.#wholeChunks = appends;
    this.#base = alignDown(start, blockSize);
    this.#head = new Uint8Array(start - this.#base);
  }

  /** Where the next byte goes. */
  get position(): number {
    return this.#base + (this.#filling?.fill ?? this.#head.length);
  }

  /** The end of what became a write. */
  get queuedEnd(): number {
    return this.#base + this.#head.length;
  }

  /** Where the next write starts. */
  get nextWrite(): number {
    return this.#base;
  }

  /** Whether a buffer may be started. If the budget is spent, there is one at a time. */
  get #hasSpare(): boolean {
    return this.#count <= (this.#budget.crowded ? 0 : this.#writeBehind);
  }

  /** Bytes that a buffer should have now. */
  get #wholeSize(): number {
    return this.#budget.sizeNow(this.#bufferSize, this.#blockSize);
  }

  /** Whether {@linkcode write} would accept a byte. */
  get hasRoom(): boolean {
    return this.#filling !== undefined || this.#hasSpare;
  }

  get isFilling(): boolean {
    return this.#filling !== undefined;
  }

  /** Whether {@linkcode writeMemory} may be called now: no block partly filled, and a buffer to spare. */
  get takesMemory(): boolean {
    return !this.isFilling && this.#head.length === 0 && this.#hasSpare;
  }

  /** Copies a whole chunk, if the buffer has room left after it: the fast path. Throws without memory. */
  writeWhole(bytes: Uint8Array, length: number): boolean {
    let filling = this.#filling;
    if (!filling) {
      if (!this.#hasSpare || length >= this.#nextCapacity - this.#head.length) return false;
      filling = this.#start();
    } else if (filling.fill + length >= filling.capacity) return false;
    filling.block.bytes.set(bytes, filling.fill);
    filling.fill += length;
    return true;
  }

  /** Copies what there is room for, from `from` on, and returns how much that was. Throws without memory. */
  write(bytes: Uint8Array, from: number): number {
    const end = lengthOfBytes(bytes);
    if (this.#wholeChunks && from === 0) this.#makeRoomFor(end);
    let at = from;
    while (at < end && this.hasRoom) {
      const filling = this.#filling ?? this.#start();
      const room = filling.capacity - filling.fill;
      if (room === 0) {
        if (!this.#grow(filling)) this.queueBuffer();
        continue;
      }
      const length = Math.min(room, end - at);
      filling.block.bytes.set(
        at === 0 && length === end ? bytes : bytes.subarray(at, at + length),
        filling.fill,
      );
      filling.fill += length;
      at += length;
      if (length === room && filling.capacity >= this.#wholeSize) this.queueBuffer();
    }
    return at - from;
  }

  /** Ends the current buffer if a chunk would fit only into the next one. */
  #makeRoomFor(length: number): void {
    const filling = this.#filling;
    if (!filling || filling.fill + length <= filling.capacity) return;
    if (filling.fill + length <= this.#wholeSize && this.#grow(filling)) return;
    this.queueBuffer();
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

  get #nextCapacity(): number {
    if (!this.#smallIsEnough) return this.#wholeSize;
    // At least a block, because the last one is padded to that.
    return Math.min(Math.max(FIRST_BUFFER, this.#blockSize), this.#bufferSize);
  }

  #start(): FillingBuffer {
    const capacity = this.#nextCapacity;
    const block = this.#engine.acquire(capacity);
    this.#add(capacity);
    if (this.#head.length > 0) block.bytes.set(this.#head);
    return this.#filling = { block, capacity, fill: this.#head.length };
  }

  /** Makes a small buffer a whole one. Returns false if it is one. */
  #grow(filling: FillingBuffer): boolean {
    this.#smallIsEnough = false;
    const { block, capacity, fill } = filling;
    const size = this.#wholeSize;
    if (capacity >= size) return false;
    filling.block = this.#engine.acquire(size);
    filling.block.bytes.set(block.bytes.subarray(0, fill));
    filling.capacity = size;
    this.#engine.release(block);
    this.#budget.take(size - capacity);
    return true;
  }

  /** Makes the current buffer, if there is one, a write of whole blocks. The next one starts with the last of them, unless it is full. */
  queueBuffer(): void {
    if (!this.#filling) return;
    const { block, capacity, fill } = this.#filling;
    const length = alignUp(fill, this.#blockSize);
    if (length > fill) block.bytes.fill(0, fill, length);
    const position = this.#base;
    const inBlock = fill % this.#blockSize;
    this.#base += fill - inBlock;
    this.#head = inBlock > 0 ? block.bytes.slice(fill - inBlock, fill) : NO_BYTES;
    this.#filling = undefined;
    this.#queue.add({
      memory: block,
      offset: 0,
      length,
      position,
      dataEnd: position + fill,
      release: () => this.#release(block, capacity),
    });
  }

  #release(block: Block, capacity: number): void {
    this.#engine.release(block);
    this.#remove(capacity);
  }

  /** Gives up what is in the current buffer. */
  drop(): void {
    if (!this.#filling) return;
    const { block, capacity, fill } = this.#filling;
    this.#base += fill;
    this.#head = NO_BYTES;
    this.#filling = undefined;
    this.#release(block, capacity);
  }
}
