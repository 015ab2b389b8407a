// The end of the process with open files, as in src/configure.ts.

import { Violation } from "../oracle/promises.ts";
import type { OpenWriter, Session } from "./session.ts";
import { beginClose, finishClose, giveUp } from "./writer_end_steps.ts";
import { checkFlushed } from "./writer_steps.ts";

function writersOf({ slots }: Session): OpenWriter[] {
  return slots.flatMap(({ writer }) => writer && !writer.oracle.end ? [writer] : []);
}

/** An uncaught error, or Deno.exit: all chunks are written, and each file is cut to them. */
export function crash(session: Session): void {
  const all = writersOf(session);
  const writers = all.filter(({ handle }) => handle.target === undefined);
  const warnings: string[] = [];
  session.module.flushOpenFilesNow(performance.now() + 5000, (text) => warnings.push(text));
  for (const text of warnings) session.trace?.(`  ${text}`);
  session.oracle.guard(() => {
    // A failed writer may lack bytes, and may not have reported its failure yet.
    if (session.isFaulty || session.dropped.length > 0) return;
    if (all.some(({ oracle }) => oracle.ending || oracle.piped)) return;
    if (session.slots.some(({ handle }) => handle?.probed)) return;
    if (warnings.length > 0) throw new Violation("normal end", warnings[0]!);
    for (const writer of writers) {
      checkFlushed("normal end", writer);
      writer.oracle.checkLength("normal end");
    }
  });
}

/** The event loop runs empty with open files: writers are closed, atomic files are discarded. */
export async function endProcess(session: Session): Promise<void> {
  session.endsNow = true;
  const ends = writersOf(session).map((writer) => {
    const isAtomic = writer.handle.target !== undefined;
    const closes = writer.oracle.facts.closeFile;
    const closing = beginClose(session, writer.handle, closes, false);
    const wasEnding = writer.oracle.ending;
    writer.oracle.ending = true;
    if (closes) writer.handle.closing = true;
    return session.call({
      name: "the end of a writer",
      promise: writer.stream.closed.catch((error) => {
        if (isAtomic && String(error).includes("The program ended")) session.adopt(error);
        throw error;
      }),
      handle: writer.handle,
      writer: writer.oracle,
      done: () => {
        if (isAtomic) {
          throw new Violation("normal end", "an atomic file that nobody closed is there");
        }
        if (!wasEnding) finishClose(session, writer, closing);
      },
      failed: (error) => {
        writer.oracle.failed(error);
        if (!wasEnding) giveUp(session, writer);
      },
    });
  });
  const unnamed = session.slots.flatMap(({ handle }) =>
    handle?.target === undefined ? [] : [handle]
  );
  for (const handle of unnamed) handle.target = undefined;
  const idle = () => new Promise<void>((resolve) => session.idle = resolve);
  while (session.module.finishOpenFiles()) await idle();
  await Promise.all(ends);
  for (const handle of unnamed) session.unhide(handle);
}
