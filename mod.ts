/**
 * Files through Direct I/O and io_uring, shaped as Web Streams.
 *
 * @example Write a stream to a file, durably, past the page cache
 * ```ts
 * import { DmaFile } from "@denodma/dma";
 *
 * const file = await DmaFile.create("backup.bin");
 * await ReadableStream.from([new Uint8Array(100_000)]).pipeTo(file.writable);
 * ```
 *
 * @module
 */

export { DmaBuffer } from "./src/buffer.ts";
export type { DmaError } from "./src/errors.ts";
export {
  type DmaCreateOptions,
  DmaFile,
  type DmaOpenOptions,
  type DmaPreallocateOptions,
  type DmaTempOptions,
  type ReadManyOptions,
} from "./src/file.ts";
export {
  DEFAULT_BUFFER_SIZE,
  DEFAULT_WRITE_BEHIND,
  DmaStreamWriter,
  type DmaStreamWriterOptions,
  type DmaSyncOptions,
} from "./src/stream_writer.ts";
export {
  DEFAULT_READ_AHEAD,
  DEFAULT_READ_BUFFER_SIZE,
  DmaStreamReader,
  type DmaStreamReaderOptions,
} from "./src/stream_reader.ts";
export type { ByteRange, RangeRead } from "./src/core/read_many.ts";
export { type IoStats, ioStats } from "./src/io_stats.ts";
export { configure, type EngineInfo, engineInfo, type EngineOptions } from "./src/engine/select.ts";
