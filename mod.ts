/**
 * Writes and reads files as Web Streams, with Direct I/O over io_uring, for Deno on Linux.
 *
 * - {@linkcode DmaFile}: a file that is read and written at any position, past the page cache.
 * - {@linkcode DmaStreamWriter}: a `WritableStream` that writes in the background and reports which bytes have reached the
 *   file. `close()` resolves when every byte is durable and the length exact.
 * - {@linkcode DmaStreamReader}: a `ReadableStream` of bytes with read-ahead.
 * - {@linkcode engineInfo}, {@linkcode configure} and {@linkcode ioStats}: the engine in use and the reason, its settings
 *   and its counters.
 *
 * The module needs `--allow-ffi`, and `--allow-read` and `--allow-write` for the paths that it opens. If liburing is
 * missing or io_uring is forbidden, the same calls run on Deno's threads.
 *
 * @example Write a stream to a file, durably, past the page cache
 * ```ts
 * import { DmaFile } from "@denodma/dma";
 *
 * const file = await DmaFile.create("backup.bin");
 * await ReadableStream.from([new Uint8Array(100_000)]).pipeTo(file.writable);
 * ```
 *
 * @example Follow which bytes are accepted and which are durable
 * ```ts
 * import { DmaFile, DmaStreamWriter } from "@denodma/dma";
 *
 * const file = await DmaFile.create("events.log");
 * await using writer = new DmaStreamWriter(file, { bufferSize: 4096 });
 * await writer.write(new Uint8Array(5000));
 * console.log(writer.currentPos); // 5000
 * console.log(await writer.sync()); // 4096: the full buffer
 * console.log(await writer.sync({ tail: true })); // 5000
 * ```
 *
 * @module
 */

import "./src/runtime.ts";

export { DmaBuffer } from "./src/dma_buffer.ts";
export type { DmaError } from "./src/errors.ts";
export { DmaFile, DmaStreamReader, DmaStreamWriter } from "./src/dma_file.ts";
export type {
  DmaCreateOptions,
  DmaLockOptions,
  DmaOpenOptions,
  DmaPreallocateOptions,
  DmaTempOptions,
  DmaWriteAtOptions,
  ReadManyOptions,
} from "./src/file_options.ts";
export {
  DEFAULT_BUFFER_SIZE,
  DEFAULT_READ_AHEAD,
  DEFAULT_READ_BUFFER_SIZE,
  DEFAULT_WRITE_BEHIND,
  type DmaFlushSyncOptions,
  type DmaStreamReaderOptions,
  type DmaStreamWriterOptions,
  type DmaSyncOptions,
} from "./src/stream_options.ts";
export type { ByteRange, RangeRead } from "./src/file/read_many.ts";
export { type IoStats, ioStats } from "./src/io_stats.ts";
export { configure, type EngineInfo, engineInfo, type EngineOptions } from "./src/configure.ts";
