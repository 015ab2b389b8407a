// Looks for mistakes that were made on purpose.

import type { Control } from "../controls.ts";
import { simulateInWorkers } from "./simulate.ts";

/** How a control was found. */
export interface Finding {
  readonly control: Control;
  /** Operations up to there. */
  readonly operations: number;
  /** What was broken; undefined where it was not found. */
  readonly broken: string | undefined;
  /** The program that found it. */
  readonly seed: number | undefined;
}

/** Looks for one mistake, for so long. The same seeds give the same finding. */
export async function findControl(
  control: Control,
  milliseconds: number,
  directory?: string,
): Promise<Finding> {
  const { changes } = control;
  const options = { seeds: 1, workers: 1, stopsAtFirst: true, milliseconds, changes, directory };
  const { tally: { operations }, failures: [failure] } = await simulateInWorkers(options);
  const broken = failure && (failure.promise ?? failure.message);
  return { control, operations, broken, seed: failure?.seed };
}

/** Looks for all of them, as many at once as there are processors. Tells of each when it is over. */
export async function findControls(
  controls: readonly Control[],
  milliseconds: number,
  tell: (finding: Finding) => void,
): Promise<void> {
  const waiting = [...controls];
  const work = async () => {
    for (let control; (control = waiting.shift());) tell(await findControl(control, milliseconds));
  };
  await Promise.all(Array.from({ length: navigator.hardwareConcurrency }, work));
}
