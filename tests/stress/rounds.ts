// Rounds one after the other, in one isolate.

import { fileActions, openFile } from "./file_actions.ts";
import { readerActions } from "./reader_actions.ts";
import { type Action, Round, type Tally } from "./round.ts";
import { startWriter, writerActions } from "./writer_actions.ts";

const actions: readonly Action[] = [...fileActions, ...writerActions, ...readerActions];

/** Runs the round of this number. Rejects with the failure and the command that repeats it. */
export async function runRound(directory: string, number: number, total: Tally): Promise<void> {
  const round = new Round(directory, number);
  try {
    await round.call("open", () => openFile(round));
    if (round.random.chance(0.8)) await round.call("start a writer", () => startWriter(round));
    await round.run(actions, round.random.between(3, 60));
  } catch (cause) {
    throw new Error(`Round ${number} failed; again: deno task stress --seed ${number}`, { cause });
  } finally {
    for (const name of ["calls", "failed", "bytes"] as const) total[name] += round.tally[name];
    for (const { name } of Deno.readDirSync(directory)) {
      if (name.split("-")[0] !== String(number)) continue;
      await Deno.remove(`${directory}/${name}`).catch(() => {});
    }
  }
}
