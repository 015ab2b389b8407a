// The options of DmaFile, their defaults, and what they come to when they are checked.

import { environment } from "../ffi/shim.ts";
import {
  choiceOption,
  flagOption,
  integerOption,
  pathText,
  readOptions,
  shown,
} from "./arguments.ts";
import type { OpenRequest } from "./file/open_file.ts";
import type { MergeLimits } from "./file/read_many.ts";

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
