// The underlying sink of a DmaStreamWriter, and the writes that bypass its lock. A chunk is accepted at once if the
// buffers have room. Otherwise the rest waits here, and an item in the stream's own queue ends when it is accepted.

import { chunkBytes, isUint8Array, lengthOfBytes } from "../arguments.ts";
import { yieldIfNeeded } from "../engine/event_loop.ts";
import type { Memory } from "../engine/operation.ts";
import { closedStreamError } from "../errors.ts";
import { forgetFailure } from "../file/program_end.ts";
import { Queue } from "../queue.ts";
import type { Writer } from "./writer.ts";

// A DmaStreamWriter overrides these methods for users, and a program may replace the global class.
const { getWriter, close: closeStream } = WritableStream.prototype;

const RESOLVED: Promise<void> = Promise.resolve();

/** Waiting chunks of up to this many bytes share an item: the promise of an item costs more than a small chunk. */
const MAX_SHARED_BYTES = 256 << 10;

/** The stream's item for chunks written without the lock. */
const UNLOCKED = Symbol();

/** A stream of another kind that writes to this one and has waiting chunks of its own. */
export interface Upstream {
  /** Passes all waiting chunks to this stream at once, and does not wait until they are accepted. */
  handOver(): void;
}

/** Bytes that a caller has written and the writer has not completely accepted. */
interface Chunk {
  readonly bytes: Uint8Array;
  /** Their number at the call. */
  readonly length: number;
  /** Their memory, if it may be written without a copy. */
  readonly memory: Memory | undefined;
  taken: number;
  /** The flushes that begin when all bytes are accepted, or never will be. */
  readonly flushes: (() => void)[];
  /** If the chunk was written without the lock: the item of the stream's queue, which neighbours share, and its bytes. */
  item: { readonly written: Promise<void>; bytes: number } | undefined;
}

/** The `closed` promises that programs have got. A field would keep what their callbacks refer to, often the stream. */
const watched = new WeakSet<Promise<void>>();

const sinks = new WeakMap<WritableStream, WriterSink>();

export function sinkOf(stream: WritableStream): WriterSink | undefined {
  return sinks.get(stream);
}

/** The underlying sink of a writer's stream. A strong reference to the stream would keep it from being collected. */
export class WriterSink {
  #controller: WeakRef<WritableStreamDefaultController> | undefined;
  #stream: WeakRef<WritableStream> | undefined;
  readonly #waiting: Queue<Chunk> = new Queue();
  /** The number of their bytes that are not accepted. */
  #waitingBytes = 0;
  /** Items of the stream's queue that were accepted before their turn. */
  #ahead = 0;
  /** Whether a writer from getWriter() holds the stream. Its own calls report a failure. */
  hasLock = false;
  /** The stream above, which has a reference to this one. {@linkcode flushNow} first takes the chunks that wait there. */
  upstream: WeakRef<Upstream> | undefined;
  /** Whether a call has rejected with the failure. If so, disposing is silent. */
  errorReported = false;

  constructor(readonly writer: Writer) {
    writer.sink = this;
    // For lack of memory the writer has failed while it opened.
    if (writer.failure) this.writerFailed();
  }

  attach(stream: WritableStream): void {
    this.#stream = new WeakRef(stream);
    sinks.set(stream, this);
  }

  get nextPosition(): number {
    return this.writer.position + this.#waitingBytes;
  }

  /** Whether a direct pipe may use the writer: no chunk waits, and no end was requested. */
  get isFree(): boolean {
    return this.#waiting.length === 0 && !this.writer.isOver;
  }

  start(controller: WritableStreamDefaultController): void {
    this.#controller = new WeakRef(controller);
    // At once: the stream itself would first wait for the current chunk, however large it is.
    controller.signal.addEventListener("abort", () => {
      // The caller knows the reason.
      this.#noteReported();
      this.writer.abort(controller.signal.reason).catch(() => {});
    });
  }

