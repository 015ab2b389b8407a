// Runs programs in this isolate, one after the other.

import { Mirror } from "../kernel/mirror.ts";
import { type PromiseName, Violation } from "../oracle/promises.ts";
import { makeDeterministic } from "./deterministic.ts";
import type { ModuleUnderTest } from "../program/session.ts";
import { type Change, loadModule } from "./module.ts";
import { simulate, type SimulationResult } from "./simulate_program.ts";

export interface Failure {
  readonly seed: number;
  readonly message: string;
  /** The promise; undefined for an internal error. */
  readonly promise: string | undefined;
  /** The required steps; undefined for all. */
  readonly steps: readonly number[] | undefined;
}

/** Runs programs over one loaded module. An isolate has one runner. */
export class Runner {
  private constructor(
    readonly changes: readonly Change[],
    public module: ModuleUnderTest,
    readonly mirror: Mirror | undefined,
  ) {}

  /** Makes this isolate deterministic, and loads the module. Operations are performed in `real` too, if it is given. */
  static async load(changes: readonly Change[] = [], real?: string): Promise<Runner> {
    const mirror = real === undefined ? undefined : new Mirror(real);
    makeDeterministic();
    return new Runner(changes, await loadModule(changes), mirror);
  }

  /** Runs the program of a seed, or these steps of it. */
  async run(seed: number, steps?: readonly number[], trace?: (line: string) => void) {
    const result = await simulate({ seed, steps, module: this.module, mirror: this.mirror, trace });
    // The module still has the files that a program has left open.
    if (result.failure) this.module = await loadModule(this.changes, true);
    return result;
  }

  /** Describes a failed program; with `shrinks` with the fewest steps that break the same promise. */
  async describe(seed: number, result: SimulationResult, shrinks: boolean): Promise<Failure> {
    const promise = brokenPromise(result);
    let { message } = result.failure!;
    if (!shrinks) return { seed, message, promise, steps: undefined };
    const steps = await shrink(result.steps, async (fewer) => {
      const again = await this.run(seed, fewer);
      const isSame = again.failure !== undefined && brokenPromise(again) === promise;
      if (isSame) message = again.failure.message;
      return isSame;
    });
    return { seed, message, promise, steps };
  }
}

/** The promise that a program breaks; undefined for an error that the module or the simulator threw itself. */
function brokenPromise({ failure }: SimulationResult): PromiseName | undefined {
  return failure instanceof Violation ? failure.promise : undefined;
}

/** The minimal list of steps: no part of them can be omitted. `fails` runs a program of some of the steps. */
async function shrink(
  steps: readonly number[],
  fails: (steps: readonly number[]) => Promise<boolean>,
): Promise<readonly number[]> {
  let left = steps;
  for (let size = Math.ceil(left.length / 2);; size = Math.max(1, size >> 1)) {
    const before = left.length;
    for (let at = 0; at < left.length;) {
      const fewer = [...left.slice(0, at), ...left.slice(at + size)];
      if (await fails(fewer)) left = fewer;
      else at += size;
    }
    if (size === 1 && left.length === before) return left;
  }
}
