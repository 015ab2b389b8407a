// What is known of a contestant after its rounds.

import type { Contestant, Group, Outcome } from "./contestant.ts";
import type { MachineFacts } from "./machine.ts";
import type { ProcessCost } from "./measured_process.ts";
import { median, percentile } from "./statistics.ts";
import { GIB, MIB } from "./units.ts";

/** One run, as measured. */
export interface Sample {
  /** From before the open to after the close, or the whole process where the program does not say. */
  readonly seconds: number;
  /** The whole process. */
  readonly wall: number;
  readonly cpu: number;
  readonly bytes: number;
  readonly count: number;
  readonly peakMemory: number | undefined;
  readonly cached: number | undefined;
  /** Cores that were busy outside of the process meanwhile: the kernel's write-back, and other programs. */
  readonly elsewhere: number;
}

/** The figures of a contestant: medians over its rounds. */
export interface Result {
  readonly id: string;
  readonly group: Group;
  readonly label: string;
  readonly settings: string;
  /** MiB/s; files or million records a second; milliseconds of the process in the group "start". */
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
  /** Milliseconds by which ticks of a 1 ms timer were late, over all rounds. */
  readonly delay?: { readonly p50: number; readonly p99: number; readonly max: number };
  readonly samples: readonly Sample[];
}

/** A whole comparison, as it is written to disk. */
export interface Report {
  readonly machine: MachineFacts;
  readonly size: number;
  readonly rounds: number;
  readonly results: readonly Result[];
}

/** One run, from what the process cost and what the program said. */
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

/** What a rate is counted in. */
export const RATE_UNITS: Readonly<Record<Group, string>> = {
  start: "ms",
  write: "MiB/s",
  read: "MiB/s",
  copy: "MiB/s",
  records: "M records/s",
  random: "operations/s",
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
    case "blocks":
      return count / seconds;
    default:
      return bytes / MIB / seconds;
  }
}

/** Groups in which the number of operations is what matters, and not that of bytes. */
const COUNTED: ReadonlySet<Group> = new Set(["files", "blocks", "random"]);

/** Medians, where there is a figure. */
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
