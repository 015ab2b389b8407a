// Node.js streams over a writer and a reader.

import { Readable, Writable } from "node:stream";
import { wrongObject } from "./arguments.ts";
import { DmaStreamReader, DmaStreamWriter } from "./dma_file.ts";
import type { DmaFlushSyncOptions } from "./stream_options.ts";
import { sinkOf, type Upstream } from "./writer/sink.ts";

type Callback = (error?: Error | null) => void;

/** Calls `callback` when `promise` settles. An error that the callback throws is not passed to it again. */
function callBack(promise: Promise<unknown>, callback: Callback): void {
  promise.then(() => callback(), (reason) => callback(asError(reason)));
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error("The stream was aborted", { cause: reason });
}

/** A write that waits when the stream is destroyed fails with this. Node's finished() then reports it. */
function destroyed(): Error {
  const code = "ERR_STREAM_PREMATURE_CLOSE";
  return Object.assign(new Error("The stream was destroyed"), { code });
}

/**
 * A `Writable` that writes to `writer`. `end()` closes the writer, and `finish` is emitted when every byte is durable.
 * `destroy()`, with or without an error, aborts the writer, as does a `pipeline` that fails: the file is cut to its
 * flushed bytes, or discarded if it is atomic. Text is written in the given encoding, by default UTF-8. `flushSync()` of the
 * stream or of the writer also writes the chunks that wait in the stream. Log libraries call it when a program ends.
 *
 * @param writer the writer, such as a file's `writable`; the stream locks it
 * @throws {TypeError} the value is not a DmaStreamWriter, or it is locked
 * @example Write to a file from a Node.js library
 * ```ts
 * import { DmaFile } from "@denodma/dma";
 * import { toNodeWritable } from "@denodma/dma/node";
 * import { finished } from "node:stream/promises";
 *
 * const file = await DmaFile.create("report.txt", { atomic: true });
 * const out = toNodeWritable(file.writable);
 * out.write("name,bytes\n");
 * out.end("a.bin,4096\n");
 * await finished(out);
 * ```
 */
export function toNodeWritable(
  writer: DmaStreamWriter,
): Writable & Pick<DmaStreamWriter, "flushSync"> {
  if (!(writer instanceof DmaStreamWriter)) {
    throw wrongObject("writer", writer, "DmaStreamWriter", "write to");
  }
  return new WriterWritable(writer);
}

class WriterWritable extends Writable implements Upstream {
  readonly #writer: DmaStreamWriter;
  readonly #lock: WritableStreamDefaultWriter<ArrayBufferView | ArrayBufferLike>;
  /** The callback of the chunk that Node's stream waits for. Further chunks are in the stream's own buffer. */
  #waiting: Callback | undefined;
  #handsOver = false;
  #closing: Promise<void> | undefined;

  constructor(writer: DmaStreamWriter) {
    super({ highWaterMark: writer.bufferSize });
    this.#writer = writer;
    this.#lock = writer.getWriter();
    sinkOf(writer)!.upstream = new WeakRef(this);
    // A failure of the disk destroys the stream, even while nothing is written to it.
    this.#lock.closed.catch((reason) => this.destroy(asError(reason)));
  }

  flushSync(options?: DmaFlushSyncOptions): void {
    this.#writer.flushSync(options);
  }

  handOver(): void {
    while (this.writableCorked > 0) this.uncork();
    this.#handsOver = true;
    try {
      // Node's stream writes all of its buffered chunks before this returns.
      this.#accept(this.#waiting);
    } finally {
      this.#handsOver = false;
    }
  }

  override end(...given: unknown[]): this {
    if (!this.destroyed || this.writableEnded) return super.end(...given as [unknown]);
    // Node's finished() would take the stream for a complete one. A write only gives the callback its error.
    this.write("", given.findLast((value) => typeof value === "function") as Callback);
    return this;
  }

  /** Node's `_write` calls this too. A chunk that fits does not pass the queue of the lock, which costs more than it. */
  override _writev(chunks: { chunk: Uint8Array }[], callback: Callback): void {
    const sink = sinkOf(this.#writer)!;
    const taken = chunks.map(({ chunk }) => sink.takeAtOnce(chunk) ?? this.#lock.write(chunk));
    // Node passes the same callback for every write.
    const waiting = this.#waiting = (error?: Error | null) => callback(error);
    callBack(Promise.all(taken), (error) => this.#accept(waiting, error));
    if (this.#handsOver) this.#accept(waiting);
  }

  override _final(callback: Callback): void {
    this.#closing = this.#lock.close();
    callBack(this.#closing, callback);
  }

  override _destroy(error: Error | null, callback: Callback): void {
    // A close that has begun is not undone. An abort would undo it while the lock still has chunks.
    const ended = this.#closing ?? this.#lock.abort(error ?? destroyed());
    callBack(ended, (failure) => callback(error ?? failure));
  }

  /** Continues Node's stream, unless a flush has continued it already. */
  #accept(callback: Callback | undefined, error?: Error | null): void {
    if (callback === undefined || callback !== this.#waiting) return;
    this.#waiting = undefined;
    callback(error);
  }
}

/**
 * A `Readable` of a reader's bytes. `destroy()` closes the reader, and with `closeFile` the file.
 *
 * @param reader the reader, such as a file's `readable`; the stream locks it
 * @throws {TypeError} the value is not a DmaStreamReader, or it is locked
 * @example Read a file through a Node.js library
 * ```ts
 * import { DmaFile } from "@denodma/dma";
 * import { toNodeReadable } from "@denodma/dma/node";
 * import { createInterface } from "node:readline";
 *
 * await Deno.writeTextFile("lines.txt", "one\ntwo\n");
 * const file = await DmaFile.open("lines.txt");
 * for await (const line of createInterface({ input: toNodeReadable(file.readable) })) {
 *   console.log(line);
 * }
 * ```
 */
export function toNodeReadable(reader: DmaStreamReader): Readable {
  if (!(reader instanceof DmaStreamReader)) {
    throw wrongObject("reader", reader, "DmaStreamReader", "read from");
  }
  const lock = reader.getReader();
  return new Readable({
    read() {
      lock.read().then(
        // The read that destroy() ends has not met the end of the file.
        ({ done, value }) => this.destroyed || this.push(done ? null : value),
        (reason) => this.destroy(asError(reason)),
      );
    },
    destroy: (error: Error | null, callback: Callback) =>
      callBack(reader.close(), (failure) => callback(error ?? failure)),
  });
}
