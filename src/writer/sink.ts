// The underlying sink of a DmaStreamWriter, and the writes that bypass its lock. Chunks that cannot be accepted at once
// wait in the stream's own queue.

import { chunkBytes, lengthOfBytes } from "../arguments.ts";
import { yieldIfNeeded } from "../engine/event_loop.ts";
import type { AlignedMemory } from "../file/aligned_memory.ts";
import { Batch } from "./batch.ts";
import type { Writer } from "./writer.ts";
import { closedError } from "./writer_state.ts";

// The base class's methods: the writer's own are for users. A program may replace the global class later.
const { getWriter, close: closeStream } = WritableStream.prototype;

/** For calls that succeed at once. */
const RESOLVED: Promise<void> = Promise.resolve();

/** A stream of another kind that writes to this one and has waiting chunks of its own. */
export interface Upstream {
  /** Writes all of them to this stream at once. */
  handOver(): void;
}

/**
 * The underlying sink of a writer's stream. It holds no strong reference to the stream, which could otherwise never be
 * collected.
 */
export class WriterSink {
  readonly writer: Writer;
  #controller: WeakRef<WritableStreamDefaultController> | undefined;
  #stream: WeakRef<WritableStream> | undefined;
  /** The items of the stream's queue, the current one first. */
  readonly #waiting: Batch[] = [];
  /** How many of them, from the first on, were accepted before their turn. */
  #takenAhead = 0;
  /**
   * Identifies the holder of the lock, whose own calls report a failure: a writer of getWriter(), or a direct pipe. A
   * reference to the holder would keep the stream alive.
   */
  #lockToken: symbol | undefined;
  /** The stream above, which has a reference to this one. */
  upstream: WeakRef<Upstream> | undefined;
  /** Whether a call has rejected with the failure, so that disposing need not. */
  errorReported = false;

