// Runs passes in lanes, side by side where the machine has processors for it.

import { type Pass, runPass, type Surroundings, type Tally } from "./passes.ts";

/**
 * Runs the passes of each lane one after another, and the lanes side by side; on one processor all
 * one after another. What the first lane prints is shown as it comes. What another prints is shown
 * as a whole when its pass ends, so that nobody has to tell their lines apart.
 */
export async function runLanes(
  lanes: readonly (readonly Pass[])[],
  surroundings: Surroundings,
  tally: Tally,
): Promise<void> {
  const [shown = [], ...others] = navigator.hardwareConcurrency > 1 ? lanes : [lanes.flat()];
  const results = await Promise.allSettled([
    runLane(shown, surroundings, tally, showNow),
    ...others.map((lane) => runLane(lane, surroundings, tally)),
  ]);
  for (const result of results) if (result.status === "rejected") throw result.reason;
}

async function runLane(
  passes: readonly Pass[],
  surroundings: Surroundings,
  tally: Tally,
  show?: (output: Uint8Array) => void,
): Promise<void> {
  for (const pass of passes) {
    const collected: Uint8Array[] = [];
    try {
      const result = await runPass(
        pass,
        surroundings,
        show ?? ((output) => collected.push(output)),
      );
      tally.passed += result.passed;
      tally.failed += result.failed;
      tally.skipped += result.skipped;
    } finally {
      // The first lane may be in the middle of a line.
      if (collected.length > 0) showNow(new TextEncoder().encode("\n"));
      collected.forEach(showNow);
    }
    surroundings.signal.throwIfAborted();
  }
}

function showNow(output: Uint8Array): void {
  for (let shown = 0; shown < output.length;) {
    shown += Deno.stdout.writeSync(output.subarray(shown));
  }
}
