// The figures of a contestant after its rounds, and the files in which they end.

import { fileURLToPath } from "node:url";
import type { Contestant, Group, Outcome } from "./contestant.ts";
import type { MachineFacts } from "./machine.ts";
import type { ProcessCost } from "./measured_process.ts";
import { median, percentile } from "./statistics.ts";
import { GIB, MIB } from "./units.ts";

/** One run, as measured. */
export interface Sample {
  /** From before the open to after the close, or the whole process if the program does not report that. */
  readonly seconds: number;
  /** The whole process. */
  readonly wall: number;
  readonly cpu: number;
  readonly bytes: number;
  readonly count: number;
  readonly peakMemory: number | undefined;
  readonly cached: number | undefined;
  /** Cores that were busy outside of the process meanwhile: by the kernel's write-back, and by other programs. */
  readonly elsewhere: number;
}

/** The figures of a contestant: medians over its rounds. */
export interface Result {
  readonly id: string;
  readonly group: Group;
  readonly label: string;
  readonly settings: string;
  /** In MiB/s; in files or million records a second; in the group "start", milliseconds of the process. */
  readonly rate: number;
  /** The slowest and the fastest round. */
  readonly range: readonly [number, number];
  readonly wall: number;
  /** CPU seconds, user and system, of the process and all it started. */
  readonly cpu: number;
  readonly cpuPerGib: number | undefined;
  /** Bytes of the file in the page cache afterwards. */
  readonly cached: number | undefined;
  readonly peakMemory: number | undefined;
  /** The delay of ticks of a 1 ms timer in milliseconds, over all rounds. */
  readonly delay?: { readonly p50: number; readonly p99: number; readonly max: number };
  readonly samples: readonly Sample[];
}

/** A whole comparison, in the form of the result file. */
export interface Report {
  readonly machine: MachineFacts;
  readonly size: number;
  readonly rounds: number;
  readonly results: readonly Result[];
}

/** The figures of one run, from the measured process and the program's own report. */
export function sampleOf(
  cost: ProcessCost,
  outcome: Outcome,
  cached: number | undefined,
  elsewhere: number,
): Sample {
  return {
    seconds: outcome.seconds ?? cost.wall,
    wall: cost.wall,
    cpu: cost.user + cost.system,
    bytes: outcome.bytes ?? 0,
    count: outcome.count ?? 0,
    peakMemory: cost.peakMemory,
    cached,
    elsewhere,
  };
}

/** The unit of a rate. */
export const RATE_UNITS: Readonly<Record<Group, string>> = {
  start: "ms",
  write: "MiB/s",
  read: "MiB/s",
  copy: "MiB/s",
  records: "M records/s",
  random: "operations/s",
  ranges: "ranges/s",
  files: "files/s",
  writers: "MiB/s",
  blocks: "writes/s",
};

/** The rate of one run. */
export function rateOf(group: Group, { seconds, wall, bytes, count }: Sample): number {
  switch (group) {
    case "start":
      return wall * 1000;
    case "records":
      return count / seconds / 1e6;
    case "files":
    case "random":
    case "ranges":
    case "blocks":
      return count / seconds;
    default:
      return bytes / MIB / seconds;
  }
}

/** Groups whose rate counts operations instead of bytes. */
const COUNTED: ReadonlySet<Group> = new Set(["files", "blocks", "random", "ranges"]);

/** The median of the figures; undefined if there are none. */
function known(values: readonly (number | undefined)[]): number | undefined {
  const there = values.filter((value) => value !== undefined);
  return there.length === 0 ? undefined : median(there);
}

/** The figures of a contestant. */
export function resultOf(
  contestant: Contestant,
  samples: readonly Sample[],
  delays: readonly number[],
): Result {
  const { id, group, label, settings } = contestant;
  const rates = samples.map((sample) => rateOf(group, sample));
  return {
    id,
    group,
    label,
    settings,
    rate: median(rates),
    range: [Math.min(...rates), Math.max(...rates)],
    wall: median(samples.map(({ wall }) => wall)),
    cpu: median(samples.map(({ cpu }) => cpu)),
    cpuPerGib: known(
      samples.map(({ cpu, bytes }) =>
        bytes > 0 && !COUNTED.has(group) ? cpu / bytes * GIB : undefined
      ),
    ),
    cached: known(samples.map(({ cached }) => cached)),
    peakMemory: known(samples.map(({ peakMemory }) => peakMemory)),
    ...(delays.length > 0 && {
      delay: {
        p50: percentile(delays, 0.5),
        p99: percentile(delays, 0.99),
        max: percentile(delays, 1),
      },
    }),
    samples,
  };
}

/** Writes results as JSON and as text into the folder of results. Resolves to their path without an ending. */
export async function writeResults(name: string, results: unknown, text: string): Promise<string> {
  const base = fileURLToPath(new URL(`../results/${name}`, import.meta.url));
  await Deno.mkdir(new URL("../results/", import.meta.url), { recursive: true });
  await Deno.writeTextFile(`${base}.json`, `${JSON.stringify(results, undefined, 1)}\n`);
  await Deno.writeTextFile(`${base}.md`, text);
  console.log(text);
  console.error(`Written: ${base}.json, ${base}.md`);
  return base;
}
