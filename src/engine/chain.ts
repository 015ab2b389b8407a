// Operations that follow each other without coming back to JavaScript in between.

import { type Completion, type Engine, outcome } from "./engine.ts";

/** One operation of a chain. */
export interface ChainStep {
  /** Queues it. */
  queue(done: Completion): void;
  /** Gets its result. */
  done: Completion;
  /** The least result with which the next one may begin. */
  whole: number;
}

const ECANCELED = 125;

/**
 * Queues steps so that each begins only when the one before it went wholly right. Those behind one that did not end
 * with `-ECANCELED`.
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
