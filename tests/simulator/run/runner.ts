// Runs programs in this isolate, one after the other.

import type { Finalizers } from "../program/finalizers.ts";
import { makeDeterministic } from "./deterministic.ts";
import { type Change, type LoadedModule, loadModule } from "./module.ts";
import { brokenPromise, shrink } from "./shrink.ts";
import { openRealEngine } from "./real_engine.ts";
import { programOf, type RealPlace, simulate, type SimulationResult } from "./simulate_program.ts";

/** A program that broke a promise. */
export interface Failure {
  readonly seed: number;
  readonly message: string;
  /** The promise; undefined where an error came from inside. */
  readonly promise: string | undefined;
  /** The steps that it takes; undefined for all. */
  readonly steps: readonly number[] | undefined;
}

export interface Tally {
  programs: number;
  operations: number;
  faults: number;
  cuts: number;
}

export function newTally(): Tally {
  return { programs: 0, operations: 0, faults: 0, cuts: 0 };
}

/** Adds what other programs came to. */
export function addTally(sum: Tally, { programs, operations, faults, cuts }: Tally): void {
  sum.programs += programs;
  sum.operations += operations;
  sum.faults += faults;
  sum.cuts += cuts;
}

/** Runs programs over one loaded module. An isolate has one runner. */
export class Runner {
  #module: LoadedModule;
  readonly #finalizers: Finalizers;
  readonly #changes: readonly Change[];
  readonly #real: RealPlace | undefined;

  private constructor(
    module: LoadedModule,
    finalizers: Finalizers,
    changes: readonly Change[],
    real: RealPlace | undefined,
  ) {
    this.#module = module;
    this.#finalizers = finalizers;
    this.#changes = changes;
    this.#real = real;
  }

  /** Makes this isolate deterministic, and loads the module with these changes. Programs run in a real directory, if any. */
  static async load(changes: readonly Change[] = [], directory?: string): Promise<Runner> {
    const finalizers = makeDeterministic(directory === undefined);
    const real = directory === undefined ? undefined : { directory, engine: openRealEngine() };
    return new Runner(await loadModule(changes), finalizers, changes, real);
  }

  /** Runs the program of a seed, or these steps of it. */
  async run(
    seed: number,
    steps?: readonly number[],
    trace?: (line: string) => void,
  ): Promise<SimulationResult> {
    const result = await simulate({
      seed,
      steps,
      trace,
      module: this.#module,
      finalizers: this.#finalizers,
      real: this.#real,
    });
    // The module still knows the files that a program has left open.
    if (result.failure) this.#module = await loadModule(this.#changes, true);
    return result;
  }

  /** The fewest steps with which the program of a seed still breaks the same promise. */
  async shrink(seed: number, failure: Error): Promise<Failure> {
    const promise = brokenPromise(failure);
    let { message } = failure;
    const steps = await shrink(programOf(seed).steps.map(({ id }) => id), async (fewer) => {
      const again = (await this.run(seed, fewer)).failure;
      const isSame = again !== undefined && brokenPromise(again) === promise;
      if (isSame) message = again.message;
      return isSame;
    });
    return { seed, message, promise, steps };
  }
}
