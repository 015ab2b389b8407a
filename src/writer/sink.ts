// What a DmaStreamWriter's WritableStream calls, and what is written past its lock. All chunks that cannot be taken at once
// wait in the stream's own queue.

import { chunkBytes, viewBytes } from "../arguments.ts";
import { yieldIfNeeded } from "../engine/event_loop.ts";
import { terminable } from "../engine/isolate.ts";
import { AlignedMemory } from "../file/aligned_memory.ts";
import type { Writer } from "./writer.ts";

/** For what was possible at once. */
const RESOLVED: Promise<void> = Promise.resolve();

/** Chunks that were written past the lock wait together, up to so many bytes and chunks. */
const MAX_BATCH_BYTES = 256 << 10;
const MAX_BATCH_CHUNKS = 4096;

/** Chunks that wait as one item of the stream's queue, with the lengths that they had when they were given. */
class Batch {
  readonly chunks: Uint8Array[] = [];
  readonly lengths: number[] = [];
  bytes = 0;
  /** Settles when all of them are taken. */
  accepted: Promise<void> = RESOLVED;

  get isFull(): boolean {
    return this.bytes >= MAX_BATCH_BYTES || this.chunks.length >= MAX_BATCH_CHUNKS;
  }

  add(chunk: Uint8Array): void {
    this.chunks.push(chunk);
    this.lengths.push(chunk.length);
    this.bytes += chunk.length;
  }
}

/** A chunk that was written under the lock, with the length that it had then. */
class LockedChunk {
  readonly byteLength: number;
  constructor(readonly bytes: Uint8Array) {
    this.byteLength = bytes.length;
  }
}

/** What waits in the stream's queue: what users write, and what was written past the lock. */
type Item = BufferSource | LockedChunk | Batch | AlignedMemory;

function bytesOf(item: Item): number {
  if (item instanceof Batch) return item.bytes;
  const { byteLength } = item instanceof AlignedMemory ? item.bytes : item;
  // Nobody knows what is wrong with it yet.
  return Number.isSafeInteger(byteLength) ? byteLength : 0;
}

/** The underlying sink of a writer's stream. It must not hold the stream, or that could never be dropped. */
export class WriterSink {
  readonly writer: Writer;
  #controller: WeakRef<WritableStreamDefaultController> | undefined;
  #stream: WeakRef<WritableStream> | undefined;
  /** Items that were given to the stream, and those of them that were taken. */
  #given = 0;
  #taken = 0;
  /** Bytes of the items that wait. */
  #waitingBytes = 0;
  /** Who waits until so many items are taken. */
  #waiters: { readonly given: number; readonly resolve: () => void }[] = [];
  /** The last item of the stream's queue, while chunks can still join it. */
  #batch: Batch | undefined;
  /** The close that the user asked for. Nothing comes after it, also while chunks before it wait. */
  closeRequest: Promise<unknown> | undefined;
  #keepOpen = false;
  /**
   * Who has the lock and learns of a failure from its own calls: a writer of getWriter(), or a pipe of this module's. Not
   * the writer itself: it would hold the stream.
   */
  #lockToken: symbol | undefined;
  /** Somebody was told of the failure: disposing need not tell it again. */
  errorReported = false;

  constructor(writer: Writer) {
    this.writer = writer;
    writer.failing.then(({ reason }) => this.#fail(reason));
  }

  /** The stream that this is the sink of. */
  attach(stream: WritableStream): void {
    this.#stream = new WeakRef(stream);
  }

  /** Where the next chunk will start, chunks that wait included. */
  get nextPosition(): number {
    return this.writer.position + this.#waitingBytes;
  }

  /** Whether chunks wait in the stream's queue. */
  get #isWaiting(): boolean {
    return this.#given > this.#taken;
  }

  /** Whether the writer may be used past the stream: nothing waits, and no end was asked for. */
  get isFree(): boolean {
    return !this.#isWaiting && this.closeRequest === undefined && !this.writer.ending;
  }

  // ---- what the stream calls --------------------------------------------------------------------------------------

  start(controller: WritableStreamDefaultController): Promise<void> | undefined {
    this.#controller = new WeakRef(controller);
    const { writer } = this;
    // The stream itself would first wait for the chunk that is being written, however large that is.
    controller.signal.addEventListener("abort", () => {
      writer.abort(controller.signal.reason).catch(() => {});
    });
    return writer.opening;
  }

  /** The stream counts items, so that it holds one at a time beyond the buffers. */
  size(item: Item): number {
    this.#batch = item instanceof Batch ? item : undefined;
    this.#given++;
    this.#waitingBytes += bytesOf(item);
    return 1;
  }

