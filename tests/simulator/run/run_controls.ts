// Searches for deliberate mistakes.

import type { Control } from "../controls.ts";
import { simulateInWorkers } from "./simulate.ts";

/** The finding of a control. */
export interface Finding {
  readonly control: Control;
  /** The number of operations until the finding. */
  readonly operations: number;
  /** The broken promise; undefined if the mistake was not found. */
  readonly broken: string | undefined;
  /** The seed of the program. */
  readonly seed: number | undefined;
}

/** Searches for one mistake, for so long. The same seeds give the same finding. */
export async function findControl(
  control: Control,
  milliseconds: number,
): Promise<Finding> {
  const { changes } = control;
  const options = { seeds: 1, workers: 1, stopsAtFirst: true, milliseconds, changes };
  const { tally: { operations }, failures: [failure] } = await simulateInWorkers(options);
  const broken = failure && (failure.promise ?? failure.message);
  return { control, operations, broken, seed: failure?.seed };
}

/** Searches for all mistakes, as many at once as there are processors. Reports each finding. */
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
