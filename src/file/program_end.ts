// Finishes open files when a program ends: what their writers accepted is written, and their length is exact.

import { performance } from "../engine/event_loop.ts";
import { cutNow } from "./cut.ts";
import type { OpenFile } from "./open_file.ts";

/** A part above a writer that holds chunks which the writer has not accepted. */
export interface Flushable {
  /** Blocks until every chunk that was given is in the file, until `deadline` at most (`performance.now()`). */
  flushNow(durable: boolean, deadline: number): void;
  /** Ends the writer, unless there were chunks that it had not been given. */
  finish(): void;
}

/** The longest wait for what does not take long on a file system that goes on: a cut, and the removal of names. */
const TIMEOUT_MS = 1000;

/** Files that are open, and what writes to them. */
const open = new Map<OpenFile, Flushable | undefined>();

/** Whether nothing of the program runs any more but its listeners for its end. */
let hasEnded = false;

/** Has a file finished when the program ends, unless it is closed before. `writing` writes to it. */
export function finishAtEnd(file: OpenFile, writing?: Flushable): void {
  if (!open.has(file)) {
    const forget = () => void open.delete(file);
    file.descriptor.closed.then(forget, forget);
  }
  open.set(file, writing);
}

/**
 * Begins to finish the writers that are still open when the event loop has run empty. Atomic files that were not closed
 * vanish. Returns whether there is anything to wait for. A failure is an unhandled rejection, with which the program ends.
 */
export function finishOpenFiles(): boolean {
  // The engine may take nothing any more.
  if (hasEnded) return false;
  let begun = false;
  for (const [file, writing] of [...open]) {
    const { writer } = file;
    if (file.naming.isUnpublished) {
      begun = true;
      const reason = new Error("The program ended before the file was closed");
      if (writer) writer.abortWriter(reason);
      else file.giveUp();
    } else if (writer && !writer.ending) {
      begun = true;
      writing?.finish();
    }
  }
  return begun;
}

/**
 * Writes what writers were given to their files, on the JavaScript thread, until `deadline` at most (`performance.now()`),
 * and cuts the files to it: for a program that may not return to its event loop. If it does, the writers go on. `warn` gets
 * a message for each file that could not be finished.
 */
export function flushOpenFilesNow(deadline: number, warn: (message: string) => void): void {
  let files = [...open].filter(([file]) => file.writer && !file.naming.isUnpublished);
  // One that stands still must not take the time of all: who was late gets a longer turn after the others.
  for (let turn = 1; files.length > 0; turn *= 2) {
    const isLast = turn >= deadline - performance.now();
    files = files.filter(([file, writing]) => {
      const turnEnd = isLast ? deadline : performance.now() + turn;
      try {
        writing?.flushNow(false, Math.min(turnEnd, deadline));
      } catch (error) {
        if (!isLast) return true;
        warn(`'${file.path}' does not have everything that was written to it: ${error}`);
      }
      cutNow(file, deadline);
      return false;
    });
  }
}

/** Removes the temporary names of atomic files that were not closed. Files without a name vanish by themselves. */
export function discardNamesNow(): void {
  hasEnded = true;
  const deadline = performance.now() + TIMEOUT_MS;
  for (const { naming } of open.keys()) naming.unlinkTemporaryNow(deadline);
}

/** Cuts a file that a listener for the end of the program has flushed once more. */
export function cutAfterEnd(file: OpenFile): void {
  if (hasEnded && file.writer) cutNow(file, performance.now() + TIMEOUT_MS);
}
