// The underlying sink of a DmaStreamWriter, and the writes that bypass its lock. A chunk is accepted when it is given. What
// the buffers have no room for waits here, and the stream's own queue has an item that ends with it.

import { chunkBytes, lengthOfBytes } from "../arguments.ts";
import { yieldIfNeeded } from "../engine/event_loop.ts";
import type { Memory } from "../engine/operation.ts";
import { closedError } from "./ending.ts";
import type { Writer } from "./writer.ts";

// The base class's methods: the writer's own are for users. A program may replace the global class later.
const { getWriter, close: closeStream } = WritableStream.prototype;

const RESOLVED: Promise<void> = Promise.resolve();

/** Chunks that wait share an item for up to this many bytes: the promise of an item costs more than a small chunk. */
const MAX_SHARED_BYTES = 256 << 10;

/** The stream's item for chunks that were given without the lock. */
const UNLOCKED = Symbol();

/** A chunk is accepted in parts of this many bytes: optimized code of V8 counts no further. */
const MAX_PART = 1 << 30;

/** A stream of another kind that writes to this one and has waiting chunks of its own. */
export interface Upstream {
  /** Writes all of them to this stream at once, and does not wait until they are accepted. */
  handOver(): void;
  /** Begins to write those that wait for a call of the program. */
  uncorkAll(): void;
}

interface Chunk {
  readonly bytes: Uint8Array;
  /** At the call. */
  readonly length: number;
  /** Its memory, if that may be written without a copy. */
  readonly memory: Memory | undefined;
  /** Bytes of it that were accepted. */
  taken: number;
  /** Resolves when all are, if a caller waits for that. */
  isTaken: PromiseWithResolvers<void> | undefined;
  /** Whether an item of the stream's queue ends with it. */
  endsItem: boolean;
  /** That item, if the chunk was given without the lock, and all its bytes. */
  item: { readonly written: Promise<void>; bytes: number } | undefined;
}

/**
 * The underlying sink of a writer's stream. It holds no strong reference to the stream, which could otherwise never be
 * collected.
 */
export class WriterSink {
  readonly writer: Writer;
  #controller: WeakRef<WritableStreamDefaultController> | undefined;
  #stream: WeakRef<WritableStream> | undefined;
  /** Chunks that are not accepted whole, in order. */
  readonly #waiting: Chunk[] = [];
  /** Bytes of them that are not accepted. */
  #waitingBytes = 0;
  /** Items of the stream's queue that were accepted before their turn, and all their bytes. */
  #ahead = 0;
  #moved = 0;
  /**
   * Identifies the holder of the lock, whose own calls report a failure: a writer of getWriter(), or a direct pipe. A
   * reference to the holder would keep the stream alive.
   */
  #lockToken: symbol | undefined;
  /** The stream above, which has a reference to this one. */
  upstream: WeakRef<Upstream> | undefined;
  /** Whether a call has rejected with the failure, so that disposing need not. */
  errorReported = false;
  /** Whether a chunk was given after an end that nobody announced. */
  #hasRefused = false;

  constructor(writer: Writer) {
    this.writer = writer;
    writer.failing.then((reason) => this.#fail(reason));
  }

  attach(stream: WritableStream): void {
    this.#stream = new WeakRef(stream);
  }

  /** Where the next chunk will start, waiting chunks included. */
  get nextPosition(): number {
    return this.writer.position + this.#waitingBytes;
  }

  /** Whether the writer may be used without the stream: nothing waits, and no end was requested. */
  get isFree(): boolean {
    return this.#waiting.length === 0 && !this.#isOver;
  }

  /** Whether no further chunk is accepted. A pipe ends the stream without announcing it. */
  get #isOver(): boolean {
    return this.writer.closeAnnounced || this.writer.ending;
  }

  start(controller: WritableStreamDefaultController): void {
    this.#controller = new WeakRef(controller);
    // The stream would first wait for the current chunk, however large it is.
    controller.signal.addEventListener("abort", () => {
      this.writer.abort(controller.signal.reason).catch(() => {});
    });
  }

  /** Accepts a chunk. The stream counts items, so it queues one at a time beyond the buffers. */
  size(item: unknown): number {
    // The stream asks even if it is closing or failing, and refuses the chunk then.
    if (this.#isOver || item === UNLOCKED) return 1;
    try {
      const bytes = chunkBytes("chunk", item);
      this.#moved += lengthOfBytes(bytes);
      this.#add(bytes, true);
    } catch (error) {
      this.writer.fail(error);
    }
    return 1;
  }

  write(): Promise<void> | undefined {
    if (this.#ahead === 0) return this.#untilTaken();
    this.#ahead--;
    const moved = this.#moved;
    this.#moved = 0;
    return yieldIfNeeded(moved);
  }

  async #untilTaken(): Promise<void> {
    const { writer } = this;
    while (this.#ahead === 0) {
      if (writer.ending) {
        await this.#untilFreed();
        throw writer.refusal;
      }
      await writer.room();
      this.#takeWaiting();
    }
    this.#ahead--;
  }

  /**
   * Resolves when everything is freed: who learns of a failure may write the file anew, and nothing may cut it then. An abort
   * waits for that itself, and others learn of it at once.
   */
  async #untilFreed(): Promise<void> {
    if (!this.writer.failure?.aborted) await this.writer.ended;
  }

