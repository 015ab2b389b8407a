// Runs programs in a Worker, one seed after the other, until it is stopped.

import type { Change } from "./module.ts";
import { addTally, type Failure, newTally, Runner } from "./runner.ts";
import type { Tally } from "./simulate_program.ts";

/** The seeds, or as many as the time allows. */
export type Seeds = readonly number[] | { readonly first: number; readonly stride: number };

/** The options of the runs. */
export interface Manner {
  readonly milliseconds: number;
  /** The mistakes in the module. */
  readonly changes?: readonly Change[];
  /** Whether to stop at the first failure, without reducing it. */
  readonly stopsAtFirst?: boolean;
}

export interface Order extends Manner {
  readonly seeds: Seeds;
  /** The memory for the current seed, in case the Worker hangs. */
  readonly current: Float64Array<SharedArrayBuffer>;
}

/** A Worker stops after so many failures. */
const MOST_FAILURES = 5;

export interface Report {
  readonly tally: Tally;
  readonly failures: readonly Failure[];
}

function* all(seeds: Seeds): Generator<number> {
  if (!("first" in seeds)) return yield* seeds;
  for (let seed = seeds.first;; seed += seeds.stride) yield seed;
}

async function runSeeds(order: Order): Promise<Report> {
  const { milliseconds, changes, stopsAtFirst = false } = order;
  const runner = await Runner.load(changes);
  const tally = newTally();
  const failures: Failure[] = [];
  // performance.now() stands still here.
  const until = Date.now() + milliseconds;
  for (const seed of all(order.seeds)) {
    if (Date.now() > until) break;
    order.current[0] = seed;
    const result = await runner.run(seed);
    addTally(tally, result);
    const { failure } = result;
    if (!failure) continue;
    failures.push(await runner.describe(seed, failure, !stopsAtFirst));
    if (stopsAtFirst || failures.length === MOST_FAILURES) break;
  }
  return { tally, failures };
}

const scope = self as unknown as {
  postMessage(report: Report): void;
  onmessage: (event: MessageEvent<Order>) => void;
  close(): void;
};

scope.onmessage = async ({ data }) => {
  scope.postMessage(await runSeeds(data));
  scope.close();
};
