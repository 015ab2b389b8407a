// Cuts off what this module put behind a file's content: reserved space and the padding of the last block.

import { alignUp } from "../align.ts";
import { ioError } from "../errors.ts";
import { explain } from "./file_system.ts";
import type { OpenFile } from "./open_file.ts";
import { knownSize } from "./stat.ts";

/** What somebody else appended until now is content: space that is reserved behind it must not hide it. */
export function keepAppended(file: OpenFile): void {
  const size = knownSize(file.descriptor);
  if (size !== undefined && size > file.length.sizeUpperBound) file.length.addContent(size);
}

/** The file may be no longer than it is, where nothing is under way. */
export function limitBound(file: OpenFile): void {
  const size = knownSize(file.descriptor);
  if (size !== undefined) file.length.isAtMost(size);
}

/** Whether something may stand behind the content that {@linkcode cutToContent} would cut off. */
export function exceedsContent({ appends, length }: OpenFile): boolean {
  // Where others append too nobody knows whose bytes they are.
  return !appends && length.sizeUpperBound > length.contentEnd;
}

/**
 * Cuts a file that is in use to the end of its content, where this module made it longer. A file that is longer than this
 * module ever made it has somebody else's bytes behind the content, which stay. Nothing is written meanwhile.
 */
export function cutToContent(file: OpenFile): Promise<void> {
  return truncateAlone(file, () => {
    const { length } = file;
    if (!exceedsContent(file)) return undefined;
    const { contentEnd, sizeUpperBound } = length;
    const size = knownSize(file.descriptor);
    // A file that somebody cut to less must not be made longer again.
    if (size === undefined || (size > contentEnd && size <= sizeUpperBound)) return contentEnd;
    length.leaveRest();
    return undefined;
  });
}

/** Truncates a file that is in use, when nothing else writes to it. All that is left, or added as zeros, is content. */
export function truncateTo(file: OpenFile, contentEnd: number): Promise<void> {
  return truncateAlone(file, () => contentEnd, () => file.writer?.truncated(contentEnd));
}

/** Cuts off the padding that a copy left behind `contentEnd`, where nobody has written there since. */
export function cutPadding(file: OpenFile, contentEnd: number): Promise<void> {
  const { blockSize, length } = file;
  const padded = alignUp(contentEnd, blockSize);
  if (padded === contentEnd) return Promise.resolve();
  return truncateAlone(file, () => {
    // Anything else is somebody else's doing. A writer need not cut it: one that closes may have cut already.
    const cuts = knownSize(file.descriptor) === padded && length.contentEnd <= contentEnd;
    return cuts ? contentEnd : undefined;
  });
}

/**
 * Truncates a file that is in use, when nothing else is under way that changes its length, to what `decide` says then:
 * undefined where it is to stay. `truncated` is called when it is done.
 */
function truncateAlone(
  file: OpenFile,
  decide: () => number | undefined,
  truncated?: () => void,
): Promise<void> {
  const { engine, fd, fileSystem, length, path } = file;
  return new Promise((resolve, reject) => {
    length.holdWrites((release) => {
      const contentEnd = decide();
      let isLost = false;
      const complete = (result: number) => {
        if (result >= 0 && contentEnd !== undefined) {
          length.truncated(contentEnd);
          file.changes++;
          truncated?.();
        }
        release();
        if (result < 0) reject(ioError(-result, "truncate", path, explain(fileSystem, -result)));
        else if (isLost) reject(file.syncError);
        else resolve();
      };
      const truncate = () => {
        engine.submit({ op: "truncate", fd, length: contentEnd! }, { complete });
      };
      if (contentEnd === undefined) complete(0);
      else if (fileSystem.cutsDirty || !file.unsynced) truncate();
      else {
        const { syncError } = file;
        file.submitSync(true, (error) => {
          // A failure is told once, and here is who is told of it. The cut is tried all the same.
          isLost = error !== syncError;
          truncate();
        });
      }
    });
  });
}
