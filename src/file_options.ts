// The options of DmaFile, their defaults, and the checked values.

import { environment } from "../ffi/shim.ts";
import {
  choiceOption,
  flagOption,
  integer,
  integerOption,
  invalid,
  pathText,
  readOptions,
} from "./arguments.ts";
import type { OpenRequest } from "./file/open_file.ts";
import { limitedOf } from "./file/permissions.ts";
import type { MergeLimits } from "./file/read_many.ts";

/** Options of `DmaFile.open`. */
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
   * Create the file if it does not exist. Needs `write`.
   *
   * @default {false}
   */
  create?: boolean;
  /**
   * Create the file, and fail with `Deno.errors.AlreadyExists` if it exists. Needs `write`.
   *
   * @default {false}
   */
  createNew?: boolean;
  /**
   * Empty the file. Needs `write`, and excludes `append`.
   *
   * @default {false}
   */
  truncate?: boolean;
  /**
   * Every write goes to the current end of the file (`O_APPEND`), as in Deno. Several processes of one machine can
   * write one log, and other programs can follow it. A chunk that fits into a buffer of the writer is one write; other
   * programs' bytes can come between the parts of a longer one. After a SIGKILL only the last record can be incomplete.
   * After a power cut zeros can follow the last `sync()`. Machines that append to one file of a network file system at
   * once overwrite each other (open(2)); a lock of a second file prevents that. Writes go through the page cache. On
   * ext4 and xfs with kernel 6.14 or newer, the pages are dropped after the write. Implies `write`.
   *
   * @default {false}
   */
  append?: boolean;
  /**
   * Permission bits of a new file, before the umask.
   *
   * @default {0o666}
   */
  mode?: number;
  /**
   * "require": fail if the file system refuses Direct I/O. "prefer": use the page cache then. "off": always use it.
   *
   * @default {"prefer"}
   */
  direct?: "require" | "prefer" | "off";
}

/** Options of `DmaFile.create`. */
export interface DmaCreateOptions extends Pick<DmaOpenOptions, "mode" | "direct"> {
  /**
   * Allow reading the file back.
   *
   * @default {true}
   */
  read?: boolean;
  /**
   * Write a file without a name, or with a temporary one in the same directory. The file gets its name, complete and
   * durable, when it is closed without an error, and never otherwise.
   *
   * @default {false}
   */
  atomic?: boolean;
}

/** Options of `DmaFile.preallocate`. */
export interface DmaPreallocateOptions {
  /**
   * Keep the file's length.
   *
   * @default {false}
   */
  keepSize?: boolean;
}

/** Options of `DmaFile.writeAt`. */
export interface DmaWriteAtOptions {
  /**
   * Write all of the bytes or none, even if the power fails (`RWF_ATOMIC`). The length must be a power of two within
   * `DmaFile.atomicWrite`, and the position a multiple of the length.
   *
   * @default {false}
   */
  atomic?: boolean;
}

/** Options of `DmaFile.lock`. */
export interface DmaLockOptions {
  /** Ends the wait when it is aborted. */
  signal?: AbortSignal;
}

/** Options of `DmaFile.temp`. */
export interface DmaTempOptions {
  /**
   * The directory, on a file system with `O_TMPFILE`. With `--allow-env` the variable `TMPDIR` overrides the default.
   *
   * @default {"/tmp"}
   */
  dir?: string | URL;
}

/** Options of `DmaFile.readMany`. */
export interface ReadManyOptions {
  /**
   * The maximum length of a merged read in bytes, rounded to whole blocks. A longer range is read alone.
   *
   * @default {524288}
   */
  maxMerged?: number;
  /**
   * The maximum number of bytes between two ranges that are read and discarded in order to merge them. Reads consist of
   * whole blocks, so ranges in one block or in neighbouring blocks have no gap.
   *
   * @default {0}
   */
  maxGap?: number;
  /**
   * The maximum number of reads in flight, from 1 to 4,096. Memory, including results that are not taken yet, is this
   * number times `maxMerged`, or times the longest range if that is longer.
   *
   * @default {16}
   */
  concurrency?: number;
}

const OPEN_OPTIONS = {
  read: flagOption(true),
  write: flagOption(false),
  create: flagOption(false),
  createNew: flagOption(false),
  truncate: flagOption(false),
  append: flagOption(false),
  // Deno uses these bits only.
  mode: (name: string, value: unknown) => integer(name, value ?? 0o666, 0, 2 ** 32 - 1) & 0o777,
  direct: choiceOption("prefer", "require", "off"),
};

const { read, mode, direct } = OPEN_OPTIONS;
const CREATE_OPTIONS = { read, mode, direct, atomic: flagOption(false) };

export function openRequest(options: DmaOpenOptions | undefined): OpenRequest {
  const request = readOptions(options, OPEN_OPTIONS);
  const { read, append, truncate, direct } = request;
  const write = request.write || append;
  if (append && truncate) throw new TypeError("Cannot truncate and append: give one of them");
  if (append && direct === "require") {
    throw new TypeError('Invalid direct "require": append: true uses the page cache');
  }
  if (!read && !write) throw new TypeError("Invalid read false: read or write must be true");
  for (const name of ["create", "createNew", "truncate"] as const) {
    if (request[name] && !write) throw new TypeError(`Invalid ${name} true: it needs write: true`);
  }
  return { ...request, write, unnamed: false, limited: limitedOf({ read, write }) };
}

export function createRequest(options: DmaCreateOptions | undefined) {
  const { read, mode, direct, atomic } = readOptions(options, CREATE_OPTIONS);
  const limited = limitedOf({ read, write: true });
  const how = { write: true, create: true, createNew: false, truncate: true, append: false };
  return { ...how, unnamed: false, read, mode, direct, atomic, limited };
}

export function temporaryDirectory(options: DmaTempOptions | undefined): string {
  const dir = (name: string, value: unknown) =>
    pathText(name, value ?? environment("TMPDIR") ?? "/tmp");
  return readOptions(options, { dir }).dir;
}

export function signalOf(options: DmaLockOptions | undefined): AbortSignal | undefined {
  const signal = (name: string, value: unknown) => {
    if (value == null || value instanceof AbortSignal) return value ?? undefined;
    throw invalid(name, value, "it must be an AbortSignal");
  };
  return readOptions(options, { signal }).signal;
}

const MERGE_OPTIONS = {
  maxMerged: integerOption(512 * 1024),
  maxGap: integerOption(0),
  concurrency: integerOption(16, 1, 4096),
};

export function mergeLimits(options: ReadManyOptions | undefined): MergeLimits {
  return readOptions(options, MERGE_OPTIONS);
}
