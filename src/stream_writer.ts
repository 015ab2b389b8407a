// DmaStreamWriter: a WritableStream onto a file, written behind through Direct I/O.

import { chunkBytes, flag, optionsObject, shown, viewBytes } from "./arguments.ts";
import { DmaBuffer, takeMemory } from "./buffer.ts";
import { yieldIfNeeded } from "./engine/event_loop.ts";
import { SharedReads } from "./core/shared_reads.ts";
import { WriteSession } from "./core/write_session.ts";
import { DmaFile, handleOf } from "./file.ts";
import {
  checkWriterOptions,
  type DmaStreamWriterOptions,
  type DmaSyncOptions,
} from "./stream_writer_options.ts";
import { resolved, WriterSink } from "./stream_writer_sink.ts";

const dropped = new FinalizationRegistry<WriteSession>((session) => {
  session.abandon().catch(() => {});
});

/** Counts a pipe of this module's as who has the lock, and is told by its rejection. For this module only. */
export let pipingInto: <T>(writer: DmaStreamWriter, pipe: Promise<T>) => Promise<T>;

/** As for files: what has ended is forgotten at once. */
const forget = (session: WriteSession): void => void dropped.unregister(session);

/** The session of a writer that is free, with nothing on the way to it; else undefined. For this module only. */
export let sessionFor: (writer: DmaStreamWriter) => WriteSession | undefined;

/**
 * A `WritableStream` that writes to a file in the background, through Direct I/O where the file has it: full buffers
 * are on their way to the disk while the next one fills.
 *
 * `close()` resolves when every byte is durable and the length exact. The first failure is final: the stream is
 * errored, every later call rejects with it, and everything is freed.
 *
 * While a writer is open its file may be longer on disk than what was written, by zeros: the end of file is moved
 * ahead of the writes. After a SIGKILL or a power cut such a tail can remain; every byte below the last
 * {@linkcode DmaStreamWriter.prototype.sync | DmaStreamWriter.sync} is there, and what follows is data or zeros. With
 * `preallocate: false` no more than the padding of one block, and holes before writes that overtook others, can remain;
 * an atomic file is never seen with either.
 *
 * @example Write a download to a file
 * ```ts
 * import { DmaFile, DmaStreamWriter } from "@denodma/dma";
 *
 * const response = new Response("Hello, disk");
 * const file = await DmaFile.create("download.bin");
 * await response.body!.pipeTo(new DmaStreamWriter(file));
 * ```
 */
export class DmaStreamWriter extends WritableStream<BufferSource> implements AsyncDisposable {
  /** The file that is written to. */
  readonly file: DmaFile;
  /** Bytes of one buffer. */
  readonly bufferSize: number;
  /** Buffers that may be in flight. */
  readonly writeBehind: number;
  readonly #session: WriteSession;
  readonly #sink: WriterSink;

  static {
    sessionFor = (writer) => {
      const sink = writer.#sink;
      const { session } = sink;
      const over = session.asked || session.failed || session.closed;
      const busy = writer.locked || sink.queued > 0 || sink.waiting !== undefined;
      return over || busy ? undefined : session;
    };
    pipingInto = (writer, pipe) => {
      const sink = writer.#sink;
      const lent = sink.lent = Symbol();
      const over = () => {
        if (sink.lent === lent) sink.lent = undefined;
      };
      pipe.then(over, over);
      return sink.telling(pipe);
    };
  }

  /**
   * Starts a writer on an open file. A file has one writer at a time.
   *
   * @param file where to write; it must have been opened for writing
   * @param options where to start, with how much memory, and what `close()` does
   * @throws {TypeError} the file is not open for writing, or has a writer, or an option is of a wrong type
   * @throws {RangeError} an option is out of its range
   */
  constructor(file: DmaFile, options?: DmaStreamWriterOptions) {
    if (!(file instanceof DmaFile)) {
      throw new TypeError(`Cannot write to ${shown(file)}: file must be a DmaFile`);
    }
    const handle = handleOf(file);
    const checked = checkWriterOptions(options, handle.alignment);
    handle.assertOpen("write");
    if (!handle.writable) {
      throw new TypeError(`Cannot write to '${handle.path}': it was opened without write: true`);
    }
    if (handle.occupant) {
      throw new TypeError(
        `Cannot write to '${handle.path}' with two writers at once: close the first one`,
      );
    }
    const session = new WriteSession(handle, checked);
    const sink = new WriterSink(session);
    super({
      start: (controller) => sink.start(controller),
      write: (chunk) => sink.write(chunk),
      close: () => sink.close(),
      abort: (reason) => session.abort(reason),
    }, {
      // One chunk at a time: what the stream holds beyond the buffers is the chunk that is being copied.
      highWaterMark: 1,
      size: () => {
        sink.queued++;
        return 1;
      },
    });
    session.onFailure = (error) => sink.fail(error);
    sink.stream = new WeakRef(this);
    this.file = file;
    this.bufferSize = checked.bufferSize;
    this.writeBehind = checked.writeBehind;
    this.#session = session;
    this.#sink = sink;
    dropped.register(this, session, session);
    session.onLeft = forget;
  }