  constructor(writer: Writer) {
    this.writer = writer;
    writer.failing.then(({ reason }) => this.#fail(reason));
  }

  /** Sets the stream of this sink. */
  attach(stream: WritableStream): void {
    this.#stream = new WeakRef(stream);
  }

  /** Where the next chunk will start, waiting chunks included. */
  get nextPosition(): number {
    return this.#waiting.reduce((end, { bytes }) => end + bytes, this.writer.position);
  }

  /** Whether chunks wait in the stream's queue. */
  get #isWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** Whether the writer may be used without the stream: nothing waits, and no end was requested. */
  get isFree(): boolean {
    return !this.#isWaiting && !this.writer.closeAnnounced && !this.writer.ending;
  }

  // ---- what the stream calls --------------------------------------------------------------------------------------

  start(controller: WritableStreamDefaultController): Promise<void> | undefined {
    this.#controller = new WeakRef(controller);
    const { writer } = this;
    // The stream would first wait for the current chunk, however large it is.
    controller.signal.addEventListener("abort", () => {
      writer.abort(controller.signal.reason).catch(() => {});
    });
    return writer.opening;
  }

  /** The stream counts items, so it queues one at a time beyond the buffers. */
  size(item: unknown): number {
    // The stream asks even if it is closing or failing, and refuses the chunk then.
    if (this.writer.closeAnnounced || this.writer.failure) return 1;
    this.#waiting.push(item instanceof Batch ? item : Batch.of(item));
    return 1;
  }

  /** The stream passes the first of the items that wait. */
  write(): Promise<void> | undefined {
    const { failure } = this.writer;
    if (failure) return Promise.reject(failure.reason);
    const batch = this.#waiting[0]!;
    if (batch.error) return this.#refuse(batch.error);
    const { bytes } = batch;
    batch.isOpen = false;
    if (!this.#take(batch)) return this.#takeLater(batch);
    this.#noteTaken();
    return yieldIfNeeded(bytes);
  }

  close(): Promise<void> {
    return this.writer.close();
  }

  abort(reason: unknown): Promise<void> {
    return this.writer.abort(reason);
  }

  #noteTaken(): void {
    if (this.#takenAhead > 0) this.#takenAhead--;
    this.#waiting.shift()?.taken?.resolve();
  }

  /** Errors the stream. A pipe reports that to its caller. */
  #fail(reason: unknown): void {
    if (this.#stream?.deref()?.locked && !this.#lockToken) this.errorReported = true;
    this.#controller?.deref()?.error(reason);
    this.#takenAhead = 0;
    for (const { taken } of this.#waiting.splice(0)) taken?.resolve();
  }

  // ---- taking chunks ----------------------------------------------------------------------------------------------

  /** Accepts what there is room for of a batch, and returns whether that was all. A wrong chunk fails the writer. */
  #take(batch: Batch): boolean {
    const { writer } = this;
    const { memory, isBegun } = batch;
    if (memory && !isBegun && this.#takeMemory(memory)) batch.skip();
    while (!writer.failure) {
      if (batch.isTaken) return true;
      if (!writer.hasRoom) return false;
      try {
        batch.advance((chunk, from) => writer.write(chunk, from));
      } catch (error) {
        writer.fail(error);
      }
    }
    return false;
  }

  /**
   * Accepts what there is room for of what waits, so that one sync serves many callers. Returns the first batch that is not
   * accepted whole; nothing is accepted behind a wrong chunk.
   */
  #takeAhead(): Batch | undefined {
    for (; this.#takenAhead < this.#waiting.length; this.#takenAhead++) {
      const batch = this.#waiting[this.#takenAhead]!;
      if (batch.error || !this.#take(batch)) return batch;
      batch.isOpen = false;
    }
    return undefined;
  }

  async #takeLater(batch: Batch): Promise<void> {
    do {
      await this.writer.room();
    } while (!this.#take(batch));
    this.#noteTaken();
  }

  /** The stream treats this as its own failure and never calls again, so everything must be freed here. */
  async #refuse(error: unknown): Promise<never> {
    await this.writer.abort(error).catch(() => {});
    throw error;
  }

  /** Accepts memory that was handed over: without a copy, unless a buffer is partly filled, or would be afterwards. */
  #takeMemory(memory: AlignedMemory): boolean {
    const { writer } = this;
    const { length } = memory.bytes;
    const fits = length % writer.file.blockSize === 0;
    if (!fits || !writer.takesMemory || !writer.file.engine.endsWithProcess) return false;
    writer.writeMemory(memory, length, () => {});
    return true;
  }

  // ---- past the lock ----------------------------------------------------------------------------------------------

  /** Throws if `stream` is locked or closed. */
  assertUsable(stream: WritableStream, op: string): void {
    const { closeAnnounced, failure } = this.writer;
    if (failure) throw failure.reason;
    if (stream.locked) {
      throw new TypeError(`Cannot ${op} a locked stream: use the writer that holds the lock`);
    }
    if (closeAnnounced) throw closedError(op);
  }

  /** Accepts a chunk without the lock: at once if there is room, else through the stream's queue. */
  writeUnlocked(stream: WritableStream, chunk: unknown): Promise<void> {
    const { writer } = this;
    // An object that only inherits from Uint8Array has no length.
    const isBytes = chunk instanceof Uint8Array && ArrayBuffer.isView(chunk);
    const length = isBytes ? lengthOfBytes(chunk) : 0;
    const isTaken = length > 0 && !this.#isWaiting && !writer.closeAnnounced && !stream.locked &&
      writer.writeWhole(chunk as Uint8Array, length);
    if (isTaken) return yieldIfNeeded(length) ?? RESOLVED;
    let bytes: Uint8Array;
    try {
      bytes = chunkBytes("chunk", chunk);
      this.assertUsable(stream, "write");
    } catch (error) {
      return this.report(Promise.reject(error));
    }
    const last = this.#waiting.at(-1);
    if (last?.accepted && last.isOpen && !last.isFull) {
      last.add(bytes);
      return last.accepted;
    }
    const batch = new Batch(bytes);
    const whole = batch.bytes;
    if (!this.#isWaiting && this.#take(batch)) return yieldIfNeeded(whole) ?? RESOLVED;
    if (writer.failure) return this.report(Promise.reject(writer.failure.reason));
    batch.isOpen = true;
    return batch.accepted = this.report(this.#enqueue(stream, batch));
  }

  /** Accepts memory without the lock. */
  async writeMemoryUnlocked(stream: WritableStream, memory: AlignedMemory): Promise<void> {
    const batch = new Batch(memory.bytes, memory);
    if (this.#isWaiting || !this.#take(batch)) await this.#enqueue(stream, batch);
    else await yieldIfNeeded(memory.bytes.length);
  }

  #enqueue(stream: WritableStream, batch: Batch): Promise<void> {
    const writer = getWriter.call(stream);
    const written = writer.write(batch);
    writer.releaseLock();
    return written;
  }

  /** Resolves when all chunks given before this call are accepted; undefined if they are. */
  allTaken(): Promise<void> | undefined {
    if (!this.#takeAhead()) return undefined;
    return (this.#waiting.at(-1)!.taken ??= Promise.withResolvers()).promise;
  }

  /** Blocks until every chunk that was given is in the file, and with `durable` is synced. Throws the failure. */
  flushNow(durable: boolean, deadline: number): void {
    this.upstream?.deref()?.handOver();
    for (let batch; (batch = this.#takeAhead()) && !batch.error;) {
      // A program that has come to its end has closed its writers.
      this.writer.assertAccepts();
      this.writer.waitNow(deadline);
    }
    this.writer.flushNow(durable, deadline);
  }

  // ---- the end ----------------------------------------------------------------------------------------------------

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
    try {
      if (!writer.failure) await close();
    } catch (error) {
      if (!writer.failure) throw error;
    }
    if (writer.failure) await this.report(writer.close());
  }

  /** Resolves when the writer has ended, in whichever way. */
  async untilEnded(): Promise<void> {
    const { closeAnnounced, ended, ending } = this.writer;
    if (closeAnnounced || ending) await ended;
  }

  /** Waits for an abort of the stream, and until everything is freed, for which a stream that has failed does not wait. */
  async afterAbort(aborting: Promise<void>): Promise<void> {
    try {
      await aborting;
    } finally {
      await this.untilEnded();
    }
  }

  // ---- reporting failures -----------------------------------------------------------------------------------------

  /** A promise for a user. The failure counts as reported when it rejects. */
  async report<T>(promise: Promise<T>): Promise<T> {
    try {
      return await promise;
    } catch (error) {
      const { failure } = this.writer;
      if (failure && error === failure.reason) this.errorReported = true;
      throw error;
    }
  }

  /** Treats a direct pipe as the holder of the lock. */
  async reportPipe(pipe: Promise<void>): Promise<void> {
    const token = this.#lockToken = Symbol();
    try {
      await this.report(pipe);
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
        const batch = Batch.of(chunk);
        return batch.error ? Promise.reject(batch.error) : this.report(write(batch));
      },
      close: (): Promise<void> => {
        // Without the lock it is refused.
        if (hasLock()) this.writer.announceClose();
        return this.#close(close);
      },
      abort: (reason?: unknown): Promise<void> => this.afterAbort(abort(reason)),
      releaseLock: (): void => {
        releaseLock();
        if (hasLock()) this.#lockToken = undefined;
      },
    });
  }
}