  /** Accepts a chunk. The stream counts items, so it queues one at a time beyond the buffers. */
  size(item: unknown): number {
    const { closeAnnounced, failure } = this.writer;
    // The stream calls this even if it is closing or failing, and then rejects the chunk.
    if (closeAnnounced || failure || item === UNLOCKED) return 1;
    try {
      const bytes = chunkBytes("chunk", item);
      // If a turn of the event loop is due, write() waits for it.
      yieldIfNeeded(lengthOfBytes(bytes));
      if (!this.#add(bytes)) this.#ahead++;
    } catch (error) {
      this.writer.fail(error);
    }
    return 1;
  }

  write(): Promise<void> | undefined {
    if (this.#ahead === 0) return this.#untilTaken();
    this.#ahead--;
    return yieldIfNeeded(0);
  }

  async #untilTaken(): Promise<void> {
    while (this.#ahead === 0) {
      await this.report(this.writer.room());
      this.#takeWaiting();
    }
    this.#ahead--;
  }

  /** Errors the stream when everything is freed: a caller may then create the file again, which must not be cut. */
  async writerFailed(): Promise<void> {
    await this.writer.ended;
    // A pipe reports the failure to its caller.
    if (this.#stream?.deref()?.locked && !this.hasLock) this.#noteReported();
    // The chunk whose write has failed is among them: it began to wait after the failure.
    while (this.#waiting.length > 0) for (const flush of this.#waiting.shift()!.flushes) flush();
    this.#waitingBytes = 0;
    this.#controller?.deref()?.error(this.writer.failure!.reason);
  }

  /** Accepts as much of a chunk as there is room for, after those that wait. Returns it if it has to wait. */
  #add(bytes: Uint8Array, memory?: Memory): Chunk | undefined {
    const length = lengthOfBytes(bytes);
    const chunk: Chunk = { bytes, length, memory, taken: 0, flushes: [], item: undefined };
    if (this.#waiting.length === 0 && this.#take(chunk)) return undefined;
    this.#waiting.push(chunk);
    this.#waitingBytes += length - chunk.taken;
    return chunk;
  }

  /** Accepts as much of a chunk as there is room for, and returns whether that was all of it. */
  #take(chunk: Chunk): boolean {
    const { writer } = this;
    const { bytes, length, memory } = chunk;
    const isAligned = length % writer.file.blockSize === 0;
    const mayKeep = memory && isAligned && chunk.taken === 0 && writer.file.engine.endsWithProcess;
    if (mayKeep && writer.takesMemory) {
      writer.writeMemory(memory, length, false);
      chunk.taken = length;
    }
    while (chunk.taken < length && writer.hasRoom) {
      if (lengthOfBytes(bytes) !== length) {
        // A part of the chunk may be in the file, so the next chunk would be at a wrong position.
        const what = "a chunk whose buffer is detached or shrunk before it is taken";
        writer.fail(new TypeError(`Cannot write ${what}`));
      } else chunk.taken += writer.write(bytes, chunk.taken);
    }
    if (chunk.taken < length || writer.failure) return false;
    // Within this call, because a close may follow in the same turn.
    for (const flush of chunk.flushes) flush();
    return true;
  }

  #takeWaiting(): void {
    const end = this.nextPosition;
    const waiting = this.#waiting;
    while (waiting.length > 0 && this.#take(waiting.at(0)!)) {
      const { item } = waiting.shift()!;
      if (!item || item !== waiting.at(0)?.item) this.#ahead++;
    }
    this.#waitingBytes = end - this.writer.position;
  }

  assertUsable(stream: WritableStream, action: string): void {
    const { closeAnnounced, failure, file } = this.writer;
    if (failure) throw failure.reason;
    if (stream.locked) {
      const why = "its stream is locked: use the writer that holds the lock";
      throw new TypeError(`Cannot ${action} '${file.path}': ${why}`);
    }
    if (closeAnnounced) throw closedStreamError(action, file);
  }

  /** Accepts a chunk if no other waits and the current buffer has room for it: the fast path. */
  takeAtOnce(chunk: unknown): Promise<void> | undefined {
    const length = isUint8Array(chunk) && this.isFree ? lengthOfBytes(chunk) : 0;
    const isTaken = length > 0 && this.writer.writeWhole(chunk as Uint8Array, length);
    return isTaken ? yieldIfNeeded(length) ?? RESOLVED : undefined;
  }

  writeUnlocked(stream: WritableStream, chunk: unknown): Promise<void> {
    const taken = stream.locked ? undefined : this.takeAtOnce(chunk);
    if (taken) return taken;
    try {
      const bytes = chunkBytes("chunk", chunk);
      this.assertUsable(stream, "write to");
      return this.give(stream, bytes);
    } catch (error) {
      return this.rethrow(error);
    }
  }

  /** Accepts a chunk, or the memory of a DmaBuffer, without the lock: at once if there is room. */
  give(stream: WritableStream, bytes: Uint8Array, memory?: Memory): Promise<void> {
    const last = this.#waiting.at(-1);
    const chunk = this.#add(bytes, memory);
    const { failure } = this.writer;
    if (failure) return this.rethrow(failure.reason);
    if (!chunk) return yieldIfNeeded(lengthOfBytes(bytes)) ?? RESOLVED;
    const shares = last?.item && last.taken === 0 && last.item.bytes < MAX_SHARED_BYTES;
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

  /** Waits until all chunks so far are accepted, and then flushes them: see {@linkcode Writer.flush}. */
  flush(tail: boolean, durable: boolean): Promise<number> {
    const { writer } = this;
    const last = writer.ending ? undefined : this.#waiting.at(-1);
    const flush = () => writer.flush(tail, durable);
    if (!last) return this.report(flush());
    return this.report(new Promise((resolve) => last.flushes.push(() => resolve(flush()))));
  }

  /** Blocks until all chunks so far are in the file, and with `durable` are synced. Throws the failure. */
  flushNow(durable: boolean, deadline: number): void {
    const { writer } = this;
    this.upstream?.deref()?.handOver();
    for (this.#takeWaiting(); this.#waiting.length > 0 && !writer.ending; this.#takeWaiting()) {
      writer.waitNow(deadline);
    }
    writer.flushNow(durable, deadline);
    // They came after the end of the program had closed the writer. A program that ends does not see rejected promises.
    if (this.#waiting.length > 0) throw writer.refusal;
  }

  /** As {@linkcode flushNow}, for a caller: a failure then counts as reported. */
  flushSync(durable: boolean): void {
    try {
      this.flushNow(durable, Infinity);
    } catch (error) {
      if (this.writer.failure) this.#noteReported();
      throw error;
    }
  }

  finish(): void {
    const end = this.nextPosition;
    this.upstream?.deref()?.handOver();
    if (this.nextPosition === end) this.writer.finish();
  }

  end(stream: WritableStream, keepOpen = false): Promise<void> {
    const { writer } = this;
    if (!writer.failure) {
      this.assertUsable(stream, keepOpen ? "seal" : "close");
      // The end of the program has closed the writer, and perhaps its file.
      if (keepOpen && writer.ending) throw closedStreamError("seal", writer.file);
      writer.announceClose(keepOpen);
    }
    return this.report(closeStream.call(stream));
  }

  /** Aborts the stream. If it has failed, an allowed call only waits for its end, and the failure counts as reported. */
  async abort(isAllowed: boolean, abort: () => Promise<void>): Promise<void> {
    if (!this.writer.failure || !isAllowed) return await abort();
    this.#noteReported();
    await this.writer.ended;
  }

  #noteReported(): void {
    this.errorReported = true;
    forgetFailure(this.writer.file);
  }

  /** Returns the `closed` promise of the stream or of a lock. Its rejection tells the caller of the failure. */
  watched(closed: Promise<void>): Promise<void> {
    if (!watched.has(closed)) {
      closed.catch(() => this.writer.failure && forgetFailure(this.writer.file));
      watched.add(closed);
    }
    return closed;
  }

  /** A promise for a user. After a failure it rejects with the failure, which then counts as reported. */
  report<T>(promise: Promise<T>, fulfilled?: (value: T) => T): Promise<T> {
    return promise.then(fulfilled, (error) => {
      const { failure } = this.writer;
      return this.rethrow(failure ? failure.reason : error);
    });
  }

  /** Rejects with an error: with the writer's failure only when everything is freed. */
  async rethrow(error: unknown): Promise<never> {
    const { failure } = this.writer;
    if (failure && error === failure.reason) {
      this.#noteReported();
      await this.writer.ended;
    }
    throw error;
  }
}
