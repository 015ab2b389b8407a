// Measures the gain of each part of the engine: the same work runs without one part. A library between the module and
// liburing makes the kernel refuse that part, so the module behaves as on a kernel that lacks it. Epoll goes with Node's
// handles.
//
//     deno task bench:ring [--size=1GiB] [--rounds=5] [--dir=/var/tmp]

import { library } from "../tests/faults/tools.ts";
import { type Pairs, programsOf } from "./contestants/programs.ts";
import type { Contestant, Group } from "./harness/contestant.ts";
import { benchDirectory } from "./harness/bench_directory.ts";
import { machineFacts } from "./harness/machine.ts";
import { factLines, markdownTable } from "./harness/markdown.ts";
import { parseOptions } from "./harness/options.ts";
import { RATE_UNITS, type Result } from "./harness/result.ts";
import { courseIn, runRounds } from "./harness/rounds.ts";
import { writeSource } from "./harness/files.ts";
import { median } from "./harness/statistics.ts";
import { ONLY_DENO } from "./harness/tools.ts";
import { KIB, showNumber } from "./harness/units.ts";

const DEFER_TASKRUN = 1 << 13;
const EINVAL = 22;

/** The variants, and the variables for tests/tools/old_kernel.c or programs/dma.ts that remove a part. */
const VARIANTS: readonly [name: string, env: Readonly<Record<string, string | number>>][] = [
  ["as it is", {}],
  ["without DEFER_TASKRUN", { OLD_KERNEL_SETUP: DEFER_TASKRUN }],
  ["buffers not registered", { OLD_KERNEL_SPARSE: EINVAL }],
  ["woken by a parked thread, not by epoll", { BENCH_WITHOUT_EPOLL: 1 }],
  ["the threads engine", { DMA_ENGINE: "threads" }],
];

/** The work that each variant does. */
const JOBS: Readonly<Record<string, readonly [group: Group, job: string, pairs?: Pairs]>> = {
  "pipeTo, 1 MiB × 4": ["write", "pipe"],
  "pipeTo, 128 KiB × 4": ["write", "pipe", { bufferSize: 128 * KIB, depth: 4 }],
  "for await, 1 MiB × 4": ["read", "forAwait"],
  "writeAt, 4 KiB, one by one": ["blocks", "blocks", { chunk: 4 * KIB, count: 5000 }],
};

const say = (line: string) => console.error(line);
const options = parseOptions(Deno.args);
const { rounds } = options;
const between = await library("old_kernel");

function contestant(variant: number, name: string): Contestant {
  const [settings, env] = VARIANTS[variant]!;
  const [group, job, pairs] = JOBS[name]!;
  const plain = programsOf(group).dma(`${name}, ${settings}`, job, name, settings, pairs);
  const set = Object.entries({ DMA_LIBURING: between, ...env }).map(([name, value]) =>
    `${name}=${value}`
  );
  return {
    ...plain,
    command(run) {
      const command = plain.command(run);
      return command && ["env", ...set, ...command];
    },
  };
}

const course = courseIn(benchDirectory(options.directory), ONLY_DENO, options);
const results = new Map<string, Result[]>();
await writeSource(course.source, course.size);
for (const job of Object.keys(JOBS)) {
  const all = VARIANTS.map((_, variant) => contestant(variant, job));
  results.set(job, await runRounds(all, course, rounds, say));
}

/** The rate, its ratio to the first variant in the same round, and CPU time. */
function cell(result: Result, first: Result): string {
  const ratios = result.samples.map((sample, round) =>
    first.samples[round]!.seconds / sample.seconds
  );
  const cpu = result.cpuPerGib === undefined ? "" : `, ${showNumber(result.cpuPerGib)} s/GiB`;
  return `${showNumber(result.rate)} (${median(ratios).toFixed(2)}${cpu})`;
}

const jobs = [...results.keys()];
const unit = (job: string) => RATE_UNITS[JOBS[job]![0]];
console.log(`Medians of ${rounds} alternating rounds; in brackets the ratio to the first line, pair
by pair, and CPU seconds a GiB with the start of Deno.\n`);
for (const line of factLines(await machineFacts(course.directory, ONLY_DENO))) console.log(line);
const heads = ["", ...jobs.map((job) => `${job}, ${unit(job)}`)];
const rows = VARIANTS.map(([name], variant) => [
  name,
  ...jobs.map((job) => cell(results.get(job)![variant]!, results.get(job)![0]!)),
]);
console.log(`\n${markdownTable(heads, rows)}`);
