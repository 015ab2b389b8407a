// Runs programs in several Workers at once.

import type { Control } from "../controls.ts";
import type { Change } from "./module.ts";
import type { Failure } from "./runner.ts";
import { addTally, type Tally } from "./simulate_program.ts";

/** A Worker without a report for so long after its time hangs: no program takes long, nor does its reduction. */
const STUCK_MS = 30_000;

export interface Runs {
  /** The first seed, or all of them. */
  readonly seeds: number | readonly number[];
  readonly milliseconds: number;
  readonly changes?: readonly Change[];
  /** The directory in which each operation is performed on the real kernel too. */
  readonly real?: string | undefined;
  /** Whether to stop at the first failure, without reducing it. */
  readonly stopsAtFirst?: boolean;
}

/** The programs of one Worker: those of every `stride`-th seed. */
export interface Order {
  readonly runs: Runs;
  readonly index: number;
  readonly stride: number;
  /** The memory for the current seed, in case the Worker hangs. */
  readonly current: Float64Array<SharedArrayBuffer>;
}

export interface Report {
  readonly tally: Tally;
  readonly failures: Failure[];
}

export function emptyReport(): Report {
  return { tally: { programs: 0, operations: 0, faults: 0, cuts: 0 }, failures: [] };
}

/** Runs programs in as many Workers as there are processors. */
export async function simulateInWorkers(runs: Runs, stride = navigator.hardwareConcurrency) {
  const all = Array.from({ length: stride }, (_, index) => runInWorker(runs, index, stride));
  return (await Promise.all(all)).reduce((sum, { tally, failures }) => ({
    tally: addTally(sum.tally, tally),
    failures: [...sum.failures, ...failures],
  }), emptyReport());
}

function runInWorker(runs: Runs, index: number, stride: number): Promise<Report> {
  const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
  const current = new Float64Array(new SharedArrayBuffer(8));
  const { promise, resolve, reject } = Promise.withResolvers<Report>();
  const timer = setTimeout(() => {
    const [seed = 0] = current;
    const message = "a call that blocks the JavaScript thread never returns";
    const failure = { seed, message, promise: undefined, steps: undefined };
    resolve({ ...emptyReport(), failures: [failure] });
  }, runs.milliseconds + STUCK_MS);
  worker.onmessage = ({ data }: MessageEvent<Report>) => resolve(data);
  worker.onerror = (event) => {
    event.preventDefault();
    reject(new Error(event.message));
  };
  worker.postMessage({ runs, index, stride, current } satisfies Order);
  return promise.finally(() => {
    clearTimeout(timer);
    worker.terminate();
  });
}

/** Searches for one mistake, for so long. The same seeds give the same report, with one failure if it is found. */
export function findControl({ changes }: Control, milliseconds: number): Promise<Report> {
  return simulateInWorkers({ seeds: 1, stopsAtFirst: true, milliseconds, changes }, 1);
}

/** Searches for all mistakes, as many at once as there are processors. Reports each. */
export async function findControls(
  controls: readonly Control[],
  milliseconds: number,
  tell: (control: Control, report: Report) => void,
): Promise<void> {
  const waiting = [...controls];
  const work = async () => {
    for (let next; (next = waiting.shift());) tell(next, await findControl(next, milliseconds));
  };
  await Promise.all(Array.from({ length: navigator.hardwareConcurrency }, work));
}

/** The command that repeats a failed program. */
export function commandOf({ seed, steps }: Failure, real?: string): string {
  const chosen = steps === undefined ? "" : ` --steps ${steps.join(",")}`;
  const where = real === undefined ? "" : ` --real ${real}`;
  return `deno task simulate --seed ${seed}${chosen}${where} --trace`;
}

export function tallyText({ programs, operations, faults, cuts }: Tally): string {
  const counts = Object.entries({ programs, operations, faults, "power cuts": cuts });
  return counts.map(([what, count]) => `${count.toLocaleString("en")} ${what}`).join(", ");
}
