// DmaStreamReader: a ReadableStream of a file's bytes, read ahead through Direct I/O.

import { flag, integer, optionsObject, shown } from "./arguments.ts";
import { closeFile as closeHandle } from "./core/end_of_life.ts";
import { yieldIfNeeded } from "./engine/event_loop.ts";
import type { Handle } from "./core/handle.ts";
import { mayVanish } from "./core/isolate.ts";
import { ReadAhead } from "./core/read_ahead.ts";
import { readStraight } from "./core/random_access.ts";
import { pipeDirectly } from "./direct_pipe.ts";
import { Errno } from "./engine/linux.ts";
import { ioError } from "./errors.ts";
import { DmaFile, handleOf } from "./file.ts";
import { DmaStreamWriter, pipingInto, sessionFor } from "./stream_writer.ts";

/** Bytes of one buffer that is read at once, unless told otherwise: 1 MiB. Found by measuring: bench/FINDINGS.md. */
export const DEFAULT_READ_BUFFER_SIZE: number = 1 << 20;
/** Buffers read ahead, unless told otherwise: 4. */
export const DEFAULT_READ_AHEAD: number = 4;

const LARGEST_BUFFER = 1 << 30;
const MOST_AHEAD = 1024;

/** Bytes of a chunk, at most: as Deno's own file streams have them, and what malloc gives out without a page fault. */
const CHUNK = 64 * 1024;

/** How a {@linkcode DmaStreamReader} reads. */
export interface DmaStreamReaderOptions {
  /**
   * The first byte to read: any position.
   *
   * @default {0}
   */
  start?: number;
  /**
   * The byte after the last one to read: any position. The end of the file comes first where it is before that.
   *
   * @default {Infinity}
   */
  end?: number;
  /**
   * Bytes of one buffer, rounded up to the file's alignment. 0 means one alignment unit; 1 GiB is the most.
   *
   * @default {1048576}
   */
  bufferSize?: number;
  /**
   * Buffers that are read ahead, at most 1,024. 0: a read only when asked. Memory is one buffer more.
   * Given neither this nor `bufferSize`, a reader has less while many streams are at work: `bufferBudget` of `configure`.
   *
   * @default {4}
   */
  readAhead?: number;
  /**
   * Close the file when the stream ends or is cancelled. A file with a writer at work is left to that.
   *
   * @default {true}
   */
  closeFile?: boolean;
}

/** What the stream's own functions share with the class, without holding it: else it could never be dropped. */
class Source {
  controller: WeakRef<ReadableByteStreamController> | undefined;
  /** Set when the stream has ended, whichever way. */
  finished: Promise<void> | undefined;
  /** Bytes are on their way to the stream. */
  #pulling = false;
  /** A read into a view that the consumer brought. */
  #straight: Promise<number> | undefined;

  constructor(
    readonly handle: Handle,
    readonly core: ReadAhead,
    readonly bufferSize: number,
    readonly readAhead: number,
    readonly closeFile: boolean,
  ) {}

  /** Whether the stream itself holds nothing and has not ended, so that it can be read past it. */
  get untouched(): boolean {
    const queued = this.controller?.deref()?.desiredSize !== 0;
    return this.finished === undefined && !this.#pulling && !queued;
  }

  pull(controller: ReadableByteStreamController): Promise<void> | undefined {
    if (controller.byobRequest) return this.#whilePulling(() => this.#pullInto(controller));
    let bytes;
    try {
      bytes = this.core.peek(CHUNK);
    } catch (error) {
      return this.#fail(error);
    }
    if (bytes !== undefined) return this.#give(controller, bytes);
    return this.#whilePulling(() => this.#pullLater(controller));
  }

  async #pullLater(controller: ReadableByteStreamController): Promise<void> {
    let bytes;
    // What is there must be taken at once: a skip, or the end, would take it away.
    while ((bytes = this.core.peek(CHUNK)) === undefined) await this.core.ready();
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

