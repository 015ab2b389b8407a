// The tasks of a program, and how everything that they opened comes to its end.

import { perform } from "../program/perform.ts";
import { closeFile } from "../program/file_steps.ts";
import { endReader } from "../program/reader_steps.ts";
import type { Session } from "../program/session.ts";
import type { Program, Step } from "../program/steps.ts";
import { endWriter } from "../program/writer_end_steps.ts";
import { Random } from "../random.ts";

/** Takes the steps of one task, one after the other. */
export async function runTask(
  session: Session,
  program: Program,
  task: number,
  seed: number,
  began: (step: Step) => void,
): Promise<void> {
  const under: Promise<void>[] = [];
  for (const step of program.steps) {
    if (step.task !== task) continue;
    // From the step alone: the others come at the same moments where one is left out.
    const random = new Random(seed + step.id);
    // Most steps follow at once; others come at any moment of what is under way.
    if (random.chance(0.4)) await session.world.clock.sleep(random.next() ** 3 * 2000);
    if (session.oracle.violation) return;
    began(step);
    const over = Promise.resolve(perform(session, step));
    if (step.action.do === "join") await Promise.all(under.splice(0));
    else if (step.awaited) await over;
    else under.push(over);
  }
  await Promise.all(under);
}

/** Ends every stream and closes every file. */
export async function endAll(session: Session, random: Random): Promise<void> {
  for (const slot of session.slots) {
    if (slot.reader) await endReader(session, slot, { do: "end reader", how: "close" });
    if (slot.writer) {
      await endWriter(session, slot, { do: "end writer", how: random.pick(["close", "abort"]) });
    }
    await closeFile(session, slot);
  }
}
