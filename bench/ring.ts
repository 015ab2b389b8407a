// Measures the gain of each part of the engine: the same work runs without one part. A library between the module and
// liburing makes the kernel refuse that part, so the module behaves as on a kernel that lacks it. Epoll goes with Node's
// handles.
//
//     deno task bench:ring [--size=1GiB] [--rounds=5] [--dir=/var/tmp]

import { library } from "../tests/faults/tools.ts";
import { programContestant } from "./contestants/programs.ts";
import type { Contestant } from "./harness/contestant.ts";
import { benchDirectory } from "./harness/bench_directory.ts";
import { machineFacts } from "./harness/machine.ts";
import { parseOptions } from "./harness/options.ts";
import { RATE_UNITS, type Result } from "./harness/result.ts";
import { runRounds } from "./harness/rounds.ts";
import { writeSource } from "./harness/source.ts";
import { median } from "./harness/statistics.ts";
import { ONLY_DENO } from "./harness/tools.ts";
import { KIB, showNumber } from "./harness/units.ts";

const DEFER_TASKRUN = 1 << 13;
const COOP_TASKRUN = 1 << 8;
const EINVAL = 22;

/** The variants, and the variables for tests/tools/old_kernel.c or programs/dma.ts that remove a part. */
const VARIANTS: readonly [name: string, env: Readonly<Record<string, string | number>>][] = [
  ["as it is", {}],
  ["COOP_TASKRUN instead of DEFER_TASKRUN", { OLD_KERNEL_SETUP: DEFER_TASKRUN }],
  ["neither of them", { OLD_KERNEL_SETUP: DEFER_TASKRUN | COOP_TASKRUN }],
  ["buffers not registered", { OLD_KERNEL_SPARSE: EINVAL }],
  ["woken by a parked thread, not by epoll", { BENCH_WITHOUT_EPOLL: 1 }],
  ["the threads engine", { DMA_ENGINE: "threads" }],
];

type Facts = Parameters<typeof programContestant>[0];

/** The work that each variant does. */
const JOBS: Readonly<Record<string, Pick<Facts, "group" | "job" | "pairs">>> = {
  "pipeTo, 1 MiB × 4": { group: "write", job: "pipe" },
  "pipeTo, 128 KiB × 4": {
    group: "write",
    job: "pipe",
    pairs: { bufferSize: 128 * KIB, depth: 4 },
  },
  "for await, 1 MiB × 4": { group: "read", job: "forAwait" },
  "writeAt, 4 KiB, one by one": {
    group: "blocks",
    job: "blocks",
    pairs: { chunk: 4 * KIB, count: 5000 },
  },
};

const say = (line: string) => console.error(line);
const { size, rounds, patience, directory: parent } = parseOptions(Deno.args);
const between = await library("old_kernel");

function contestant(variant: number, job: string): Contestant {
  const [settings, env] = VARIANTS[variant]!;
  const facts = { id: `${job}, ${settings}`, label: job, settings, runtime: "dma", ...JOBS[job]! };
  const plain = programContestant(facts as Facts);
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

const directory = benchDirectory(parent);
const course = {
  tools: ONLY_DENO,
  size,
  patience,
  directory,
  path: `${directory}/new`,
  source: `${directory}/source`,
};
const results = new Map<string, Result[]>();
await writeSource(course.source, size);
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
const unit = (job: string) => RATE_UNITS[JOBS[job]!.group];
console.log(`Medians of ${rounds} alternating rounds; in brackets the ratio to the first line, pair
by pair, and CPU seconds a GiB with the start of Deno.\n`);
for (const [name, value] of Object.entries(await machineFacts(parent, ONLY_DENO))) {
  console.log(`- ${name}: ${value}`);
}
console.log(`\n| | ${jobs.map((job) => `${job}, ${unit(job)}`).join(" | ")} |`);
console.log(`|---|${jobs.map(() => "--:").join("|")}|`);
for (const [variant, [name]] of VARIANTS.entries()) {
  const cells = jobs.map((job) => cell(results.get(job)![variant]!, results.get(job)![0]!));
  console.log(`| ${name} | ${cells.join(" | ")} |`);
}