  /** Bytes accepted so far, counted as a position in the file. Stays readable after close. */
  get currentPos(): number {
    return this.#session.position;
  }

  /**
   * The end of the contiguous prefix that has reached the file: a new reader sees every byte below it. Not
   * crash-safe: {@linkcode DmaStreamWriter.prototype.sync | DmaStreamWriter.sync} for that.
   */
  get currentFlushedPos(): number {
    return this.#session.flushedPosition;
  }

  /**
   * Writes a chunk without a lock. It is accepted whole and in order; when the promise resolves the caller may
   * change it.
   *
   * @param chunk bytes, as many as one likes
   * @throws {TypeError} the chunk is no bytes, or the stream is locked or closed; nothing else is lost
   */
  write(chunk: BufferSource): Promise<void> {
    const sink = this.#sink;
    const { core, asked } = this.#session;
    if (
      core !== undefined && sink.queued === 0 && sink.waiting === undefined && !asked &&
      !this.locked && chunk instanceof Uint8Array && chunk.length > 0
    ) {
      const bytes = viewBytes(chunk);
      const taken = core.write(bytes);
      if (taken === bytes.length) return yieldIfNeeded(taken) ?? resolved;
      const rest = bytes.subarray(taken);
      return sink.wait(() => this.#session.accept(rest, rest.length));
    }
    return this.#sink.telling(this.#writeSlowly(chunk));
  }

  async #writeSlowly(chunk: BufferSource): Promise<void> {
    const bytes = chunkBytes("chunk", chunk);
    const { length } = bytes;
    this.#assertUsable("write");
    await (this.#writeBehindQueue(bytes) ??
      this.#sink.wait(() => this.#session.accept(bytes, length)));
    await yieldIfNeeded(length);
  }

  /** Where a released lock left chunks in the stream, these bytes go behind them. */
  #writeBehindQueue(bytes: Uint8Array): Promise<void> | undefined {
    if (this.#sink.queued === 0) return undefined;
    const writer = super.getWriter();
    const written = writer.write(bytes as BufferSource);
    writer.releaseLock();
    return written;
  }

  #assertUsable(op: string): void {
    if (this.#session.failed) throw this.#session.error;
    if (this.locked) {
      throw new TypeError(`Cannot ${op} a locked stream: use the writer that holds the lock`);
    }
    if (this.#session.asked) throw new TypeError(`Cannot ${op} a stream that is closed`);
  }

  /**
   * Hands over a buffer of {@linkcode DmaFile.prototype.allocBuffer | DmaFile.allocBuffer}: it is written without a
   * copy where the position is aligned. The buffer is detached for good.
   *
   * @param buffer all of its bytes are written
   * @throws {TypeError} it is no DmaBuffer, or one that is in use, or the stream is locked or closed
   */
  async writeBuffer(buffer: DmaBuffer): Promise<void> {
    if (!(buffer instanceof DmaBuffer)) {
      throw new TypeError(`Cannot write ${shown(buffer)}: buffer must be a DmaBuffer`);
    }
    this.#assertUsable("write");
    const memory = takeMemory(buffer);
    const written = this.#writeBehindQueue(memory.bytes) ??
      this.#sink.wait(() => this.#session.acceptMemory(memory));
    await this.#sink.telling(written);
    await yieldIfNeeded(buffer.length);
  }

  /**
   * Waits for every full buffer. The partly filled one stays.
   *
   * @returns the flushed position
   */
  async flushAligned(): Promise<number> {
    await this.#sink.settled();
    return await this.#sink.telling(this.#session.flush());
  }

  /**
   * Waits for the full buffers, then makes them durable. With `tail` the partly filled buffer is written too, and
   * writing may go on. Any number may run at once, also while a pipe holds the lock. The first one also makes
   * the name of a file durable that was created or renamed.
   *
   * @param options whether the partly filled buffer is made durable too
   * @returns the flushed position as it was when the sync of the file began
   */
  async sync(options?: DmaSyncOptions): Promise<number> {
    const { tail = false } = optionsObject<DmaSyncOptions>("options", options);
    flag("tail", tail);
    if (this.#sink.waiting) await this.#sink.settled();
    return await this.#sink.telling(this.#session.sync(tail));
  }

  /**
   * Writes what is left, cuts the file to its exact length, makes it durable with its name, and closes it.
   *
   * @throws the first failure of the stream; everything is freed all the same
   */
  override async close(): Promise<void> {
    await this.#end(() => super.close());
  }

  async #end(close: () => Promise<void>): Promise<void> {
    const session = this.#session;
    if (session.failed) return await this.#sink.telling(session.close());
    this.#assertUsable("close");
    await (session.asked = close()).catch(async (error) => {
      // The stream's own error for a stream that is errored says less than the failure.
      if (session.failed) await this.#sink.telling(session.close());
      throw error;
    });
  }

  /**
   * All that close promises, but the descriptor stays open.
   *
   * @returns the same file, which from now on can only be read
   */
  async seal(): Promise<DmaFile> {
    await this.#end(() => {
      this.#session.keepOpen();
      return super.close();
    });
    const handle = handleOf(this.file);
    handle.writable = false;
    handle.readable = true;
    handle.sharedReads = new SharedReads();
    return this.file;
  }

