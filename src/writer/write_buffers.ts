// The buffers of a writer: bytes are copied into one of them, and full buffers become writes.

import { alignDown, alignUp } from "../align.ts";
import { lengthOfBytes } from "../arguments.ts";
import { assert } from "../assert.ts";
import type { Memory } from "../engine/operation.ts";
import type { OpenFile } from "../file/open_file.ts";
import type { WriterOptions } from "../stream_options.ts";
import type { WriteQueue } from "./write_queue.ts";

/** The size of the first buffer, which is enough for most files. */
const FIRST_BUFFER = 64 * 1024;

/** A new empty array takes longer to allocate than a small chunk to write. */
const NO_BYTES = new Uint8Array(0);

/** Accepts bytes. There is at most one buffer besides those in flight. */
export class WriteBuffers {
  #buffer: Memory | undefined;
  /** The size of the current buffer, or of the last one. */
  #capacity = 0;
  /** The position of the current buffer, or of the next one. */
  #base: number;
  /** Bytes of the current block that are in the file or in flight. */
  #head: Uint8Array;
  /** Bytes in the current buffer, including `#head`. */
  #fill: number;

  constructor(
    readonly file: OpenFile,
    readonly options: WriterOptions,
    readonly queue: WriteQueue,
    start: number,
  ) {
    this.#base = alignDown(start, file.blockSize);
    this.#fill = start - this.#base;
    this.#head = this.#fill > 0 ? new Uint8Array(this.#fill) : NO_BYTES;
  }

  get position(): number {
    return this.#base + this.#fill;
  }

  /** The end of the bytes that became writes. */
  get queuedEnd(): number {
    return this.#base + this.#head.length;
  }

  /** Whether a buffer may be allocated. If the budget is spent, there is one at a time. */
  get #hasSpare(): boolean {
    return this.queue.size <= (this.options.budget.crowded ? 0 : this.options.writeBehind);
  }

  get #wholeSize(): number {
    return this.options.budget.sizeNow(this.options.bufferSize, this.file.blockSize);
  }

  get #nextCapacity(): number {
    // Whole blocks, because the last one is padded. A stripe of xfs has any multiple of 4,096 bytes.
    const small = Math.min(alignUp(FIRST_BUFFER, this.file.blockSize), this.options.bufferSize);
    return this.#capacity > small ? this.#wholeSize : small;
  }

  get hasRoom(): boolean {
    return this.#buffer !== undefined || this.#hasSpare;
  }

  /** Whether {@linkcode writeMemory} may be called now: no block partly filled, and a buffer to spare. */
  get takesMemory(): boolean {
    return this.#fill === 0 && this.#hasSpare;
  }

  /** Whether to write the partly filled buffer for a caller that waits up to `wanted`: if the write can start now. */
  isTailDue(wanted: number): boolean {
    return wanted > this.queuedEnd && this.queue.canAdd(this.#base);
  }

  /** Copies a whole chunk, if the current buffer has room left after it: the fast path. */
  writeWhole(bytes: Uint8Array, length: number): boolean {
    const buffer = this.#buffer;
    if (!buffer || this.#fill + length >= this.#capacity) return false;
    buffer.bytes.set(bytes, this.#fill);
    this.#fill += length;
    return true;
  }

  /** Copies as many bytes as there is room for, from `from` on. Returns their number. Throws if there is no memory. */
  write(bytes: Uint8Array, from: number): number {
    const end = lengthOfBytes(bytes);
    let at = from;
    while (at < end) {
      // Other programs may append too, so a chunk that fits into one buffer is written by one write.
      this.#makeRoomFor(this.file.request.append && at === 0 ? end : 1);
      if (!this.hasRoom) break;
      const buffer = this.#buffer ?? this.#allocate(this.#nextCapacity);
      const room = this.#capacity - this.#fill;
      const length = Math.min(room, end - at);
      const isWhole = at === 0 && length === end;
      buffer.bytes.set(isWhole ? bytes : bytes.subarray(at, at + length), this.#fill);
      this.#fill += length;
      at += length;
      if (length === room && this.#capacity >= this.#wholeSize) this.queueBuffer();
    }
    return at - from;
  }

  #makeRoomFor(length: number): void {
    const needed = this.#fill + length;
    if (!this.#buffer || needed <= this.#capacity) return;
    const size = this.#wholeSize;
    if (this.#capacity < size && needed <= size) this.#allocate(size);
    else this.queueBuffer();
  }

  /** Begins a buffer of `capacity` bytes with the bytes of the current one, or of the current block. */
  #allocate(capacity: number): Memory {
    assert(this.queue.size <= this.options.writeBehind, "one buffer fills and the others fly");
    const buffer = this.file.engine.acquire(capacity);
    buffer.bytes.set(this.#buffer?.bytes.subarray(0, this.#fill) ?? this.#head);
    this.drop();
    this.options.budget.held += buffer.bytes.length;
    this.#capacity = capacity;
    return this.#buffer = buffer;
  }

  /** Turns the buffer into a write of whole blocks. The next buffer starts with the last block, unless that is full. */
  queueBuffer(): void {
    const memory = this.#buffer;
    if (!memory) return;
    const fill = this.#fill;
    const position = this.#base;
    const dataEnd = position + fill;
    this.#fill = fill % this.file.blockSize;
    this.#base = dataEnd - this.#fill;
    this.#head = this.#fill > 0 ? memory.bytes.slice(fill - this.#fill, fill) : NO_BYTES;
    this.#buffer = undefined;
    this.queue.add(memory, position, dataEnd, true);
  }

  /** Writes `length` bytes of the caller's memory, which goes to the engine's pool afterwards if `isPooled` is set. */
  writeMemory(memory: Memory, length: number, isPooled: boolean): void {
    const position = this.#base;
    this.#base += length;
    this.options.budget.held += memory.bytes.length;
    this.queue.add(memory, position, this.#base, isPooled);
  }

  drop(): void {
    if (this.#buffer) this.queue.release(this.#buffer, true);
    this.#buffer = undefined;
  }
}
