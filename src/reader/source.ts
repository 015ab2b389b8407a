// The underlying source of a DmaStreamReader: moves chunks from read-ahead to the consumer.

import { yieldIfNeeded } from "../engine/event_loop.ts";
import type { OpenFile } from "../file/open_file.ts";
import { readStraight } from "../file/random_access.ts";
import type { ReaderOptions } from "../stream_options.ts";
import { ReadAhead } from "./read_ahead.ts";

/** The most bytes of a chunk. Smaller ones cost more CPU time a byte, and larger ones gain nothing (`bench/FINDINGS.md`). */
const MAX_CHUNK = 512 << 10;

/** The underlying source of a reader's stream. A strong reference to the stream would keep it from being collected. */
export class ReaderSource {
  readonly readAhead: ReadAhead;
  #controller: WeakRef<ReadableByteStreamController> | undefined;
  #finished: Promise<void> | undefined;
  #pulling = false;
  #straight: Promise<number> | undefined;
  #straightFailed = false;
  readonly #ended = Promise.withResolvers<void>();
  readonly ended: Promise<void> = this.#ended.promise;

  constructor(readonly file: OpenFile, readonly options: ReaderOptions) {
    this.readAhead = new ReadAhead(file, options);
  }

  /** The position of the next byte to be delivered. The stream may hold bytes, such as a part of an element of a view. */
  get position(): number {
    return this.readAhead.position + (this.#controller?.deref()?.desiredSize ?? 0);
  }

  /** Whether the stream has no chunk and has not ended, so that a direct pipe may read the file. */
  get untouched(): boolean {
    const controller = this.#controller?.deref();
    // A released lock may leave a partly filled view behind, whose bytes come first.
    const isEmpty = controller?.desiredSize === 0 && controller.byobRequest === null;
    return this.#finished === undefined && !this.#pulling && isEmpty;
  }

  start(controller: ReadableByteStreamController): void {
    this.#controller = new WeakRef(controller);
  }

  pull(controller: ReadableByteStreamController): Promise<void> | undefined {
    try {
      const straight = this.#mayReadStraight(controller);
      const given = straight ? null : this.#giveReady(controller);
      return given === null ? this.#pullLater(controller, straight) : given;
    } catch (error) {
      return this.#fail(error);
    }
  }

  /** Whether to read into the consumer's view without a copy. If bytes are read ahead, copying them is faster. */
  #mayReadStraight(controller: ReadableByteStreamController): boolean {
    if (this.#straightFailed || !this.readAhead.idle) return false;
    if (!this.file.engine.endsWithProcess) return false;
    const { bufferSize, readAhead } = this.options;
    const room = controller.byobRequest?.view?.byteLength ?? 0;
    return room >= (readAhead === 0 ? 1 : bufferSize);
  }

  async #pullLater(controller: ReadableByteStreamController, straight: boolean): Promise<void> {
    this.#pulling = true;
    try {
      if (straight && await this.#pullStraight(controller)) return;
      for (;;) {
        // Ready bytes must be taken at once: a skip or the end would remove them.
        const given = this.#giveReady(controller);
        if (given !== null) return await given;
        await this.readAhead.ready();
      }
    } catch (error) {
      return await this.#fail(error);
    } finally {
      this.#pulling = false;
    }
  }

  /** Frees everything before the consumer sees the failure. */
  async #fail(error: unknown): Promise<never> {
    const { descriptor, durability, writer } = this.file;
    // The stream closes its file, and must not publish an atomic one. A close by the user is no failure of the file.
    if (this.options.closeFile && !writer && !descriptor.closing) durability.noteFailure(error);
    await this.finish().catch(() => {});
    throw error;
  }

  /** Gives the consumer what is ready: bytes, or the end. Returns null if nothing is. */
  #giveReady(controller: ReadableByteStreamController): Promise<void> | undefined | null {
    const view = controller.byobRequest?.view;
    const bytes = this.readAhead.peek(view?.byteLength ?? MAX_CHUNK);
    if (bytes === undefined) return null;
    this.#pulling = false;
    if (bytes === null) return this.close();
    const { length } = bytes;
    if (view) new Uint8Array(view.buffer, view.byteOffset, length).set(bytes);
    // A copy, which takes a quarter less CPU time than that of slice().
    else controller.enqueue(new Uint8Array(bytes));
    // This may release the buffer of these bytes, so it follows the copy.
    this.readAhead.advance(length);
    if (view) controller.byobRequest!.respond(length);
    return yieldIfNeeded(length);
  }

  /**
   * Reads into the consumer's view while nothing is read ahead. Returns false if the view or the position is not
   * aligned, at the end, and after a failure: reads into buffers then deliver the bytes before it.
   */
  async #pullStraight(controller: ReadableByteStreamController): Promise<boolean> {
    const { file, readAhead } = this;
    const view = controller.byobRequest!.view as Uint8Array<ArrayBuffer>;
    const failed = () => {
      this.#straightFailed = true;
      return 0;
    };
    for (;;) {
      const { position } = readAhead;
      this.#straight = readStraight(file, view, position, this.options.end).catch(failed);
      const length = await this.#straight;
      if (this.#finished) return true;
      // The consumer has skipped these bytes meanwhile.
      if (readAhead.position !== position) continue;
      if (length === 0) return false;
      readAhead.jump(length);
      this.#pulling = false;
      controller.byobRequest!.respond(length);
      return true;
    }
  }

  /** Frees everything, and closes the file if `closeFile` is set. */
  finish(closeFile: boolean = this.options.closeFile): Promise<void> {
    return this.#finished ??= this.#finish(closeFile).finally(() => this.#ended.resolve());
  }

  async #finish(closeFile: boolean): Promise<void> {
    await this.readAhead.cancel();
    await this.#straight;
    const { file } = this;
    // If the file has an open writer, the writer closes it.
    if ((closeFile || file.dropped) && !file.writer) await file.close();
  }

  async close(): Promise<void> {
    if (this.#finished) return await this.#finished;
    const controller = this.#controller?.deref();
    await this.finish().catch((error) => {
      controller?.error(error);
      throw error;
    });
    try {
      controller?.close();
      controller?.byobRequest?.respond(0);
    } catch {
      // The stream was cancelled or errored meanwhile.
    }
  }
}
