// Runs programs in a Worker: one seed after the other, until it is told to stop.

import type { Change } from "./module.ts";
import { addTally, type Failure, newTally, Runner, type Tally } from "./runner.ts";
import { brokenPromise } from "./shrink.ts";

/** What a Worker is told to do. */
export interface Order {
  readonly first: number;
  /** Its seeds are so far apart. */
  readonly stride: number;
  readonly milliseconds: number;
  readonly changes: readonly Change[];
  /** It stops after so many failures. */
  readonly mostFailures: number;
  /** Whether a failure is made smaller. */
  readonly shrinks: boolean;
  /** Where it writes the seed that it is at, for whoever finds it stuck. */
  readonly current: Float64Array<SharedArrayBuffer>;
}

/** What a Worker tells. */
export interface Report {
  readonly tally: Tally;
  readonly failures: readonly Failure[];
}

async function runSeeds(order: Order): Promise<Report> {
  const { first, stride, milliseconds, changes, mostFailures, shrinks } = order;
  const runner = await Runner.load(changes);
  const tally = newTally();
  const failures: Failure[] = [];
  // performance.now() stands still here.
  const until = Date.now() + milliseconds;
  for (let seed = first; Date.now() < until; seed += stride) {
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
