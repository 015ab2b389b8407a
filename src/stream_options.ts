// The options of the two streams, their defaults, and the checked values.

import { alignUp } from "./align.ts";
import { flagOption, integer, integerOption, readOptions } from "./arguments.ts";
import { UNLIMITED } from "./engine/buffer_budget.ts";
import type { OpenFile } from "./file/open_file.ts";

/** The default size of a writer's buffer in bytes: 1 MiB, as measured (bench/FINDINGS.md). */
export const DEFAULT_BUFFER_SIZE: number = 1 << 20;
/** The default number of a writer's buffers in flight: 4. */
export const DEFAULT_WRITE_BEHIND: number = 4;
/** The default size of a reader's buffer in bytes: 1 MiB, as measured (bench/FINDINGS.md). */
export const DEFAULT_READ_BUFFER_SIZE: number = 1 << 20;
/** The default number of buffers that a reader reads ahead: 4. */
export const DEFAULT_READ_AHEAD: number = 4;

/** The kernel takes less than 2 GiB in one request (read(2)). */
const MAX_BUFFER_SIZE = 1 << 30;
const MAX_BUFFERS = 1024;

/** Options of a `DmaStreamWriter`. */
export interface DmaStreamWriterOptions {
  /**
   * The size of one buffer in bytes, at most 1 GiB, rounded up to the file's alignment: 0 means one alignment unit.
   *
   * @default {1048576}
   */
  bufferSize?: number;
  /**
   * The number of buffers that may be in flight, at most 1,024; values below 1 mean 1. One more buffer fills meanwhile.
   * The number is 1 in a file opened with `append: true`, for writes that extend a FUSE file, and with `preallocate:
   * false` where tails are exact: with `direct: "off"`, on tmpfs, FUSE and most network file systems. With neither
   * `writeBehind` nor `bufferSize` set, a writer uses less memory while there are many streams: see `bufferBudget` of
   * `configure`.
   *
   * @default {4}
   */
  writeBehind?: number;
  /**
   * The position at which to start, in bytes, aligned or not. Excludes `append`.
   *
   * @default {0}
   */
  position?: number;
  /**
   * Start at the end of the file, aligned or not. The end of a file whose writer was killed is not a safe place to
   * resume: past the last `sync()` there may be data, zeros or holes. Resume at a `position` that a `sync()` resolved
   * to, or open the file with `append: true`: then a SIGKILL leaves neither zeros nor holes.
   *
   * @default {false}
   */
  append?: boolean;
  /**
   * The expected number of bytes. Their space is reserved at once, if it is at most half of the free space, and unused
   * space is freed at close. The actual number may be smaller or larger. Has no effect with `preallocate: false`, in a
   * file opened with `append: true`, and on btrfs, tmpfs, FUSE and network file systems. Limit a number that a client
   * sends, such as a Content-Length: the space is reserved before any byte has arrived.
   *
   * @default {0}
   */
  sizeHint?: number;
  /**
   * Move the end of file ahead of the writes, which is faster on file systems that run extending writes one at a time
   * (ext4). While the writer is open, and after a crash, the file may have zeros past the written bytes. With `false`
   * and `direct: "off"` other programs see only written bytes, and one buffer is in flight at a time.
   *
   * @default {true}
   */
  preallocate?: boolean;
  /**
   * Make bytes, length and name durable before `close()` resolves. An atomic file is always made durable.
   *
   * @default {true}
   */
  syncOnClose?: boolean;
  /**
   * Close the file when the stream ends.
   *
   * @default {true}
   */
  closeFile?: boolean;
}

/** Options of `DmaStreamWriter.sync` and `flushAligned`. */
export interface DmaSyncOptions {
  /**
   * Include the partly filled buffer, so that everything written so far is covered. With Direct I/O its last block is
   * padded with zeros, or with the file's bytes at that position.
   *
   * @default {false}
   */
  tail?: boolean;
}

