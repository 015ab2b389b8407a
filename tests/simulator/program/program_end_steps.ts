// The end of the process with open files, as in src/configure.ts.

import { violate } from "../oracle/promises.ts";
import type { OpenWriter, Session, Slot } from "./session.ts";
import { beginClose, finishClose, giveUp } from "./writer_end_steps.ts";

function writersOf({ slots }: Session): OpenWriter[] {
  return slots.flatMap(({ writer }) => writer && !writer.oracle.end ? [writer] : []);
}

/** An uncaught error, or Deno.exit: all chunks are written, and each file is cut to them. */
export function crash({ session }: Slot): void {
  const writers = writersOf(session);
  const warnings: string[] = [];
  session.module.flushOpenFilesNow(performance.now() + 5000, (text) => warnings.push(text));
  for (const text of warnings) session.trace?.(`  ${text}`);
  // A failed writer may lack bytes, and may not have reported its failure yet.
  const mayFail = session.isFaulty || session.dropped.length > 0 ||
    writers.some(({ oracle }) => oracle.ending || oracle.piped);
  if (mayFail) return;
  session.oracle.guard(() => {
    if (warnings.length > 0) violate("normal end", warnings[0]!);
    for (const { handle, oracle } of writers) {
      if (handle.target !== undefined) continue;
      oracle.checkFlushed("normal end");
      oracle.checkLength("normal end");
    }
  });
}

/** The event loop runs empty with open files: writers are closed, atomic files are discarded. */
export async function endProcess(session: Session): Promise<void> {
  session.endsNow = true;
  const ends = writersOf(session).map((writer) => {
    const { handle, oracle, stream } = writer;
    const isAtomic = handle.target !== undefined;
    const closes = oracle.facts.closeFile;
    const closing = beginClose(handle, closes, false);
    const wasEnding = oracle.ending;
    oracle.ending = true;
    if (closes) handle.closing = true;
    const closed = stream.closed.catch((error) => {
      if (isAtomic && String(error).includes("The program ended")) session.ownErrors.add(error);
      throw error;
    });
    return writer.call("the end of a writer", closed, {
      done: () => {
        if (isAtomic) violate("normal end", "an unclosed atomic file is there");
        if (!wasEnding) finishClose(writer, closing);
      },
      failed: (error) => {
        oracle.failed(error);
        if (!wasEnding) giveUp(writer);
      },
    });
  });
  const unnamed = session.handles.filter(({ target }) => target !== undefined);
  for (const handle of unnamed) handle.target = undefined;
  const idle = () => new Promise<void>((resolve) => session.idle = resolve);
  while (session.module.finishOpenFiles()) await idle();
  await Promise.all(ends);
  for (const handle of unnamed) session.oracle.hidden.delete(handle);
}
