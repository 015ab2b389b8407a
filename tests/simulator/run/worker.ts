// Runs programs in a Worker: one seed after the other, until it is told to stop.

import type { Change } from "./module.ts";
import { addTally, brokenPromise, type Failure, newTally, Runner, type Tally } from "./runner.ts";

/** These seeds, or as many as there is time for. */
export type Seeds = readonly number[] | { readonly first: number; readonly stride: number };

/** How programs are run. */
export interface Manner {
  readonly milliseconds: number;
  /** Mistakes that are put into the module. */
  readonly changes?: readonly Change[];
  /** A real directory in which they run; default a simulated kernel. */
  readonly directory?: string | undefined;
  /** A Worker stops after so many failures. */
  readonly mostFailures?: number;
  /** Whether a failure is made smaller. */
  readonly shrinks?: boolean;
}

export interface Order extends Manner {
  readonly seeds: Seeds;
  /** Where it writes the seed that it is at, for whoever finds it stuck. */
  readonly current: Float64Array<SharedArrayBuffer>;
}

export interface Report {
  readonly tally: Tally;
  readonly failures: readonly Failure[];
}

function* all(seeds: Seeds): Generator<number> {
  if (!("first" in seeds)) return yield* seeds;
  for (let seed = seeds.first;; seed += seeds.stride) yield seed;
}

async function runSeeds(order: Order): Promise<Report> {
  const { milliseconds, changes, directory, mostFailures = 5, shrinks = true } = order;
  const runner = await Runner.load(changes, directory);
  const tally = newTally();
  const failures: Failure[] = [];
  // performance.now() stands still here.
  const until = Date.now() + milliseconds;
  for (const seed of all(order.seeds)) {
    if (Date.now() > until) break;
    order.current[0] = seed;
    const { operations, faults, cuts, failure } = await runner.run(seed);
    addTally(tally, { programs: 1, operations, faults, cuts });
    if (!failure) continue;
    failures.push(
      shrinks
        ? await runner.shrink(seed, failure)
        : { seed, message: failure.message, promise: brokenPromise(failure), steps: undefined },
    );
    if (failures.length >= mostFailures) break;
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