  /**
   * Gives up: waits for the writes in flight, cuts the file to
   * {@linkcode DmaStreamWriter.prototype.currentFlushedPos | DmaStreamWriter.currentFlushedPos} and closes it. An atomic
   * file vanishes.
   *
   * @param reason what every later call rejects with
   */
  override async abort(reason?: unknown): Promise<void> {
    if (this.#session.closed) return;
    await super.abort(reason);
    await this.#session.left();
  }

  /**
   * As `WritableStream.getWriter`, with one difference: a chunk that is no bytes is rejected alone, and the stream
   * stays as it was.
   */
  override getWriter(): WritableStreamDefaultWriter<BufferSource> {
    const writer = super.getWriter();
    const write = writer.write.bind(writer);
    const close = writer.close.bind(writer);
    const releaseLock = writer.releaseLock.bind(writer);
    const session = this.#session;
    const sink = this.#sink;
    const lent = sink.lent = Symbol();
    return Object.assign(writer, {
      write(chunk: BufferSource): Promise<void> {
        try {
          chunkBytes("chunk", chunk);
        } catch (error) {
          return Promise.reject(error);
        }
        return sink.telling(write(chunk));
      },
      close(): Promise<void> {
        if (session.failed) return sink.telling(session.close());
        const closing = close();
        // Without the lock it is refused.
        if (sink.lent === lent) session.asked ??= closing;
        return sink.telling(closing);
      },
      releaseLock(): void {
        releaseLock();
        if (sink.lent === lent) sink.lent = undefined;
      },
    });
  }

  /**
   * Closes, or does nothing where that was done, where the stream was aborted, or where a call or a pipe was told of its
   * failure already. It closes after an exception too: where a part must not become the whole, hold the file by
   * `await using` and not the writer.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    const session = this.#session;
    const told = session.failed && this.#sink.told;
    if (session.asked || session.closed || session.aborted || told) return await session.left();
    await this.close();
  }

  /**
   * Shows where the writer is in `console.log`.
   *
   * @ignore
   */
  [Symbol.for("Deno.customInspect")](
    inspect: typeof Deno.inspect,
    options: Deno.InspectOptions,
  ): string {
    const { file, currentPos, currentFlushedPos, bufferSize, writeBehind } = this;
    const facts = { path: file.path, currentPos, currentFlushedPos, bufferSize, writeBehind };
    return `DmaStreamWriter ${inspect(facts, options)}`;
  }
}
