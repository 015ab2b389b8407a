// Node.js streams over a writer and a reader.

import { Readable, Writable } from "node:stream";
import type { DmaStreamReader, DmaStreamWriter } from "./dma_file.ts";

type Callback = (error?: Error | null) => void;

/** Calls back when `promise` settles. What is thrown by the callback itself is none of its failures. */
function callBack(promise: Promise<unknown>, callback: Callback): void {
  promise.then(() => callback(), (reason) => callback(asError(reason)));
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error("The stream was aborted", { cause: reason });
}

/**
 * A `Writable` that writes to `writer`. `end()` closes it, and `finish` comes when every byte is durable. `destroy()`, with
 * an error or without one, aborts it, as does a `pipeline` that fails: the file is cut to what was flushed, and an atomic
 * file vanishes. Text is written as UTF-8, or in the encoding that it is given with.
 *
 * @param writer what to write to; it must not be locked, and belongs to the stream from now on
 * @example Let a Node.js library write to a file
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
export function toNodeWritable(writer: DmaStreamWriter): Writable {
  const lock = writer.getWriter();
  let closed = false;
  const stream = new Writable({
    highWaterMark: writer.bufferSize,
    write: (chunk: Uint8Array, _encoding: string, callback: Callback) =>
      callBack(lock.write(chunk), callback),
    writev: (chunks: { chunk: Uint8Array }[], callback: Callback) =>
      callBack(Promise.all(chunks.map(({ chunk }) => lock.write(chunk))), callback),
    final: (callback: Callback) => {
      closed = true;
      callBack(lock.close(), callback);
    },
    destroy: (error: Error | null, callback: Callback) => {
      // An end that has begun is not undone: what is left to do is to wait for it.
      const reason = error ?? new Error("The stream was destroyed");
      const ended = async () => {
        if (!closed) await lock.abort(reason);
        await writer.closed.catch(() => {});
      };
      ended().then(() => callback(error), (failure) => callback(error ?? asError(failure)));
    },
  });
  // A failure of the disk ends the stream, also while nothing is written to it.
  lock.closed.catch((reason) => stream.destroy(asError(reason)));
  return stream;
}

/**
 * A `Readable` of a reader's bytes. `destroy()` ends the reading, and closes the file where the reader would.
 *
 * @param reader what to read; it must not be locked, and belongs to the stream from now on
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
  const lock = reader.getReader();
  return new Readable({
    read() {
      lock.read().then(
        ({ done, value }) => this.push(done ? null : value),
        (reason) => this.destroy(asError(reason)),
      );
    },
    destroy: (error: Error | null, callback: Callback) =>
      callBack(reader.close(), (failure) => callback(error ?? failure)),
  });
}
