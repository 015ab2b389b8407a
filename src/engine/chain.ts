// Operations that follow each other without coming back to JavaScript in between.

import { type Completion, type Engine, outcome } from "./engine.ts";

/** One operation of a chain. */
export interface ChainStep {
  /** Queues it. */
  queue(done: Completion): void;
  /** Gets its result. */
  done: Completion;
  /** The least result with which it counts as done. */
  whole: number;
}

const ECANCELED = 125;

/**
 * Queues steps that run one after the other. Steps behind a write that did not do everything end with `-ECANCELED`. Behind
 * any other step that failed they may run or not: io_uring goes on behind a failed `fsync` or `ftruncate`.
 */
export function inChain(engine: Engine, steps: readonly ChainStep[]): void {
  if (!engine.chain?.(steps)) oneByOne(steps);
}

async function oneByOne(steps: readonly ChainStep[]): Promise<void> {
  let broken = false;
  for (const { queue, done, whole } of steps) {
    const result: number = broken ? -ECANCELED : await outcome(queue);
    broken ||= result < whole;
    done.complete(result);
  }
}