  /** Everything is free by the time that the consumer hears of the failure. */
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
    controller.enqueue(bytes.slice());
    this.core.advance(length);
    return yieldIfNeeded(length);
  }

  async #end(controller: ReadableByteStreamController): Promise<void> {
    if (this.finished) return;
    await this.finish();
    controller.close();
    controller.byobRequest?.respond(0);
  }

  /** Fills the view that the consumer brought: in place where Direct I/O can, else by a copy. */
  async #pullInto(controller: ReadableByteStreamController): Promise<void> {
    const { core } = this;
    const view = controller.byobRequest!.view as Uint8Array<ArrayBuffer>;
    // Only where nothing is read ahead, or the view is as large as what would be: else read-ahead is worth more.
    const straight = this.readAhead === 0 || view.byteLength >= this.bufferSize;
    while (straight && core.idle && !mayVanish) {
      const from = core.position;
      const length = await this.#readStraight(view);
      if (this.finished) return;
      // Skipped meanwhile: these bytes are not wanted any more.
      if (core.position !== from) continue;
      if (length === 0) break;
      core.jump(length);
      controller.byobRequest!.respond(length);
      return;
    }
    let bytes;
    // As above.
    while ((bytes = core.peek(view.byteLength)) === undefined) await core.ready();
    if (this.finished) return;
    if (bytes === null) return await this.#end(controller);
    new Uint8Array(view.buffer, view.byteOffset, view.byteLength).set(bytes);
    // The bytes are gone with their buffer, which may be given back now.
    const { length } = bytes;
    core.advance(length);
    controller.byobRequest!.respond(length);
    await yieldIfNeeded(length);
  }

  async #readStraight(view: Uint8Array<ArrayBuffer>): Promise<number> {
    const { core, handle } = this;
    this.#straight = readStraight(handle, view, core.position, core.end);
    try {
      return await this.#straight;
    } finally {
      this.#straight = undefined;
    }
  }

  /** Frees everything, and closes the file where that is wanted. */
  finish(): Promise<void> {
    return this.finished ??= (async () => {
      await this.core.cancel();
      await this.#straight?.catch(() => {});
      const { handle } = this;
      // A writer at work closes the file when it is done.
      const closes = (this.closeFile || handle.dropped) && !handle.occupant;
      if (closes) await closeHandle(handle);
      dropped.unregister(this);
    })();
  }
}

const dropped = new FinalizationRegistry<Source>((source) => {
  source.finish().catch(() => {});
});

/**
 * A `ReadableStream` of a file's bytes, with read-ahead through Direct I/O where the file has it. It is a byte
 * stream: BYOB readers work.
 *
 * Chunks belong to the consumer for good. Memory is bounded by one buffer more than are read ahead, whatever the
 * consumer does. Piped into a {@linkcode DmaStreamWriter}, whole buffers go from reads to writes without a copy.
 *
 * @example Count the newlines of a file
 * ```ts
 * import { DmaFile, DmaStreamReader } from "@denodma/dma";
 *
 * await Deno.writeTextFile("lines.txt", "one\ntwo\n");
 * let lines = 0;
 * for await (const chunk of new DmaStreamReader(await DmaFile.open("lines.txt"))) {
 *   for (const byte of chunk) if (byte === 10) lines++;
 * }
 * console.log(lines); // 2
 * ```
 */
