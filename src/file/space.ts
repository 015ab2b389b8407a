// Reserves and frees the space of files, and truncates them: mostly to cut off reserved space and padding.

import { promiseOf } from "../engine/engine.ts";
import { errnos, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE } from "../engine/linux.ts";
import { type DmaError, ioError } from "../errors.ts";
import type { Purpose } from "./file_changes.ts";
import { explain } from "./file_system.ts";
import type { OpenFile } from "./open_file.ts";
import { knownSize, type StatFacts, submitStat } from "./stat.ts";

/** After these errors fallocate(2) may have reserved a part. Seen on ext4: other programs then have no space. */
export const FULL: ReadonlySet<number> = errnos("ENOSPC", "EDQUOT");

export async function freeSpace(file: OpenFile, position: number, length: number): Promise<void> {
  const { descriptor, fd } = file;
  const mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  const operation = { op: "allocate", fd, mode, position, length, parts: 0 } as const;
  const free = () => descriptor.call("allocate", operation);
  await descriptor.use("allocate", () => file.change(0, 0, free));
}

/** Reserves the first `length` bytes. Without enough room nothing stays reserved past the end of the file. */
export function reserveSpace(file: OpenFile, length: number, keepSize: boolean): Promise<void> {
  const { descriptor, engine, fd, fileSystem, length: ends, path } = file;
  const mode = keepSize ? FALLOC_FL_KEEP_SIZE : 0;
  const parts = fileSystem.isLocal ? 1 : 0;
  const operation = { op: "allocate", fd, mode, position: 0, length, parts } as const;
  return descriptor.use("allocate", async () => {
    let cut: Promise<void> | undefined;
    await file.change(0, keepSize ? 0 : length, async () => {
      // Another program may have cut off content, and zeros of an earlier call.
      ends.noteCut();
      const before = ends.sizeNow();
      try {
        await promiseOf((ended) => {
          const complete = (result: number) => {
            // Noted here and not after a promise, because a writer that blocks may open before a microtask runs.
            if (result >= 0 && !keepSize) ends.addReserved(length);
            ended(result < 0 ? ioError(-result, "allocate", path) : undefined);
          };
          engine.submit(operation, { complete });
        });
      } catch (error) {
        const mayHaveReserved = FULL.has((error as DmaError).errno) && before !== undefined;
        // Within the change: a writer that opens after it would take the reserved space for content.
        if (mayHaveReserved) cut = cutReserved(file, before).catch(() => {});
        throw error;
      }
    }).finally(() => cut);
  });
}

/** Cuts a file in use to its content, unless another program has made it longer. Returns undefined if nothing is to do. */
export function cutToContent(file: OpenFile): Promise<void> | undefined {
  const { length, request } = file;
  // In a file that several programs append to, the bytes past the content may be theirs.
  if (request.append || length.sizeUpperBound === length.contentEnd) return undefined;
  return truncateAlone(file, (size) => length.lengthToCutTo(size));
}

/** As {@linkcode cutToContent}, on the JavaScript thread, until `deadline` at most. Failures are ignored. */
export function cutNow(file: OpenFile, deadline: number): void {
  const { changes, engine, length } = file;
  const cutting = cutToContent(file);
  // The program may close the file before the cut has ended. The descriptor's number could then be another file's.
  if (cutting) Promise.allSettled([cutting, file.descriptor.use("truncate", () => cutting)]);
  while ((changes.hasHolds || length.hasInFlight) && changes.waitNow(engine, deadline));
}

/** Truncates a file when nothing else writes to it. The remaining bytes, or added zeros, are content. */
export function truncateTo(file: OpenFile, length: number, purpose: Purpose): Promise<void> {
  return file.descriptor.use("truncate", () => truncateAlone(file, () => length, purpose));
}

/** Releases what a failed allocation has reserved past `before`, the length before it, and past the end of the file. */
function cutReserved(file: OpenFile, before: number): Promise<void> {
  return truncateAlone(file, (size) => {
    if (size === undefined || size > file.length.sizeUpperBound) return undefined;
    return Math.min(size, file.length.lengthToRestore(before));
  });
}

/**
 * Cuts off the padding up to `padded` that a copy has written past the content, unless a later write is there. Space up
 * to `before`, the length before the copy, stays reserved.
 */
export function cutPadding(file: OpenFile, padded: number, before: number): Promise<void> {
  return truncateAlone(file, (size = padded) => {
    const end = file.length.lengthToRestore(before);
    // Any other length comes from another write. A writer's cut cannot replace this one: it may have run before.
    return size === padded && end < padded ? end : undefined;
  });
}

/** Calls `found` with the file's length, or undefined if the kernel does not report it. */
function findSize({ descriptor, fileSystem }: OpenFile, found: (size?: number) => void): void {
  // Without memory for the first look the second one may succeed.
  const known = fileSystem.statWaits ? undefined : knownSize(descriptor);
  if (known !== undefined) return found(known);
  const end = (facts: StatFacts | DmaError) => found((facts as Partial<StatFacts>).size);
  submitStat(descriptor, end, true);
}

/**
 * Truncates a file that is in use to the result of `decide`, which gets the file's length; undefined leaves it
 * unchanged. `decide` runs when no other operation changes the length. Unless that is a cut, the whole file is content.
 */
function truncateAlone(
  file: OpenFile,
  decide: (size: number | undefined) => number | undefined,
  purpose: Purpose = "cut",
): Promise<void> {
  const { changes, durability, engine, fd, fileSystem, path } = file;
  return promiseOf<void>((ended) => {
    changes.holdWrites((release) => {
      const end = (error?: DmaError) => {
        release();
        ended(error);
      };
      const truncate = (syncError?: DmaError) => {
        const start = (size?: number) => {
          const newLength = decide(size);
          if (newLength === undefined) return end(syncError);
          const complete = (result: number) => {
            if (result < 0) {
              return end(ioError(-result, "truncate", path, explain(fileSystem, -result)));
            }
            changes.noteTruncate(newLength, purpose !== "cut");
            end(syncError);
          };
          engine.submit({ op: "truncate", fd, length: newLength }, { complete });
        };
        // Only a cut depends on the length, for which a server may be asked.
        return purpose === "cut" ? findSize(file, start) : start();
      };
      if (fileSystem.cutsDirty || !durability.unsynced) return truncate();
      // The truncate runs even if the sync fails. Its caller gets the error of a sync that no caller has got before.
      const known = durability.syncError;
      durability.submitSync(true, (error) => truncate(error === known ? undefined : error));
    }, purpose);
  });
}
