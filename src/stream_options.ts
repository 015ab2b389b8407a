// The options of the two streams, their defaults, and what they come to when they are checked.

import { alignUp } from "./align.ts";
import { flagOption, integer, integerOption, readOptions } from "./arguments.ts";
import type { OpenFile } from "./file/open_file.ts";
import type { ReaderOptions } from "./reader/source.ts";
import type { WriterOptions } from "./writer/writer.ts";

/** Bytes of one buffer of a writer, unless told otherwise: 1 MiB. Found by measuring: bench/FINDINGS.md. */
export const DEFAULT_BUFFER_SIZE: number = 1 << 20;
/** Buffers of a writer in flight, unless told otherwise: 4. */
export const DEFAULT_WRITE_BEHIND: number = 4;
/** Bytes of one buffer of a reader, unless told otherwise: 1 MiB. Found by measuring: bench/FINDINGS.md. */
export const DEFAULT_READ_BUFFER_SIZE: number = 1 << 20;
/** Buffers that a reader reads ahead, unless told otherwise: 4. */
export const DEFAULT_READ_AHEAD: number = 4;

/** More than this in one request is more than a kernel takes. */
const MAX_BUFFER_SIZE = 1 << 30;
const MAX_BUFFERS = 1024;
/** No file is longer. */
const MAX_END = Number.MAX_SAFE_INTEGER;

/** How a `DmaStreamWriter` writes. */
export interface DmaStreamWriterOptions {
  /**
   * Bytes of one buffer, rounded up to the file's alignment. 0 means one alignment unit; 1 GiB is the most.
   *
   * @default {1048576}
   */
  bufferSize?: number;
  /**
   * Buffers that may be in flight, at most 1,024. Below 1 means 1. One more buffer fills meanwhile. A writer with neither
   * this nor `bufferSize` set uses less memory while many streams are at work: `bufferBudget` of `configure`.
   *
   * @default {4}
   */
  writeBehind?: number;
  /**
   * Where to start, in bytes: any position. Not together with `append`.
   *
   * @default {0}
   */
  position?: number;
  /**
   * Start at the end of the file, whatever its length. The size that a killed writer left is not a safe place to go on:
   * behind the last `sync()` there may be data, zeros or holes. Resume at a `position` that a `sync()` resolved to, or open
   * the file with `append: true`, which leaves neither zeros nor holes.
   *
   * @default {false}
   */
  append?: boolean;
  /**
   * Bytes expected in all. Their space is reserved at once, and what is not used is given back at close. More or fewer
   * may come. Has no effect with `preallocate: false`, nor on btrfs, FUSE and network file systems. Give a number that a
   * peer sent, such as a Content-Length, an upper bound: the space is taken from the disk before any byte has come.
   *
   * @default {0}
   */
  sizeHint?: number;
  /**
   * Move the end of file ahead of the writes. Faster if the file system runs extending writes one at a time (ext4). While
   * the writer is open, and after a crash, the file may be longer than what was written, by zeros. With `false` and
   * `direct: "off"` other programs never see more than what was written: one buffer is in flight at a time.
   *
   * @default {true}
   */
  preallocate?: boolean;
  /**
   * Make bytes, length and name durable before `close()` resolves. An atomic file is made durable in any case.
   *
   * @default {true}
   */
  syncOnClose?: boolean;
  /**
   * Close the file with the stream.
   *
   * @default {true}
   */
  closeFile?: boolean;
}

/** What `DmaStreamWriter.sync` and `flushAligned` cover. */
export interface DmaSyncOptions {
  /**
   * Include the partly filled buffer, so that everything written so far is covered. With Direct I/O its last block is
   * padded with zeros, or with the bytes that the file has there.
   *
   * @default {false}
   */
  tail?: boolean;
}

/** How `DmaStreamWriter.flushSync` is done. */
export interface DmaFlushSyncOptions {
  /**
   * Also make the bytes durable, with the file's name.
   *
   * @default {false}
   */
  durable?: boolean;
}

/** How a `DmaStreamReader` reads. */
export interface DmaStreamReaderOptions {
  /**
   * The first byte to read: any position.
   *
   * @default {0}
   */
  start?: number;
  /**
   * The byte after the last one to read: any position. A file that is shorter ends the stream earlier.
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
   * Buffers that are read ahead, at most 1,024. 0: nothing is read before it is asked for. Memory is one buffer more. A
   * reader with neither this nor `bufferSize` set uses less memory while many streams are at work: `bufferBudget` of
   * `configure`.
   *
   * @default {4}
   */
  readAhead?: number;
  /**
   * Close the file when the stream ends or is cancelled. A file that a writer is using is closed by that writer.
   *
   * @default {true}
   */
  closeFile?: boolean;
}

const WRITER_OPTIONS = {
  bufferSize: integerOption(undefined, 0, MAX_BUFFER_SIZE),
  writeBehind: integerOption(undefined, Number.MIN_SAFE_INTEGER, MAX_BUFFERS),
  position: integerOption(undefined),
  append: flagOption(false),
  sizeHint: integerOption(0),
  preallocate: flagOption(true),
  syncOnClose: flagOption(true),
  closeFile: flagOption(true),
};

/** How a writer writes. */
export function writerOptions(
  options: DmaStreamWriterOptions | undefined,
  { alignment, appends, path }: OpenFile,
): WriterOptions {
  const { bufferSize, writeBehind, position, ...given } = readOptions(options, WRITER_OPTIONS);
  if (appends && position !== undefined) {
    throw new TypeError(
      `Cannot start at position ${position} of '${path}': it was opened with append: true`,
    );
  }
  if (given.append && position !== undefined) {
    throw new TypeError(`Cannot start at position ${position} and append: give one of them`);
  }
  return {
    ...given,
    bufferSize: alignUp(Math.max(1, bufferSize ?? DEFAULT_BUFFER_SIZE), alignment),
    writeBehind: Math.max(1, writeBehind ?? DEFAULT_WRITE_BEHIND),
    sharesMemory: bufferSize === undefined && writeBehind === undefined,
    position: position ?? 0,
    ...appends ? APPENDING : {},
  };
}

/** What becomes of some options where every write goes to the end of the file: the bytes in front of it may be others'. */
const APPENDING = { append: true, writeBehind: 1, preallocate: false, sizeHint: 0 } as const;

const READER_OPTIONS = {
  start: integerOption(0),
  end: (name: string, value: unknown) =>
    integer(name, value == null || value === Infinity ? MAX_END : value),
  bufferSize: integerOption(undefined, 0, MAX_BUFFER_SIZE),
  readAhead: integerOption(undefined, 0, MAX_BUFFERS),
  closeFile: flagOption(true),
};

/** How a reader reads. */
export function readerOptions(
  options: DmaStreamReaderOptions | undefined,
  alignment: number,
): ReaderOptions {
  const { bufferSize, readAhead, start, end, closeFile } = readOptions(options, READER_OPTIONS);
  if (end < start) {
    throw new RangeError(`Invalid end ${end}: it must not be before start ${start}`);
  }
  return {
    start,
    end,
    bufferSize: alignUp(Math.max(1, bufferSize ?? DEFAULT_READ_BUFFER_SIZE), alignment),
    readAhead: readAhead ?? DEFAULT_READ_AHEAD,
    closeFile,
    sharesMemory: bufferSize === undefined && readAhead === undefined,
  };
}