export class DmaStreamReader extends ReadableStream<Uint8Array<ArrayBuffer>>
  implements AsyncDisposable {
  /** The file that is read. */
  readonly file: DmaFile;
  /** Bytes of one buffer. */
  readonly bufferSize: number;
  /** Buffers that are read ahead. */
  readonly readAhead: number;
  readonly #source: Source;

  /**
   * Starts a reader on an open file. Nothing is read before the first chunk is asked for.
   *
   * @param file what to read; it must have been opened for reading
   * @param options which part of it, and with how much memory
   * @throws {Deno.errors.BadResource} the file is closed, or was opened without `read`
   * @throws {TypeError} an option is of a wrong type
   * @throws {RangeError} an option is out of its range
   */
  constructor(file: DmaFile, options?: DmaStreamReaderOptions) {
    if (!(file instanceof DmaFile)) {
      throw new TypeError(`Cannot read from ${shown(file)}: file must be a DmaFile`);
    }
    const handle = handleOf(file);
    handle.assertOpen("read");
    if (!handle.readable) {
      throw ioError(Errno.EBADF, "read", handle.path, "it was opened without read");
    }
    const given = optionsObject<DmaStreamReaderOptions>("options", options);
    const { alignment } = handle;
    const start = integer("start", given.start ?? 0);
    const end = given.end === undefined || given.end === Infinity
      ? Number.MAX_SAFE_INTEGER
      : integer("end", given.end);
    if (end < start) {
      throw new RangeError(`Invalid end ${end}: it must not be before start ${start}`);
    }
    const size = integer(
      "bufferSize",
      given.bufferSize ?? DEFAULT_READ_BUFFER_SIZE,
      0,
      LARGEST_BUFFER,
    );
    const bufferSize = Math.max(1, Math.ceil(size / alignment)) * alignment;
    const readAhead = integer("readAhead", given.readAhead ?? DEFAULT_READ_AHEAD, 0, MOST_AHEAD);
    const closeFile = flag("closeFile", given.closeFile ?? true);
    const sharesMemory = given.bufferSize === undefined && given.readAhead === undefined;
    const budget = sharesMemory ? handle.engine.budget : undefined;
    const core = new ReadAhead({ handle, start, end, bufferSize, readAhead, budget });
    const source = new Source(handle, core, bufferSize, readAhead, closeFile);
    super({
      type: "bytes",
      start: (controller) => {
        source.controller = new WeakRef(controller as ReadableByteStreamController);
      },
      pull: (controller) => source.pull(controller as ReadableByteStreamController),
      cancel: () => source.finish(),
    }, { highWaterMark: 0 });
    this.file = file;
    this.bufferSize = bufferSize;
    this.readAhead = readAhead;
    this.#source = source;
    dropped.register(this, source, source);
  }

  /** The next byte that will be handed out, as a position in the file. */
  get currentPos(): number {
    return this.#source.core.position;
  }

  /**
   * Goes forward by `bytes` without reading them, to the end of the file at most. Chunks that the stream has handed
   * out already are not affected.
   *
   * @param bytes how far, 0 or more
   * @throws {RangeError} `bytes` is negative: there is no going back
   */
  skip(bytes: number): void {
    this.#source.core.skip(integer("bytes", bytes));
  }

  /**
   * As `ReadableStream.pipeTo`. Into a {@linkcode DmaStreamWriter}, whole buffers are written from where they were
   * read, with the same results and errors.
   *
   * @param destination where the bytes go
   * @param options as those of `ReadableStream.pipeTo`
   */
  override pipeTo(
    destination: WritableStream<Uint8Array<ArrayBuffer>>,
    options?: StreamPipeOptions,
  ): Promise<void> {
    if (this.#source.untouched && !this.locked && destination instanceof DmaStreamWriter) {
      const session = sessionFor(destination);
      const given = options ?? {};
      const { signal } = given;
      // What is wrong is refused by the stream itself.
      const right = typeof given === "object" &&
        (signal === undefined || signal instanceof AbortSignal);
      if (session && right) {
        const pipe = pipeDirectly(this, this.#source.core, destination, session, given);
        return pipingInto(destination, pipe);
      }
    }
    return super.pipeTo(destination, options);
  }

  /** Ends the reading, also under a lock: waits for reads in flight, frees everything, and closes the file. */
  async close(): Promise<void> {
    const source = this.#source;
    if (source.finished) return await source.finished;
    const controller = source.controller?.deref();
    try {
      await source.finish();
    } catch (error) {
      controller?.error(error);
      throw error;
    }
    try {
      controller?.close();
      controller?.byobRequest?.respond(0);
    } catch {
      // Cancelled or errored meanwhile: it is over all the same.
    }
  }

  /** As {@linkcode DmaStreamReader.prototype.close | DmaStreamReader.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /**
   * Shows where the reader is in `console.log`.
   *
   * @ignore
   */
  [Symbol.for("Deno.customInspect")](
    inspect: typeof Deno.inspect,
    options: Deno.InspectOptions,
  ): string {
    const { file, currentPos, bufferSize, readAhead } = this;
    return `DmaStreamReader ${
      inspect({ path: file.path, currentPos, bufferSize, readAhead }, options)
    }`;
  }
}
