// The underlying source of a DmaStreamReader: moves chunks from read-ahead to the consumer.

import { yieldIfNeeded } from "../engine/event_loop.ts";
import { closeFile } from "../file/close.ts";
import type { OpenFile } from "../file/open_file.ts";
import { readStraight } from "../file/random_access.ts";
import { ReadAhead } from "./read_ahead.ts";
import type { ReaderOptions } from "./reader_options.ts";

/** The most bytes of a chunk: as in Deno's own file streams, and what malloc serves without a page fault. */
const MAX_CHUNK = 64 * 1024;

/**
 * The underlying source of a reader's stream. It holds no strong reference to the stream, which could otherwise never
 * be collected.
 */
export class ReaderSource {
  readonly file: OpenFile;
  readonly readAhead: ReadAhead;
  readonly #options: ReaderOptions;
  #controller: WeakRef<ReadableByteStreamController> | undefined;
  #finished: Promise<void> | undefined;
  /** Whether bytes are on their way to the stream. */
  #pulling = false;
  /** The read into a view of the consumer's. */
  #straight: Promise<number> | undefined;
  readonly #ended = Promise.withResolvers<void>();

  constructor(file: OpenFile, options: ReaderOptions) {
    this.file = file;
    this.readAhead = new ReadAhead(file, options);
    this.#options = options;
  }

  /** Resolves when everything is free. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** Whether the stream holds nothing and has not ended, so that the file can be read without it. */
  get untouched(): boolean {
    const queued = this.#controller?.deref()?.desiredSize !== 0;
    return this.#finished === undefined && !this.#pulling && !queued;
  }

  start(controller: ReadableByteStreamController): void {
    this.#controller = new WeakRef(controller);
  }

  pull(controller: ReadableByteStreamController): Promise<void> | undefined {
    if (controller.byobRequest) return this.#whilePulling(() => this.#pullInto(controller));
    let bytes;
    try {
      bytes = this.readAhead.peek(MAX_CHUNK);
    } catch (error) {
      return this.#fail(error);
    }
    if (bytes !== undefined) return this.#give(controller, bytes);
    return this.#whilePulling(() => this.#pullLater(controller));
  }

  async #pullLater(controller: ReadableByteStreamController): Promise<void> {
    let bytes;
    // Ready bytes must be taken at once: a skip or the end would remove them.
    while ((bytes = this.readAhead.peek(MAX_CHUNK)) === undefined) await this.readAhead.ready();
    await this.#give(controller, bytes);
  }

  async #whilePulling(work: () => Promise<void>): Promise<void> {
    this.#pulling = true;
    try {
      await work();
    } catch (error) {
      return await this.#fail(error);
    } finally {
      this.#pulling = false;
    }
  }

  /** Everything is freed before the consumer sees the failure. */
  async #fail(error: unknown): Promise<never> {
    await this.finish().catch(() => {});
    throw error;
  }

  #give(
    controller: ReadableByteStreamController,
    bytes: Uint8Array<ArrayBuffer> | null,
  ): Promise<void> | undefined {
    if (bytes === null) return this.#end(controller);
    const { length } = bytes;
    // A copy, which takes a quarter less CPU time than that of slice().
    controller.enqueue(new Uint8Array(bytes));
    this.readAhead.advance(length);
    return yieldIfNeeded(length);
  }

  async #end(controller: ReadableByteStreamController): Promise<void> {
    if (this.#finished) return;
    await this.finish();
    controller.close();
    controller.byobRequest?.respond(0);
  }

  /** Fills the consumer's view: in place if Direct I/O can, else by a copy. */
  async #pullInto(controller: ReadableByteStreamController): Promise<void> {
    const { readAhead } = this;
    const view = controller.byobRequest!.view as Uint8Array<ArrayBuffer>;
    const { bufferSize, readAhead: ahead } = this.#options;
    // Only if nothing is read ahead, or the view is as large as a buffer: else read-ahead gains more.
    const straight = this.file.engine.endsWithProcess &&
      (ahead === 0 || view.byteLength >= bufferSize);
    while (straight && readAhead.idle) {
      const from = readAhead.position;
      const length = await this.#readStraight(view);
      if (this.#finished) return;
      // Skipped meanwhile: the consumer no longer wants these bytes.
      if (readAhead.position !== from) continue;
      if (length === 0) break;
      readAhead.jump(length);
      controller.byobRequest!.respond(length);
      return;
    }
    let bytes;
    // As in #pullLater.
    while ((bytes = readAhead.peek(view.byteLength)) === undefined) await readAhead.ready();
    if (this.#finished) return;
    if (bytes === null) return await this.#end(controller);
    new Uint8Array(view.buffer, view.byteOffset, view.byteLength).set(bytes);
    // Read first: `advance` may release the buffer of these bytes.
    const { length } = bytes;
    readAhead.advance(length);
    controller.byobRequest!.respond(length);
    await yieldIfNeeded(length);
  }

  async #readStraight(view: Uint8Array<ArrayBuffer>): Promise<number> {
    const { position, end } = this.readAhead;
    this.#straight = readStraight(this.file, view, position, end);
    try {
      return await this.#straight;
    } finally {
      this.#straight = undefined;
    }
  }

  /** Frees everything, and closes the file if `closeFile` is set. */
  finish(): Promise<void> {
    return this.#finished ??= this.#finish();
  }

  async #finish(): Promise<void> {
    try {
      await this.readAhead.cancel();
      await this.#straight?.catch(() => {});
      const { file } = this;
      // A writer that uses the file closes it when it is done.
      const closes = (this.#options.closeFile || file.dropped) && !file.writer;
      if (closes) await closeFile(file);
    } finally {
      this.#ended.resolve();
    }
  }

  /** Ends the stream, also under a lock. */
  async close(): Promise<void> {
    if (this.#finished) return await this.#finished;
    const controller = this.#controller?.deref();
    try {
      await this.finish();
    } catch (error) {
      controller?.error(error);
      throw error;
    }
    try {
      controller?.close();
      controller?.byobRequest?.respond(0);
    } catch {
      // Cancelled or errored meanwhile: the stream has ended anyway.
    }
  }
}