/** Options of `DmaStreamWriter.flushSync`. */
export interface DmaFlushSyncOptions {
  /**
   * Also make the bytes and the file's name durable.
   *
   * @default {false}
   */
  durable?: boolean;
}

/** Options of a `DmaStreamReader`. */
export interface DmaStreamReaderOptions {
  /**
   * The position of the first byte, aligned or not.
   *
   * @default {0}
   */
  start?: number;
  /**
   * The position after the last byte, aligned or not. The stream also ends at the end of the file. A file that grows is
   * read to its new end, so a pipe that appends to the file that it reads needs an `end`.
   *
   * @default {Infinity}
   */
  end?: number;
  /**
   * The size of one buffer in bytes, at most 1 GiB, rounded up to the file's alignment: 0 means one alignment unit.
   *
   * @default {1048576}
   */
  bufferSize?: number;
  /**
   * The number of buffers to read ahead, at most 1,024. With 0 the reader reads only on demand. Memory is one buffer
   * more. With neither `readAhead` nor `bufferSize` set, a reader uses less memory while there are many streams: see
   * `bufferBudget` of `configure`.
   *
   * @default {4}
   */
  readAhead?: number;
  /**
   * Close the file when the stream ends or is cancelled. If the file has an open writer, that writer closes it.
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

export type WriterOptions = Readonly<ReturnType<typeof writerOptions>>;

/** The checked options of a writer. Sizes are multiples of the alignment. */
export function writerOptions(
  options: DmaStreamWriterOptions | undefined,
  { alignment, blockSize, engine, path, request }: OpenFile,
) {
  const given = readOptions(options, WRITER_OPTIONS);
  const { bufferSize, writeBehind, position } = given;
  const append = given.append || request.append;
  if (append && position !== undefined) {
    const opened = ` of '${path}': it was opened with append: true`;
    const why = request.append ? opened : " and append: give one of them";
    throw new TypeError(`Cannot start at position ${position}${why}`);
  }
  const preallocate = given.preallocate && !request.append;
  // With exact tails and no preallocation, a write that overtook an earlier one would show zeros to other readers.
  const isExact = blockSize === 1 && !preallocate;
  return {
    ...given,
    append,
    position: position ?? 0,
    bufferSize: alignUp(Math.max(1, bufferSize ?? DEFAULT_BUFFER_SIZE), alignment),
    writeBehind: isExact ? 1 : Math.max(1, writeBehind ?? DEFAULT_WRITE_BEHIND),
    budget: bufferSize === undefined && writeBehind === undefined ? engine.budget : UNLIMITED,
    preallocate,
  };
}

const READER_OPTIONS = {
  start: integerOption(0),
  end: (name: string, value: unknown) =>
    integer(name, value == null || value === Infinity ? Number.MAX_SAFE_INTEGER : value),
  bufferSize: integerOption(undefined, 0, MAX_BUFFER_SIZE),
  readAhead: integerOption(undefined, 0, MAX_BUFFERS),
  closeFile: flagOption(true),
};

export type ReaderOptions = Readonly<ReturnType<typeof readerOptions>>;

/** The checked options of a reader. Sizes are multiples of the alignment. */
export function readerOptions(
  options: DmaStreamReaderOptions | undefined,
  { alignment, engine }: OpenFile,
) {
  const given = readOptions(options, READER_OPTIONS);
  const { bufferSize, readAhead, start, end } = given;
  if (end < start) {
    throw new RangeError(`Invalid end ${end}: it must not be before start ${start}`);
  }
  return {
    ...given,
    bufferSize: alignUp(Math.max(1, bufferSize ?? DEFAULT_READ_BUFFER_SIZE), alignment),
    readAhead: readAhead ?? DEFAULT_READ_AHEAD,
    budget: bufferSize === undefined && readAhead === undefined ? engine.budget : UNLIMITED,
  };
}
