// What becomes of open files when a program ends: what their writers accepted is written, and their length is exact.

import { giveUpFile } from "./close.ts";
import { exceedsContent } from "./cut.ts";
import type { OpenFile } from "./open_file.ts";
import { statNow } from "./stat.ts";

/** What is above a writer, and has chunks that wait for it. */
export interface Flushable {
  /** Blocks until every chunk that was given is in the file, until `deadline` at most (`performance.now()`). */
  flushNow(durable: boolean, deadline: number): void;
}

/** Files that are open, and what writes to them. */
const open = new Map<OpenFile, Flushable | undefined>();

/** Has a file finished when the program ends, unless it is closed before. `writing` is what writes to it now. */
export function finishAtEnd(file: OpenFile, writing?: Flushable): void {
  if (!open.has(file)) {
    const forget = () => void open.delete(file);
    file.descriptor.closed.then(forget, forget);
  }
  open.set(file, writing);
}

/**
 * The event loop has run empty: begins to close what writers have left open. Atomic files that nobody closed vanish.
 * Returns whether there is anything to wait for. What fails rejects, and nobody catches it: the program ends with it.
 */
export function finishOpenFiles(): boolean {
  let begun = false;
  for (const file of [...open.keys()]) {
    const { writer, publication } = file;
    if (publication) {
      begun = true;
      const reason = new Error("The program ended before the file was closed");
      if (writer) writer.abortWriter(reason);
      else giveUpFile(file);
    } else if (writer && !writer.ending) {
      begun = true;
      writer.close();
    }
  }
  return begun;
}

/**
 * Puts what writers were given into their files, on the JavaScript thread, until `deadline` at most (`performance.now()`),
 * and cuts the files to it: for a program that may not come back to its event loop. If it does, all goes on from there.
 * `warn` is told of each file that could not be finished.
 */
export function flushOpenFilesNow(deadline: number, warn: (message: string) => void): void {
  for (const [file, writing] of open) {
    if (file.publication || !file.writer) continue;
    try {
      try {
        writing?.flushNow(false, deadline);
      } finally {
        cutNow(file, deadline);
      }
    } catch (error) {
      warn(`'${file.path}' does not have everything that was written to it: ${error}`);
    }
  }
}

/** The program ends: atomic files that nobody closed leave no name behind. Those without one vanish by themselves. */
export function discardNamesNow(): void {
  for (const { publication } of open.keys()) publication?.temporary?.unlinkNow();
}

/**
 * As `cutToContent`, on the JavaScript thread. Not beside writes and truncates past the writer: what they have done is
 * known only when the program goes on.
 */
function cutNow(file: OpenFile, deadline: number): void {
  const { engine, fd, length } = file;
  while (length.isChanging && engine.counters.inFlight > 0) {
    const left = deadline - performance.now();
    if (left <= 0 || !engine.waitNow(left)) break;
  }
  if (length.isChanging || !exceedsContent(file)) return;
  const { contentEnd, sizeUpperBound } = length;
  const size = Number(statNow(engine, fd, file.path).size);
  if (size <= contentEnd || size > sizeUpperBound) return;
  if (engine.runNow({ op: "truncate", fd, length: contentEnd }) >= 0) {
    length.truncated(contentEnd);
    // If the program goes on, a later sync has it to do.
    file.changes++;
  }
}
