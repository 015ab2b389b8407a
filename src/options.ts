// The options of the public classes, their defaults, and what they come to when they are checked.

import { alignUp } from "./align.ts";
import { environment } from "../ffi/shim.ts";
import {
  choiceOption,
  flagOption,
  integer,
  integerOption,
  pathText,
  readOptions,
  shown,
} from "./arguments.ts";
import type { OpenFile, OpenRequest } from "./file/open_file.ts";
import type { MergeLimits } from "./file/read_many.ts";
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

/** How `DmaFile.open` opens. */
export interface DmaOpenOptions {
  /**
   * Open for reading.
   *
   * @default {true}
   */
  read?: boolean;
  /**
   * Open for writing.
   *
   * @default {false}
   */
  write?: boolean;
  /**
   * Make the file if there is none. Needs `write`.
   *
   * @default {false}
   */
  create?: boolean;
  /**
   * Make the file, and fail if there is one. Needs `write`.
   *
   * @default {false}
   */
  createNew?: boolean;
  /**
   * Empty the file. Needs `write`.
   *
   * @default {false}
   */
  truncate?: boolean;
  /**
   * As Deno's: every write goes to the end of the file as it then is, so any number of processes of one machine can write
   * one log, and other programs can follow it. After a crash there are no zeros and no holes: only the last record can be
   * incomplete. Machines that append to one file of a network file system at once overwrite each other (open(2),
   * O_APPEND): the lock of a second file lets them take turns.
   * Writes go through the page cache, which keeps nothing of them where the kernel can (6.14, ext4 and xfs). Implies
   * `write`.
   *
   * @default {false}
   */
  append?: boolean;
  /**
   * Permission bits of a new file, less the umask.
   *
   * @default {0o666}
   */
  mode?: number;
  /**
   * "require": fail if the file system refuses Direct I/O. "prefer": use the page cache then. "off": always use the
   * page cache.
   *
   * @default {"prefer"}
   */
  direct?: "require" | "prefer" | "off";
}

/** How `DmaFile.create` creates. */
export interface DmaCreateOptions extends Pick<DmaOpenOptions, "mode" | "direct"> {
  /**
   * Allow reading back what was written.
   *
   * @default {true}
   */
  read?: boolean;
  /**
   * Write without a name, or under a temporary one in the same directory: the path appears, whole and durable, only
   * when the file is closed without an error, and never otherwise.
   *
   * @default {false}
   */
  atomic?: boolean;
}

/** How `DmaFile.preallocate` reserves. */
export interface DmaPreallocateOptions {
  /**
   * Leave the file's length as it is.
   *
   * @default {false}
   */
  keepSize?: boolean;
}

/** How `DmaFile.writeAt` writes. */
export interface DmaWriteAtOptions {
  /**
   * The bytes get there whole or not at all, also where the power fails in the middle (`RWF_ATOMIC`). The length is a power
   * of two within `DmaFile.atomicWrite`, and the position a multiple of it.
   *
   * @default {false}
   */
  atomic?: boolean;
}

/** How `DmaFile.lock` waits. */
export interface DmaLockOptions {
  /** Ends the wait when it is aborted. */
  signal?: AbortSignal;
}

/** Where `DmaFile.temp` makes its file. */
export interface DmaTempOptions {
  /**
   * The directory. Its file system must support O_TMPFILE. If the variable `TMPDIR` is set and may be read, it is the
   * default.
   *
   * @default {"/tmp"}
   */
  dir?: string | URL;
}

/** How `DmaFile.readMany` merges. */
export interface ReadManyOptions {
  /**
   * Bytes that one merged read may have, in whole blocks. A range that is larger is read alone.
   *
   * @default {524288}
   */
  maxMerged?: number;
  /**
   * Bytes between two ranges that may be read and discarded to merge them. Whole blocks are read anyway: ranges in the
   * same block, or in neighbouring ones, have no gap.
   *
   * @default {0}
   */
  maxGap?: number;
  /**
   * Reads in flight, from 1 to 4,096. Memory, with what waits to be taken, is this many times `maxMerged`, or this many of
   * the largest ranges if those are larger.
   *
   * @default {16}
   */
  concurrency?: number;
}

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

/** What is taken of a mode, as Deno does. */
const PERMISSIONS = 0o777;

const OPEN_OPTIONS = {
  read: flagOption(true),
  write: flagOption(false),
  create: flagOption(false),
  createNew: flagOption(false),
  truncate: flagOption(false),
  append: flagOption(false),
  mode: integerOption(0o666, 0, 2 ** 32 - 1),
  direct: choiceOption("prefer", "require", "off"),
};

const CREATE_OPTIONS = {
  read: OPEN_OPTIONS.read,
  mode: OPEN_OPTIONS.mode,
  direct: OPEN_OPTIONS.direct,
  atomic: flagOption(false),
};

/** What `DmaFile.open` is to open. */
export function openRequest(options: DmaOpenOptions | undefined): OpenRequest {
  const request = readOptions(options, OPEN_OPTIONS);
  const { read, append, truncate, direct } = request;
  const write = request.write || append;
  if (append && truncate) throw new TypeError("Cannot truncate and append: give one of them");
  if (append && direct === "require") {
    throw new TypeError(
      'Invalid direct "require": a file that is appended to goes by way of the page cache',
    );
  }
  if (!read && !write) throw new TypeError("Invalid options: read or write must be true");
  for (const name of ["create", "createNew", "truncate"] as const) {
    if (request[name] && !write) throw new TypeError(`Invalid ${name} true: it needs write: true`);
  }
  return { ...request, write, mode: request.mode & PERMISSIONS, unnamed: false };
}

/** What `DmaFile.create` is to make, and whether atomically. */
export function createRequest(
  options: DmaCreateOptions | undefined,
): OpenRequest & { readonly atomic: boolean } {
  const { atomic, ...given } = readOptions(options, CREATE_OPTIONS);
  return { ...openRequest({ ...given, write: true, create: true, truncate: true }), atomic };
}

/** The directory for a temporary file. */
export function temporaryDirectory(options: DmaTempOptions | undefined): string {
  const dir = (name: string, value: unknown) =>
    pathText(name, value ?? environment("TMPDIR") ?? "/tmp");
  return readOptions(options, { dir }).dir;
}

/** Whether the only option that there is, a boolean, is true. */
export function isSet<Name extends string>(
  options: { readonly [Option in Name]?: boolean } | undefined,
  name: Name,
): boolean {
  return options !== undefined && readOptions(options, { [name]: flagOption(false) })[name]!;
}

/** What ends the wait for a lock. */
export function signalOf(options: DmaLockOptions | undefined): AbortSignal | undefined {
  const signal = (name: string, value: unknown) => {
    if (value === undefined || value instanceof AbortSignal) return value;
    throw new TypeError(`Invalid ${name} ${shown(value)}: it must be an AbortSignal`);
  };
  return readOptions(options, { signal }).signal;
}

const MERGE_OPTIONS = {
  maxMerged: integerOption(512 * 1024),
  maxGap: integerOption(0),
  concurrency: integerOption(16, 1, 4096),
};

/** How ranges may be merged. */
export function mergeLimits(options: ReadManyOptions | undefined): MergeLimits {
  return readOptions(options, MERGE_OPTIONS);
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
