// The options of DmaFile's methods, and what they come to when they are checked.

import { flag, integer, optionsObject, shown } from "./arguments.ts";
import type { OpenRequest } from "./core/open.ts";
import type { MergeLimits } from "./core/read_many.ts";

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
   * Make the file where there is none. Needs `write`.
   *
   * @default {false}
   */
  create?: boolean;
  /**
   * Make the file, and fail where there is one. Needs `write`.
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
   * Permission bits of a new file, less the umask.
   *
   * @default {0o666}
   */
  mode?: number;
  /**
   * "require": fail where the file system refuses Direct I/O. "prefer": use the page cache there. "off": always use
   * the page cache.
   *
   * @default {"prefer"}
   */
  direct?: "require" | "prefer" | "off";
}

/** How `DmaFile.create` creates. */
export interface DmaCreateOptions {
  /**
   * Allow reading back what was written.
   *
   * @default {true}
   */
  read?: boolean;
  /**
   * Permission bits of a new file, less the umask.
   *
   * @default {0o666}
   */
  mode?: number;
  /**
   * As in {@linkcode DmaOpenOptions.direct}.
   *
   * @default {"prefer"}
   */
  direct?: "require" | "prefer" | "off";
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

/** Where `DmaFile.temp` makes its file. */
export interface DmaTempOptions {
  /**
   * The directory, whose file system must know O_TMPFILE. Where the variable `TMPDIR` may be read and is set, it is
   * the default.
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
   * Bytes that may be read for nothing between two ranges of one read. Whole blocks are read anyway: what lies in the
   * same block, or in the next one, leaves no gap.
   *
   * @default {0}
   */
  maxGap?: number;
  /**
   * Reads in flight or waiting to be taken, at most. Memory is this many times `maxMerged`.
   *
   * @default {16}
   */
  concurrency?: number;
}

/** What is to be opened: every option, checked, with its default. */
export function openRequest(options: DmaOpenOptions | undefined): OpenRequest {
  const given = optionsObject<DmaOpenOptions>("options", options);
  const request = {
    read: flag("read", given.read ?? true),
    write: flag("write", given.write ?? false),
    create: flag("create", given.create ?? false),
    createNew: flag("createNew", given.createNew ?? false),
    truncate: flag("truncate", given.truncate ?? false),
    mode: integer("mode", given.mode ?? 0o666, 0, 0o7777),
    direct: given.direct ?? "prefer",
  };
  const { read, write, direct } = request;
  if (direct !== "require" && direct !== "prefer" && direct !== "off") {
    throw new TypeError(
      `Invalid direct ${shown(direct)}: it must be "require", "prefer" or "off"`,
    );
  }
  if (!read && !write) throw new TypeError("Invalid options: read or write must be true");
  for (const name of ["create", "createNew", "truncate"] as const) {
    if (request[name] && !write) throw new TypeError(`Invalid ${name} true: it needs write: true`);
  }
  return request;
}

/** Where temporary files go, unless told otherwise. */
export function temporaryDirectory(): string {
  const { state } = Deno.permissions.querySync({ name: "env", variable: "TMPDIR" });
  return (state === "granted" && Deno.env.get("TMPDIR")) || "/tmp";
}

/** How ranges may be merged: every option, checked, with its default. */
export function mergeLimits(options: ReadManyOptions | undefined): MergeLimits {
  const given = optionsObject<ReadManyOptions>("options", options);
  return {
    maxMerged: integer("maxMerged", given.maxMerged ?? 512 * 1024),
    maxGap: integer("maxGap", given.maxGap ?? 0),
    concurrency: integer("concurrency", given.concurrency ?? 16, 1, 4096),
  };
}
