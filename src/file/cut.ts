// Truncates files. Mostly that cuts off what this module put behind the content: reserved space, and padding.

import { waitUntil } from "../engine/engine.ts";
import { type DmaError, ioError } from "../errors.ts";
import { explain } from "./file_system.ts";
import type { OpenFile } from "./open_file.ts";
import { knownSize } from "./stat.ts";

/** Whether there may be something behind the content to cut off. */
function exceedsContent({ appends, length }: OpenFile): boolean {
  // Where other programs append too, the bytes may be theirs.
  return !appends && length.sizeUpperBound > length.contentEnd;
}

/**
 * Cuts a file that is in use to the end of its content. If it is longer than this module ever made it, another program's
 * bytes are behind the content, and it is not cut. Nothing is written meanwhile. Returns undefined if there is nothing to do.
 */
export function cutToContent(file: OpenFile): Promise<void> | undefined {
  if (!exceedsContent(file)) return undefined;
  return truncateAlone(file, () => exceedsContent(file) ? file.length.lengthToCutTo() : undefined);
}

/** As {@linkcode cutToContent}, on the JavaScript thread, until `deadline` at most. Failures are ignored. */
export function cutNow(file: OpenFile, deadline: number): void {
  const { engine, length } = file;
  const cutting = cutToContent(file);
  cutting?.catch(() => {});
  // The program may go on, and close the file before the cut is over: its number could be another file's by then.
  if (cutting) file.descriptor.use("truncate", () => cutting).catch(() => {});
  while (length.isChanging && waitUntil(engine, deadline));
}

/** Truncates a file that is in use, when nothing else writes to it. What is left, or added as zeros, is content. */
export function truncateTo(file: OpenFile, contentEnd: number): Promise<void> {
  return truncateAlone(file, () => contentEnd, true);
}

/**
 * Gives back what an allocation has reserved before it failed, but nothing below `before`, the length of before. The truncate
 * also frees blocks behind the end of the file.
 */
export function cutReserved(file: OpenFile, before: number): Promise<void> {
  return truncateAlone(file, () => {
    const { contentEnd, sizeUpperBound } = file.length;
    const size = knownSize(file.descriptor);
    if (size === undefined || size > sizeUpperBound) return undefined;
    return Math.min(size, Math.max(before, contentEnd));
  });
}

/** Cuts off the padding up to `padded` that a copy has put behind the content, unless there was a write there since. */
export function cutPadding(file: OpenFile, padded: number): Promise<void> {
  const { length } = file;
  return truncateAlone(file, () => {
    // Any other length comes from another write. The writer's own cut does not replace this one: it may have come before.
    const size = knownSize(file.descriptor) ?? padded;
    return size === padded && length.contentEnd < padded ? length.contentEnd : undefined;
  });
}

/**
 * Truncates a file that is in use to the result of `decide`, which is called when nothing else that changes the length is
 * under way; undefined: not at all. With `isContent` all that is there then is content.
 */
function truncateAlone(
  file: OpenFile,
  decide: () => number | undefined,
  isContent = false,
): Promise<void> {
  const { durability, engine, fd, fileSystem, length, path } = file;
  return new Promise((resolve, reject) => {
    length.holdWrites((release) => {
      const end = (error?: DmaError) => {
        release();
        if (error) reject(error);
        else resolve();
      };
      const truncate = (syncError?: DmaError) => {
        const newLength = decide();
        if (newLength === undefined) return end(syncError);
        const complete = (result: number) => {
          if (result < 0) {
            return end(ioError(-result, "truncate", path, explain(fileSystem, -result)));
          }
          length.truncated(newLength, isContent);
          durability.noteChange();
          end(syncError);
        };
        if (!durability.unsynced && !durability.syncError) file.writer?.synced();
        engine.submit({ op: "truncate", fd, length: newLength }, { complete });
      };
      if (fileSystem.cutsDirty || !durability.unsynced) return truncate();
      // Decided again after the sync: another program may append meanwhile.
      if (decide() === undefined) return end();
      // A failure that nobody was told of is reported to the caller of the truncate, which is tried all the same.
      const told = durability.syncError;
      durability.submitSync(true, (error) => truncate(error === told ? undefined : error));
    });
  });
}
