// The file that a transfer writes: how it is opened, and how it ends.
import { DmaFile, DmaStreamWriter, type DmaStreamWriterOptions } from "../mod.ts";
import { flushRegularly } from "./flush_timer.ts";

/** How the file is written. */
export interface DestinationOptions {
  /** The name appears only when everything is written and durable. */
  atomic?: boolean;
  /** Begin at the end of the file, and keep what is there. */
  append?: boolean;
  /** Bytes of one buffer. */
  bufferSize?: number;
  /** Buffers in flight. */
  writeBehind?: number;
  /** What to do where the file system refuses Direct I/O. */
  direct: "require" | "prefer" | "off";
  /** Make the data durable. */
  sync: boolean;
  /** Milliseconds after which what was accepted is written though no buffer is full; 0: never. */
  flushEvery: number;
  /** Bytes expected in all. */
  sizeHint: number;
}

/** An open file that takes streams. */
export class Destination {
  /** As it was given. */
  readonly path: string;
  /** The file. */
  readonly file: DmaFile;
  /** Where its first new byte goes. */
  readonly start: number;
  /** What writes to it. */
  readonly writer: DmaStreamWriter;
  readonly #options: DestinationOptions;

  private constructor(path: string, file: DmaFile, start: number, options: DestinationOptions) {
    this.path = path;
    this.file = file;
    this.start = start;
    this.#options = options;
    this.writer = new DmaStreamWriter(file, this.#writerOptions());
  }

  /** Opens the file, and makes it where there is none. */
  static async open(path: string, options: DestinationOptions): Promise<Destination> {
    const { append, atomic = false, direct } = options;
    const file = append
      ? await DmaFile.open(path, { write: true, create: true, direct })
      : await DmaFile.create(path, { atomic, direct });
    return new Destination(path, file, append ? await file.size() : 0, options);
  }

  #writerOptions(): DmaStreamWriterOptions {
    const { append = false, bufferSize, flushEvery, sizeHint, sync, writeBehind } = this.#options;
    return {
      append,
      // Others follow a log, and what comes slowly: its end stays where its bytes end. A pipe is no slower for it.
      preallocate: !append && (flushEvery === 0 || sizeHint > 0),
      syncOnClose: sync,
      sizeHint,
      ...(bufferSize === undefined ? {} : { bufferSize }),
      ...(writeBehind === undefined ? {} : { writeBehind }),
    };
  }

  /** Bytes that were accepted. */
  get accepted(): number {
    return Math.max(0, this.writer.currentPos - this.start);
  }

  /** Bytes that are in the file. */
  get written(): number {
    return Math.max(0, this.writer.currentFlushedPos - this.start);
  }

  /** Takes a stream to its end, or until `signal`. */
  async take(readable: ReadableStream<Uint8Array<ArrayBuffer>>, signal: AbortSignal) {
    const { flushEvery, sync } = this.#options;
    using _flushing = flushRegularly(this.writer, flushEvery, sync);
    await readable.pipeTo(this.writer, { signal, preventAbort: true, preventClose: true });
  }

  /** Keeps everything that was accepted: closes the file, and makes it durable. */
  async keep(): Promise<void> {
    await this.writer.close();
  }

  /** Gives everything up: an atomic file vanishes. */
  async discard(reason: unknown): Promise<void> {
    await this.writer.abort(reason).catch(() => {});
  }
}
