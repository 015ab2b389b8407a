// What is left to do with a file when its writer closes, handed to the kernel as one chain.

import { type ChainStep, inChain } from "../engine/chain.ts";
import { type Completion, type Engine, outcome } from "../engine/engine.ts";
import { Errno } from "../errors.ts";

/** What a step does, as in the error of its failure. */
export type LastStep = "truncate" | "sync" | "close";

/** The close of a descriptor as the last step. */
export interface LastClose {
  /** Whether nothing but the writer uses the descriptor. If so, nothing else can from here on. */
  claim(): boolean;
  /** Queues it. It must have been claimed. */
  queue(done: Completion): void;
  /** To be called with its result. `-ECANCELED` says that it was not reached: the file is open again. */
  over(result: number): void;
}

/** Steps that follow the last write. */
export class LastSteps {
  readonly #engine: Engine;
  readonly #steps: ChainStep[] = [];
  readonly #queues = new Map<LastStep, (done: Completion) => void>();
  readonly #overs = new Map<LastStep, (result: number) => void>();
  readonly #results = new Map<LastStep, number>();

  /** `rest` is the last write, where it is still to be made: its result goes to it. */
  constructor(engine: Engine, rest: ChainStep | undefined) {
    this.#engine = engine;
    if (rest) this.#steps.push(rest);
  }

  /** The steps that were not taken because one before them was cut short. */
  get notReached(): LastStep[] {
    return [...this.#queues.keys()].filter((name) => this.#results.get(name) === -Errno.ECANCELED);
  }

  /** Adds a step. `over` gets each result of it, at once. */
  add(
    name: LastStep,
    queue: (done: Completion) => void,
    over: (result: number) => void = () => {},
  ): void {
    this.#queues.set(name, queue);
    this.#overs.set(name, over);
    const complete = (result: number) => {
      this.#results.set(name, result);
      over(result);
    };
    this.#steps.push({ queue, done: { complete }, whole: 0 });
  }

  /** Hands the chain over. When its last step is over, or was not reached, `note` gets what became of each. */
  async begin(note: (name: LastStep, result: number) => void): Promise<void> {
    const final = this.#steps.at(-1);
    if (!final) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const { done } = final;
    final.done = {
      complete: (result) => {
        done.complete(result);
        resolve();
      },
    };
    inChain(this.#engine, this.#steps);
    this.#engine.submit();
    await promise;
    for (const [name, result] of this.#results) if (result !== -Errno.ECANCELED) note(name, result);
  }

  /** Takes a step by itself. Resolves to its result. */
  async retry(name: LastStep): Promise<number> {
    const queued = outcome(this.#queues.get(name)!);
    this.#engine.submit();
    const result = await queued;
    this.#overs.get(name)!(result);
    return result;
  }
}
