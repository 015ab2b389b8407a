// The items of a writer's stream: chunks that wait until there is room for them.

import { chunkBytes, lengthOfBytes } from "../arguments.ts";
import type { AlignedMemory } from "../file/aligned_memory.ts";

/** The most bytes and chunks of a batch of chunks that are written without the lock. */
const MAX_BATCH_BYTES = 256 << 10;
const MAX_BATCH_CHUNKS = 4096;

/** A chunk is accepted in parts of this many bytes: optimized code of V8 counts no further. */
const MAX_PART = 1 << 30;

const NO_BYTES = new Uint8Array(0);

/** An item of the stream's queue: waiting chunks, with their lengths at the call. */
export class Batch {
  readonly #chunks: Uint8Array[] = [];
  readonly #lengths: number[] = [];
  /** The next chunk, and how much of it was accepted. */
  #next = 0;
  #at = 0;
  /** Bytes that are not accepted yet. */
  bytes = 0;
  /** Its chunk, if that may be written without a copy. */
  readonly memory: AlignedMemory | undefined;
  /** Whether chunks may still join it. */
  isOpen = false;
  /** The promise of the stream's write. */
  accepted: Promise<void> | undefined;
  /** Settles when all of it is accepted, if a caller waits for that. */
  taken: PromiseWithResolvers<void> | undefined;

  /** Why it cannot be accepted. */
  readonly error: unknown;

  constructor(chunk: Uint8Array, memory?: AlignedMemory, error?: unknown) {
    this.add(chunk);
    this.memory = memory;
    this.error = error;
  }

  /** A chunk that nobody has checked. */
  static of(chunk: unknown): Batch {
    try {
      return new Batch(chunkBytes("chunk", chunk));
    } catch (error) {
      return new Batch(NO_BYTES, undefined, error);
    }
  }

  get isFull(): boolean {
    return this.bytes >= MAX_BATCH_BYTES || this.#chunks.length >= MAX_BATCH_CHUNKS;
  }

  get isBegun(): boolean {
    return this.#next > 0 || this.#at > 0;
  }

  get isTaken(): boolean {
    return this.#next === this.#chunks.length;
  }

  add(chunk: Uint8Array): void {
    const length = lengthOfBytes(chunk);
    for (let at = 0; at === 0 || at < length; at += MAX_PART) {
      const part = length > MAX_PART ? chunk.subarray(at, at + MAX_PART) : chunk;
      this.#chunks.push(part);
      this.#lengths.push(lengthOfBytes(part));
    }
    this.bytes += length;
  }

  /** Accepts what `take` accepts of the next chunk. Throws if its buffer has changed its length. */
  advance(take: (chunk: Uint8Array, from: number) => number): void {
    const chunk = this.#chunks[this.#next]!;
    const length = this.#lengths[this.#next]!;
    // A part of it may be on the disk, so what follows would be at the wrong position.
    if (lengthOfBytes(chunk) !== length) {
      const what = "a chunk whose buffer is detached or resized before it is taken";
      throw new TypeError(`Cannot write ${what}`);
    }
    const taken = take(chunk, this.#at);
    this.bytes -= taken;
    this.#at += taken;
    if (this.#at < length) return;
    this.#next++;
    this.#at = 0;
  }

  /** All of it was accepted in another way. */
  skip(): void {
    this.#next = this.#chunks.length;
    this.bytes = 0;
  }
}
