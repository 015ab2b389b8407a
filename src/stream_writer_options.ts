// The options of DmaStreamWriter, their defaults, and what they come to when they are checked.

import { flag, integer, optionsObject } from "./arguments.ts";
import type { WriteSessionOptions } from "./core/write_session.ts";

/** Bytes of one buffer, unless told otherwise: 1 MiB. Found by measuring: bench/FINDINGS.md. */
export const DEFAULT_BUFFER_SIZE: number = 1 << 20;
/** Buffers in flight, unless told otherwise: 4. */
export const DEFAULT_WRITE_BEHIND: number = 4;

/** More than this in one write is more than a kernel takes in one request. */
const LARGEST_BUFFER = 1 << 30;
const MOST_BEHIND = 1024;

/** How a `DmaStreamWriter` writes. */
export interface DmaStreamWriterOptions {
  /**
   * Bytes of one buffer, rounded up to the file's alignment. 0 means one alignment unit; 1 GiB is the most.
   *
   * @default {1048576}
   */
  bufferSize?: number;
  /**
   * Buffers that may be in flight, at most 1,024. Below 1 means 1. Filling goes on in one more. Given neither
   * this nor `bufferSize`, a writer has less while many streams are at work: `bufferBudget` of `configure`.
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
   * Start at the end of the file, whatever its length.
   *
   * @default {false}
   */
  append?: boolean;
  /**
   * Bytes expected in all: their space is reserved at once, and what is not used is given back at close. More or
   * fewer may come. Does nothing with `preallocate: false`.
   *
   * @default {0}
   */
  sizeHint?: number;
  /**
   * Move the end of file ahead of the writes. Faster where writes that extend a file run one by one (ext4); while
   * the writer is open, and after a crash, the file may be longer than what was written, by zeros.
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

/** How `DmaStreamWriter.sync` is done. */
export interface DmaSyncOptions {
  /**
   * Also write the partly filled buffer, padded with zeros or with what stands there, so that everything written so far is durable.
   *
   * @default {false}
   */
  tail?: boolean;
}

/** Every option, checked, with its default. */
export function checkWriterOptions(
  options: DmaStreamWriterOptions | undefined,
  alignment: number,
): WriteSessionOptions {
  const given = optionsObject<DmaStreamWriterOptions>("options", options);
  const bufferSize = integer(
    "bufferSize",
    given.bufferSize ?? DEFAULT_BUFFER_SIZE,
    0,
    LARGEST_BUFFER,
  );
  const writeBehind = integer(
    "writeBehind",
    given.writeBehind ?? DEFAULT_WRITE_BEHIND,
    Number.MIN_SAFE_INTEGER,
    MOST_BEHIND,
  );
  const append = flag("append", given.append ?? false);
  if (append && given.position !== undefined) {
    throw new TypeError(`Cannot start at position ${given.position} and append: give one of them`);
  }
  return {
    bufferSize: Math.max(1, Math.ceil(bufferSize / alignment)) * alignment,
    writeBehind: Math.max(1, writeBehind),
    sharesMemory: given.bufferSize === undefined && given.writeBehind === undefined,
    position: integer("position", given.position ?? 0),
    append,
    sizeHint: integer("sizeHint", given.sizeHint ?? 0),
    preallocate: flag("preallocate", given.preallocate ?? true),
    syncOnClose: flag("syncOnClose", given.syncOnClose ?? true),
    closeFile: flag("closeFile", given.closeFile ?? true),
  };
}