  write(item: Item): Promise<void> | undefined {
    if (item === this.#batch) this.#batch = undefined;
    const bytes = bytesOf(item);
    const pending = this.#accept(item);
    if (pending) return pending.finally(() => this.#noteTaken());
    this.#noteTaken();
    return yieldIfNeeded(bytes);
  }

  close(): Promise<void> {
    return this.writer.close(this.#keepOpen);
  }

  abort(reason: unknown): Promise<void> {
    return this.writer.abort(reason);
  }

  #noteTaken(): void {
    this.#taken++;
    while (this.#waiters[0] && this.#waiters[0].given <= this.#taken) {
      this.#waiters.shift()!.resolve();
    }
  }

  /** The stream fails: whoever pipes into it is told by the pipe. */
  #fail(reason: unknown): void {
    if (this.#stream?.deref()?.locked && !this.#lockToken) this.errorReported = true;
    this.#controller?.deref()?.error(reason);
    for (const { resolve } of this.#waiters.splice(0)) resolve();
  }

  // ---- taking chunks ----------------------------------------------------------------------------------------------

  /** Takes an item. Returns nothing where that was possible at once. */
  #accept(item: Item): Promise<void> | undefined {
    if (item instanceof Batch) return this.#acceptBatch(item);
    if (item instanceof LockedChunk) return this.#acceptBytes(item.bytes, item.byteLength);
    if (item instanceof AlignedMemory) return this.#acceptMemory(item);
    let bytes: Uint8Array;
    try {
      bytes = chunkBytes("chunk", item);
    } catch (error) {
      return this.#refuse(error);
    }
    return this.#acceptBytes(bytes, bytes.length);
  }

  /** The stream takes this for its own failure, and never calls again: everything must be freed here. */
  async #refuse(error: unknown): Promise<never> {
    await this.writer.abort(error).catch(() => {});
    throw error;
  }

  /** Takes a whole chunk, whose length was `length` when it was given. */
  #acceptBytes(bytes: Uint8Array, length: number): Promise<void> | undefined {
    if (bytes.length !== length) return this.#acceptSlowly(bytes, length, 0);
    const taken = this.writer.write(bytes);
    this.#waitingBytes -= taken;
    return taken === length ? undefined : this.#acceptSlowly(bytes, length, taken);
  }

