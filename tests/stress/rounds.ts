// Runs one round.

import { fileActions, openFile } from "./file_actions.ts";
import { Round, type Tally } from "./round.ts";
import { startWriter, streamActions } from "./stream_actions.ts";

/** Runs the round of this number. Rejects with the failure and the command that repeats it. */
export async function runRound(directory: string, number: number, total: Tally): Promise<void> {
  const round = new Round(directory, number, total);
  try {
    await round.call("open", () => openFile(round));
    if (round.random.chance(0.8)) await round.call("start a writer", () => startWriter(round));
    await round.run({ ...fileActions, ...streamActions }, round.random.between(3, 60));
  } catch (cause) {
    throw new Error(`Round ${number} failed; again: deno task stress --seed ${number}`, { cause });
  } finally {
    for (const { name } of Deno.readDirSync(directory)) {
      if (name.split("-")[0] !== String(number)) continue;
      await Deno.remove(`${directory}/${name}`).catch(() => {});
    }
  }
}