  /** Errors the stream. */
  async #fail(reason: unknown): Promise<void> {
    for (const { isTaken } of this.#waiting.splice(0)) isTaken?.reject(reason);
    this.#waitingBytes = 0;
    // A pipe reports it to its caller.
    if (this.#stream?.deref()?.locked && !this.#lockToken) this.errorReported = true;
    await this.#untilFreed();
    this.#controller?.deref()?.error(reason);
  }

  /** Accepts what there is room for of a chunk, behind those that wait. Returns it if it has to wait. */
  #add(bytes: Uint8Array, endsItem: boolean, memory?: Memory): Chunk | undefined {
    const length = lengthOfBytes(bytes);
    const chunk: Chunk = {
      bytes,
      length,
      memory,
      taken: 0,
      isTaken: undefined,
      endsItem,
      item: undefined,
    };
    if (this.#waiting.length === 0 && this.#take(chunk)) return undefined;
    this.#waiting.push(chunk);
    this.#waitingBytes += length - chunk.taken;
    return chunk;
  }

  /** Accepts what there is room for of a chunk, and returns whether that was all. */
  #take(chunk: Chunk): boolean {
    const { writer } = this;
    const { bytes, length, memory } = chunk;
    const isAligned = length % writer.file.blockSize === 0;
    const mayKeep = memory && isAligned && chunk.taken === 0 && writer.file.engine.endsWithProcess;
    if (mayKeep && writer.takesMemory) {
      writer.writeMemory(memory, length);
      chunk.taken = length;
    }
    while (chunk.taken < length && writer.hasRoom) {
      if (lengthOfBytes(bytes) !== length) {
        // A part of it may be on the disk, so what follows would be at the wrong position.
        const what = "a chunk whose buffer is detached or resized before it is taken";
        writer.fail(new TypeError(`Cannot write ${what}`));
      } else if (length > MAX_PART) {
        chunk.taken += writer.write(bytes.subarray(chunk.taken, chunk.taken + MAX_PART));
      } else chunk.taken += writer.write(bytes, chunk.taken);
    }
    if (chunk.taken < length || writer.failure) return false;
    if (chunk.endsItem) this.#ahead++;
    chunk.isTaken?.resolve();
    return true;
  }

  #takeWaiting(): void {
    const end = this.nextPosition;
    let count = 0;
    while (count < this.#waiting.length && this.#take(this.#waiting[count]!)) count++;
    this.#waiting.splice(0, count);
    this.#waitingBytes = end - this.writer.position;
  }