  async #acceptSlowly(bytes: Uint8Array, length: number, from: number): Promise<void> {
    const { writer } = this;
    for (let at = from; at < length;) {
      await writer.room();
      // A part of it may be on the disk: what follows would stand in the wrong place.
      if (bytes.length !== length) {
        const what = "a chunk whose buffer is detached or resized before it is taken";
        writer.fail(new TypeError(`Cannot write ${what}`));
        throw writer.failure!.reason;
      }
      const taken = writer.write(bytes, at);
      this.#waitingBytes -= taken;
      at += taken;
    }
  }

  async #acceptBatch({ chunks, lengths }: Batch): Promise<void> {
    for (let index = 0; index < chunks.length; index++) {
      const pending = this.#acceptBytes(chunks[index]!, lengths[index]!);
      if (pending) await pending;
    }
  }

  /** Takes memory that was handed over: without a copy, unless a buffer is partly filled, or would be by it. */
  async #acceptMemory(memory: AlignedMemory): Promise<void> {
    const { writer } = this;
    await writer.room();
    const { length } = memory.bytes;
    if (!this.#takeMemory(memory)) return await this.#acceptSlowly(memory.bytes, length, 0);
    this.#waitingBytes -= length;
  }

  #takeMemory(memory: AlignedMemory): boolean {
    const { writer } = this;
    const { length } = memory.bytes;
    const fits = length % writer.file.blockSize === 0;
    if (!fits || !writer.takesMemory || terminable) return false;
    writer.writeMemory(memory, length, () => {});
    return true;
  }

  // ---- past the lock ----------------------------------------------------------------------------------------------

  /** Throws where `stream` does not take this call, because it is locked or at its end. */
  assertUsable(stream: WritableStream, op: string): void {
    const { failure } = this.writer;
    if (failure) throw failure.reason;
    if (stream.locked) {
      throw new TypeError(`Cannot ${op} a locked stream: use the writer that holds the lock`);
    }
    if (this.closeRequest) throw new TypeError(`Cannot ${op} a stream that is closed`);
  }

  /** Takes a chunk without the lock: at once where there is room, else by way of the stream's queue. */
  writeUnlocked(stream: WritableStream, chunk: unknown): Promise<void> {
    const { writer } = this;
    const takes = !this.closeRequest && !writer.ending && !stream.locked;
    if (takes && chunk instanceof Uint8Array && chunk.length > 0) {
      const bytes = viewBytes(chunk);
      const taken = this.#isWaiting ? 0 : writer.write(bytes);
      if (taken === bytes.length) return yieldIfNeeded(taken) ?? RESOLVED;
      if (!writer.failure) return this.#enqueueChunk(stream, bytes.subarray(taken));
    }
    return this.report(this.#writeSlowly(stream, chunk));
  }

  async #writeSlowly(stream: WritableStream, chunk: unknown): Promise<void> {
    const bytes = chunkBytes("chunk", chunk);
    this.assertUsable(stream, "write");
    const taken = this.#isWaiting ? 0 : this.writer.write(bytes);
    if (this.writer.failure) throw this.writer.failure.reason;
    if (taken < bytes.length) return await this.#enqueueChunk(stream, bytes.subarray(taken));
    await yieldIfNeeded(taken);
  }

  /** Hands memory over without the lock. */
  async writeMemoryUnlocked(stream: WritableStream, memory: AlignedMemory): Promise<void> {
    const taken = !this.#isWaiting && this.#takeMemory(memory);
    if (!taken) await this.#enqueue(stream, memory);
    else await yieldIfNeeded(memory.bytes.length);
  }

  /** A chunk waits, together with the one before it where that waits too. All of a batch share one promise. */
  #enqueueChunk(stream: WritableStream, bytes: Uint8Array): Promise<void> {
    const joined = this.#batch;
    if (joined && !joined.isFull) {
      joined.add(bytes);
      this.#waitingBytes += bytes.length;
      return joined.accepted;
    }
    const batch = new Batch();
    batch.add(bytes);
    return batch.accepted = this.report(this.#enqueue(stream, batch));
  }

  #enqueue(stream: WritableStream, item: Item): Promise<void> {
    // The stream's own: the writer's getWriter() checks what users write.
    const writer = WritableStream.prototype.getWriter.call(stream);
    const written = writer.write(item as unknown as BufferSource);
    writer.releaseLock();
    return written;
  }

  /** Resolves when all chunks that were given before this call are taken; undefined where they are. */
  allTaken(): Promise<void> | undefined {
    if (!this.#isWaiting || this.writer.failure) return undefined;
    const given = this.#given;
    return new Promise((resolve) => this.#waiters.push({ given, resolve }));
  }

  // ---- the end ----------------------------------------------------------------------------------------------------

  /** Ends the stream by `close`, which closes it; with `keepOpen` the descriptor stays open. */
  async end(stream: WritableStream, close: () => Promise<void>, keepOpen = false): Promise<void> {
    const { writer } = this;
    if (writer.failure) return await this.report(writer.close());
    this.assertUsable(stream, "close");
    this.#keepOpen = keepOpen;
    this.#requestClose(close());
    await this.#closed(this.closeRequest!);
  }

  /** Waits for a close of the stream. One that rejects is over when everything is free. */
  async #closed(closing: Promise<unknown>): Promise<void> {
    try {
      await closing;
    } catch (error) {
      // The stream's own error for a stream that is errored says less than the failure.
      if (this.writer.failure) await this.report(this.writer.close());
      throw error;
    }
  }

  #requestClose(closing: Promise<void>): void {
    this.closeRequest = closing;
    this.writer.announceClose();
  }

  /** Resolves when nothing is left to do, whichever way it ended. */
  async left(): Promise<void> {
    await this.closeRequest?.catch(() => {});
    if (this.writer.ending) await this.writer.ended;
  }

  /** Waits for an abort of the stream, and until nothing is left to do: a stream that has failed itself does not wait. */
  async afterwards(aborting: Promise<void>): Promise<void> {
    try {
      await aborting;
    } finally {
      await this.left();
    }
  }

  // ---- who is told of a failure -----------------------------------------------------------------------------------

  /** What a user gets: the failure counts as reported when this rejects with it. */
  async report<T>(promise: Promise<T>): Promise<T> {
    try {
      return await promise;
    } catch (error) {
      const { failure } = this.writer;
      if (failure && error === failure.reason) this.errorReported = true;
      throw error;
    }
  }

  /** Counts a pipe of this module's as who has the lock. */
  async reportPipe(pipe: Promise<void>): Promise<void> {
    const token = this.#lockToken = Symbol();
    try {
      await this.report(pipe);
    } finally {
      if (this.#lockToken === token) this.#lockToken = undefined;
    }
  }

  /** A writer of the stream that rejects a chunk that is no bytes alone, and leaves the stream as it was. */
  guard(writer: WritableStreamDefaultWriter): WritableStreamDefaultWriter {
    const write = writer.write.bind(writer);
    const close = writer.close.bind(writer);
    const abort = writer.abort.bind(writer);
    const releaseLock = writer.releaseLock.bind(writer);
    const token = this.#lockToken = Symbol();
    const hasLock = () => this.#lockToken === token;
    return Object.assign(writer, {
      write: (chunk: BufferSource): Promise<void> => {
        let item: Item;
        try {
          item = new LockedChunk(chunkBytes("chunk", chunk));
        } catch (error) {
          return Promise.reject(error);
        }
        return this.report(write(item as unknown as BufferSource));
      },
      close: (): Promise<void> => {
        if (this.writer.failure) return this.report(this.writer.close());
        const closing = close();
        // Without the lock it is refused.
        if (hasLock() && !this.closeRequest) this.#requestClose(closing);
        return this.#closed(closing);
      },
      abort: (reason?: unknown): Promise<void> => this.afterwards(abort(reason)),
      releaseLock: (): void => {
        releaseLock();
        if (hasLock()) this.#lockToken = undefined;
      },
    });
  }
}
