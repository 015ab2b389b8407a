// Finishes open files when a program ends: accepted bytes are written, and the length is made exact.

import { afterCallers, performance } from "../engine/event_loop.ts";
import { Errno } from "../engine/linux.ts";
import { ioError } from "../errors.ts";
import { temporaryNames } from "./file_name.ts";
import type { OpenFile } from "./open_file.ts";
import { cutNow } from "./space.ts";

/** The longest wait for a cut or the removal of a name, which are quick unless the file system hangs. */
const TIMEOUT_MS = 1000;

/** The files that are open for writing. */
const open = new Set<OpenFile>();

/** The failures of writers that no caller knows of. */
const unreported = new Map<OpenFile, unknown>();

/** Whether the event loop has run empty. */
let hasRunEmpty = false;

/** Whether the program has ended. Later listeners may still write. */
let hasEnded = false;

/** Makes the end of the program finish a file that is not closed before. */
export function finishAtEnd(file: OpenFile): void {
  open.add(file);
  const forget = () => void open.delete(file);
  file.descriptor.closed.then(forget, forget);
}

/** Makes the end of the program report the failure of a file's writer, unless a caller learns of it before. */
export function reportAtEnd(file: OpenFile, reason: unknown): void {
  unreported.set(file, reason);
}

/** Called when a caller knows of the failure, or has given the file up. */
export function forgetFailure(file: OpenFile): void {
  unreported.delete(file);
}

function reportNow(file: OpenFile): void {
  // An unhandled rejection ends the program.
  if (unreported.has(file)) Promise.reject(unreported.get(file));
  unreported.delete(file);
}

/** Begins to finish the open writers, and discards atomic files that were not closed. Returns whether to wait for that. */
export function finishOpenFiles(): boolean {
  hasRunEmpty = true;
  let begun = unreported.size > 0;
  for (const file of unreported.keys()) reportNow(file);
  for (const file of [...open]) {
    const { writer } = file;
    if (file.naming.isUnpublished) {
      begun = true;
      const reason = new Error("The program ended before the file was closed");
      if (writer) writer.abortWriter(reason).catch(() => {});
      else file.giveUp();
    } else if (writer && !writer.isOver) {
      begun = true;
      writer.sink?.finish();
    }
  }
  return begun;
}

/**
 * Writes the accepted bytes and cuts the files to them, on the JavaScript thread. The program may not return to its
 * event loop; if it does, the writers continue. `warn` gets a message for each file that could not be finished.
 */
export function flushOpenFilesNow(deadline: number, warn: (message: string) => void): void {
  // A writer that ends within a turn leaves its file, but its sink may have refused a chunk.
  let files = [...open].filter(({ naming, writer }) => writer && !naming.isUnpublished)
    .map((file) => ({ file, sink: file.writer!.sink }));
  // A file that hangs must not use all of the time: it gets a longer turn after the others.
  for (let turn = 1; files.length > 0; turn *= 2) {
    const isLast = turn >= deadline - performance.now();
    files = files.filter(({ file, sink }) => {
      const turnEnd = isLast ? deadline : performance.now() + turn;
      try {
        sink?.flushNow(false, Math.min(turnEnd, deadline));
      } catch (error) {
        if (!isLast) return true;
        // A failed writer has called reportAtEnd, unless it was given up.
        if (!file.writer?.failure) unreported.set(file, error);
      }
      cutNow(file, deadline);
      return false;
    });
  }
  for (const [file, error] of unreported) {
    warn(`'${file.path}' does not have everything that was written to it: ${error}`);
    // `deno test` does not wait for writers at its end, and shows no warning: leaveOpenFiles reports the failure again.
    if (!hasRunEmpty || file.engine.endsWithProcess) unreported.delete(file);
  }
}

/** Removes the temporary names of atomic files that were not closed. Files without a name disappear by themselves. */
export function discardNamesNow(): void {
  hasEnded = true;
  const deadline = performance.now() + TIMEOUT_MS;
  for (const name of temporaryNames) name.unlinkNow(deadline);
}

/** Fails the writers of open files, whose engine has closed them, and reports their failures before that. */
export function leaveOpenFiles(): void {
  for (const file of open) {
    const reason = ioError(Errno.EBADFD, "write", file.path, "files are closed at unload");
    const left = file.writer?.abortWriter(reason).catch(() => {});
    left?.then(() => afterCallers(() => reportNow(file)));
  }
  open.clear();
}

/** Cuts a file that a listener for the end of the program has flushed again. */
export function cutAfterEnd(file: OpenFile): void {
  if (hasEnded && file.writer) cutNow(file, performance.now() + TIMEOUT_MS);
}
