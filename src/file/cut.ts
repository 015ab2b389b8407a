// Cuts off what this module put behind a file's content: reserved space and the padding of the last block.

import { unwrap } from "../errors.ts";
import type { OpenFile } from "./open_file.ts";
import { statNow } from "./stat.ts";

/** The length of the file; undefined where it cannot be asked for. */
function sizeNow({ engine, fd, path }: OpenFile): number | undefined {
  try {
    return Number(statNow(engine, fd, path).size);
  } catch {
    // Without memory for the answer the file must still come to its end.
    return undefined;
  }
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
  const { length } = file;
  return length.withTruncate(async () => {
    if (!exceedsContent(file)) return;
    const { contentEnd, sizeUpperBound } = length;
    const size = sizeNow(file);
    // A file that somebody cut to less must not be made longer again.
    const cuts = size === undefined || (size > contentEnd && size <= sizeUpperBound);
    if (cuts) await truncate(file, contentEnd);
    else length.leaveRest();
  });
}

/** Truncates a file that is in use, when nothing else writes to it. All that is left, or added as zeros, is content. */
export function truncateTo(file: OpenFile, contentEnd: number): Promise<void> {
  return file.length.withTruncate(async () => {
    await truncate(file, contentEnd, () => file.writer?.truncated(contentEnd));
  });
}

/** Cuts off the padding that a copy left behind `contentEnd`, where nobody has written there since. */
export function cutPadding(file: OpenFile, contentEnd: number): Promise<void> {
  const { blockSize, length } = file;
  const padded = Math.ceil(contentEnd / blockSize) * blockSize;
  if (padded === contentEnd) return Promise.resolve();
  return length.withTruncate(async () => {
    // Anything else is somebody else's doing. A writer need not cut it: one that closes may have cut already.
    if (sizeNow(file) !== padded || length.contentEnd > contentEnd) return;
    await truncate(file, contentEnd);
  });
}

/** `truncated` is called where it succeeds. */
async function truncate(file: OpenFile, length: number, truncated = () => {}): Promise<void> {
  const { engine, fd, path } = file;
  file.length.beginCut();
  const over = Promise.withResolvers<number>();
  // Noted at once, and not when a promise goes on: flushSync() may block the program meanwhile.
  const complete = (result: number) => {
    file.length.endCut();
    if (result >= 0) {
      file.length.truncated(length);
      file.changes++;
      truncated();
    }
    over.resolve(result);
  };
  engine.submit({ op: "truncate", fd, length }, { complete });
  unwrap(await over.promise, "truncate", path);
}
