// Runs programs in several Workers at once.

import { addTally, type Failure, newTally } from "./runner.ts";
import type { Tally } from "./simulate_program.ts";
import type { Manner, Order, Report, Seeds } from "./worker.ts";

/** A Worker without a report for so long after its time hangs: no program takes long, nor does its reduction. */
const STUCK_MS = 30_000;

/** The programs to run, and the options of the runs. */
export interface SimulateOptions extends Manner {
  /** The first seed, or all of them. */
  readonly seeds: number | readonly number[];
  readonly workers?: number;
}

/** Runs programs in as many Workers as there are processors. */
export async function simulateInWorkers(options: SimulateOptions): Promise<Report> {
  const { seeds, workers = navigator.hardwareConcurrency, ...manner } = options;
  const seedsOf = (index: number): Seeds =>
    typeof seeds === "number"
      ? { first: seeds + index, stride: workers }
      : seeds.filter((_, at) => at % workers === index);
  const orders = Array.from({ length: workers }, (_, at) => ({ ...manner, seeds: seedsOf(at) }));
  const reports = await Promise.all(orders.map(runInWorker));
  const tally = newTally();
  for (const report of reports) addTally(tally, report.tally);
  return { tally, failures: reports.flatMap(({ failures }) => failures) };
}

function runInWorker(order: Omit<Order, "current">): Promise<Report> {
  const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
  const current = new Float64Array(new SharedArrayBuffer(8));
  let timer: ReturnType<typeof setTimeout> | undefined;
  return new Promise<Report>((resolve, reject) => {
    timer = setTimeout(() => {
      const [seed = 0] = current;
      const message = "a call that blocks the JavaScript thread never returns";
      const failure = { seed, message, promise: undefined, steps: undefined };
      resolve({ tally: newTally(), failures: [failure] });
    }, order.milliseconds + STUCK_MS);
    worker.addEventListener("message", ({ data }: MessageEvent<Report>) => resolve(data));
    worker.addEventListener("error", (event) => {
      event.preventDefault();
      reject(new Error(event.message));
    });
    worker.postMessage({ ...order, current });
  }).finally(() => {
    clearTimeout(timer);
    worker.terminate();
  });
}

/** The command that repeats a failed program. */
export function commandOf({ seed, steps }: Failure): string {
  const chosen = steps === undefined ? "" : ` --steps ${steps.join(",")}`;
  return `deno task simulate --seed ${seed}${chosen} --trace`;
}

export function describeTally({ programs, operations, faults, cuts }: Tally): string {
  const counts = Object.entries({ programs, operations, faults, "power cuts": cuts });
  return counts.map(([what, count]) => `${count.toLocaleString("en")} ${what}`).join(", ");
}
