// Makes a program that fails smaller: steps are left out as long as the same promise breaks.

import type { PromiseName } from "../oracle/promises.ts";
import { Violation } from "../oracle/promises.ts";

/** The promise that a failure breaks; undefined for an error that the module or the simulator threw itself. */
export function brokenPromise(failure: Error): PromiseName | undefined {
  return failure instanceof Violation ? failure.promise : undefined;
}

/** The steps that are left when no part of them can be left out. `fails` runs a program of some of them. */
export async function shrink(
  steps: readonly number[],
  fails: (steps: readonly number[]) => Promise<boolean>,
): Promise<readonly number[]> {
  let left = steps;
  let size = Math.ceil(left.length / 2);
  for (;;) {
    let isSmaller = false;
    for (let at = 0; at < left.length;) {
      const fewer = [...left.slice(0, at), ...left.slice(at + size)];
      if (await fails(fewer)) {
        left = fewer;
        isSmaller = true;
      } else at += size;
    }
    if (size === 1 && !isSmaller) return left;
    size = Math.max(1, Math.floor(size / 2));
  }
}
