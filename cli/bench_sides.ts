// The two sides of the benchmark: the same stream into a durable file, and a file read to its end.
import { DmaFile } from "../mod.ts";

/** Bytes of one chunk: the most that a socket or a pipe delivers at once. */
export const CHUNK_BYTES = 64 * 1024;

/** One way to write and to read. */
export interface Side {
  /** Its name in JSON and in names of files. */
  readonly id: "dma" | "deno";
  /** Writes `size` bytes. They are durable when it resolves. */
  write(path: string, size: number, signal: AbortSignal): Promise<void>;
  /** Reads a file to its end. Resolves to the number of bytes. */
  read(path: string, signal: AbortSignal): Promise<number>;
}

const dma: Side = {
  id: "dma",
  async write(path, size, signal) {
    await using file = await DmaFile.create(path);
    await chunks(size).pipeTo(file.writable, { signal });
  },
  async read(path, signal) {
    await using file = await DmaFile.open(path);
    return await count(file.readable, signal);
  },
};

const deno: Side = {
  id: "deno",
  async write(path, size, signal) {
    const file = await Deno.open(path, { write: true, create: true, truncate: true });
    await chunks(size).pipeTo(file.writable, { signal });
    // The stream has closed its descriptor without a sync.
    using again = await Deno.open(path, { write: true });
    await again.syncData();
  },
  async read(path, signal) {
    const file = await Deno.open(path);
    return await count(file.readable, signal);
  },
};

/** This module, and Deno's own streams. */
export const SIDES: readonly Side[] = [dma, deno];

async function count(readable: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<number> {
  let bytes = 0;
  for await (const chunk of readable) {
    signal.throwIfAborted();
    bytes += chunk.length;
  }
  return bytes;
}

let warm: Uint8Array<ArrayBuffer> | undefined;

/** The same chunk again and again, so that the source costs nothing. */
function chunks(size: number): ReadableStream<Uint8Array<ArrayBuffer>> {
  warm ??= crypto.getRandomValues(new Uint8Array(CHUNK_BYTES));
  const chunk = warm;
  let left = size;
  return new ReadableStream({
    pull(controller) {
      const length = Math.min(left, chunk.length);
      if (length > 0) controller.enqueue(chunk.subarray(0, length));
      left -= length;
      if (left === 0) controller.close();
    },
  });
}
