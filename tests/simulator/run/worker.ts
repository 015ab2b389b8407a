// Runs programs in a Worker, one seed after the other, until it is stopped.

import { Runner } from "./runner.ts";
import { addTally } from "./simulate_program.ts";
import { emptyReport, type Order, type Report } from "./workers.ts";

/** A Worker stops after so many failures. */
const MOST_FAILURES = 5;

async function run({ runs, index, stride, current }: Order): Promise<Report> {
  const { seeds, milliseconds, changes, stopsAtFirst = false, real } = runs;
  const runner = await Runner.load(changes, real);
  const report = emptyReport();
  // performance.now() stands still here.
  const until = Date.now() + milliseconds;
  for (let at = index; Date.now() < until; at += stride) {
    const seed = typeof seeds === "number" ? seeds + at : seeds[at];
    if (seed === undefined) break;
    current[0] = seed;
    const result = await runner.run(seed);
    addTally(report.tally, result);
    if (!result.failure) continue;
    report.failures.push(await runner.describe(seed, result, !stopsAtFirst));
    if (stopsAtFirst || report.failures.length === MOST_FAILURES) break;
  }
  return report;
}

const scope = self as unknown as {
  postMessage(report: Report): void;
  onmessage: (event: MessageEvent<Order>) => void;
  close(): void;
};

scope.onmessage = async ({ data }) => {
  scope.postMessage(await run(data));
  scope.close();
};
