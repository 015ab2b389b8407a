// Runs programs in several Workers at once.

import type { Change } from "./module.ts";
import { addTally, type Failure, newTally, type Tally } from "./runner.ts";
import type { Order, Report, Seeds } from "./worker.ts";

/** A Worker that says nothing for so long after its time is stuck: no program takes long, nor does making it smaller. */
const STUCK_MS = 30_000;

/** Which programs are run, and for how long. */
export interface SimulateOptions {
  /** The first one, or all of them. */
  readonly seeds: number | readonly number[];
  readonly milliseconds: number;
  /** Mistakes that are put into the module. */
  readonly changes?: readonly Change[];
  /** A real directory in which they run; default a simulated kernel. */
  readonly directory?: string | undefined;
  /** Each Worker stops after so many failures. */
  readonly mostFailures?: number;
  readonly workers?: number;
  readonly shrinks?: boolean;
}

/** Runs programs in as many Workers as there are processors. */
export async function simulateInWorkers(options: SimulateOptions): Promise<Report> {
  const { seeds, milliseconds, changes = [], mostFailures = 5, shrinks = true } = options;
  const { directory } = options;
  // The working directory is the process's.
  const { workers = directory === undefined ? navigator.hardwareConcurrency : 1 } = options;
  const seedsOf = (index: number): Seeds =>
    typeof seeds === "number"
      ? { first: seeds + index, stride: workers }
      : seeds.filter((_, at) => at % workers === index);
  const reports = await Promise.all(
    Array.from({ length: workers }, (_, index) =>
      runInWorker({
        seeds: seedsOf(index),
        milliseconds,
        changes,
        directory,
        mostFailures,
        shrinks,
      })),
  );
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

/** The command that runs a program again that failed. */
export function commandOf({ seed, steps }: Failure, directory?: string): string {
  const chosen = steps === undefined ? "" : ` --steps ${steps.join(",")}`;
  const place = directory === undefined ? "" : ` --real ${directory}`;
  return `deno task simulate${place} --seed ${seed}${chosen} --trace`;
}

export function describeTally({ programs, operations, faults, cuts }: Tally): string {
  const counts = Object.entries({ programs, operations, faults, "power cuts": cuts });
  return counts.map(([what, count]) => `${count.toLocaleString("en")} ${what}`).join(", ");
}