  assertUsable(stream: WritableStream, op: string): void {
    const { failure } = this.writer;
    if (failure) throw failure.reason;
    if (stream.locked) {
      throw new TypeError(`Cannot ${op} a locked stream: use the writer that holds the lock`);
    }
    if (this.#isOver) throw closedError(op);
  }

  /** Accepts a chunk without the lock, at once if there is room. */
  writeUnlocked(stream: WritableStream, chunk: unknown): Promise<void> {
    // An object that only inherits from Uint8Array has no length.
    const isBytes = chunk instanceof Uint8Array && ArrayBuffer.isView(chunk);
    const length = isBytes ? lengthOfBytes(chunk) : 0;
    const isTaken = length > 0 && this.isFree && !stream.locked &&
      this.writer.writeWhole(chunk as Uint8Array, length);
    if (isTaken) return yieldIfNeeded(length) ?? RESOLVED;
    try {
      const bytes = chunkBytes("chunk", chunk);
      this.assertUsable(stream, "write");
      return this.give(stream, bytes);
    } catch (error) {
      return this.#refuse(error);
    }
  }

  #refuse(error: unknown): Promise<never> {
    if (this.#isOver && !this.writer.closeAnnounced) this.#hasRefused = true;
    return this.#rethrow(error);
  }

  /** Accepts a chunk that was given without the lock, or memory that was handed over: at once if there is room. */
  give(stream: WritableStream, bytes: Uint8Array, memory?: Memory): Promise<void> {
    const last = this.#waiting.at(-1);
    const chunk = this.#add(bytes, false, memory);
    const { failure } = this.writer;
    if (failure) return this.#rethrow(failure.reason);
    if (!chunk) return yieldIfNeeded(lengthOfBytes(bytes)) ?? RESOLVED;
    chunk.endsItem = true;
    const shares = last?.item && last.taken === 0 && last.item.bytes < MAX_SHARED_BYTES;
    if (shares) last.endsItem = false;
    const item = shares ? last.item! : { written: this.report(this.#enqueue(stream)), bytes: 0 };
    item.bytes += chunk.length;
    chunk.item = item;
    return item.written;
  }

  #enqueue(stream: WritableStream): Promise<void> {
    const writer = getWriter.call(stream);
    const written = writer.write(UNLOCKED);
    writer.releaseLock();
    return written;
  }

  /** Waits until all chunks that were given are accepted, and then as {@linkcode Writer.flush}. */
  async flush(tail: boolean, durable: boolean): Promise<number> {
    try {
      const last = this.#waiting.at(-1);
      if (last) await (last.isTaken ??= Promise.withResolvers()).promise;
      return await this.writer.flush(tail, durable);
    } catch (error) {
      return await this.#rethrow(error);
    }
  }

  /** Blocks until every chunk that was given is in the file, and with `durable` is synced. Throws the failure. */
  flushNow(durable: boolean, deadline: number): void {
    this.upstream?.deref()?.handOver();
    for (this.#takeWaiting(); this.#waiting.length > 0; this.#takeWaiting()) {
      // A program that has come to its end has closed its writers.
      if (this.writer.ending) throw this.writer.refusal;
      this.writer.waitNow(deadline);
    }
    this.writer.flushNow(durable, deadline);
    // A program that ends is not told of a promise that rejects.
    if (this.#hasRefused) throw this.writer.refusal;
  }

  finish(): void {
    const end = this.nextPosition;
    this.upstream?.deref()?.uncorkAll();
    if (this.nextPosition === end) this.writer.close();
  }

  /** Ends the stream. With `keepOpen` the descriptor stays open. */
  async end(stream: WritableStream, keepOpen = false): Promise<void> {
    const { writer } = this;
    if (!writer.failure) {
      this.assertUsable(stream, "close");
      writer.announceClose(keepOpen);
    }
    await this.#close(() => closeStream.call(stream));
  }

  /** Closes the stream. After a failure waits until everything is freed: the stream's own error says less. */
  async #close(close: () => Promise<void>): Promise<void> {
    const { writer } = this;
    await close().catch((error) => {
      if (!writer.failure) throw error;
    });
    if (writer.failure) await this.report(writer.close());
  }

  /** Aborts the stream, and waits until everything is freed. The reason of a stream that has failed stays the failure. */
  async abort(abort: () => Promise<void>): Promise<void> {
    const { writer } = this;
    if (writer.failure) await writer.ended;
    await abort().finally(() => writer.closeAnnounced || writer.ending ? writer.ended : undefined);
  }

  /** A promise for a user. After a failure it rejects with that, whatever became of the stream since. It counts as reported. */
  report<T>(promise: Promise<T>): Promise<T> {
    return promise.catch((error) => {
      const { failure } = this.writer;
      return this.#rethrow(failure ? failure.reason : error);
    });
  }

  async #rethrow(error: unknown): Promise<never> {
    const { failure } = this.writer;
    if (failure && error === failure.reason) {
      this.errorReported = true;
      await this.#untilFreed();
    }
    throw error;
  }

  /** Treats a direct pipe as the holder of the lock. */
  async reportPipe(pipe: Promise<void>): Promise<void> {
    const token = this.#lockToken = Symbol();
    try {
      await pipe.catch((error) => this.#rethrow(error));
    } finally {
      if (this.#lockToken === token) this.#lockToken = undefined;
    }
  }

  /** Has a lock reject a chunk that is not bytes, which leaves the stream usable. */
  guardLock(writer: WritableStreamDefaultWriter): WritableStreamDefaultWriter {
    const write = writer.write.bind(writer);
    const close = writer.close.bind(writer);
    const abort = writer.abort.bind(writer);
    const releaseLock = writer.releaseLock.bind(writer);
    const token = this.#lockToken = Symbol();
    const hasLock = () => this.#lockToken === token;
    return Object.assign(writer, {
      write: (chunk: unknown): Promise<void> => {
        try {
          const bytes = chunkBytes("chunk", chunk);
          // Deno would fail a stream that is being closed: it asks a size function that it has dropped.
          if (this.#isOver && hasLock()) throw this.writer.refusal;
          return this.report(write(bytes));
        } catch (error) {
          return this.#refuse(error);
        }
      },
      close: (): Promise<void> => {
        // Without the lock it is refused.
        if (hasLock()) this.writer.announceClose();
        return this.#close(close);
      },
      abort: (reason?: unknown): Promise<void> => this.abort(() => abort(reason)),
      releaseLock: (): void => {
        releaseLock();
        if (hasLock()) this.#lockToken = undefined;
      },
    });
  }
}
