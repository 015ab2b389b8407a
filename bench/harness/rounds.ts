// Runs the contestants in turn, so that other load on the machine affects all of them alike.

import { cachedBytes } from "../../tests/setup/command.ts";
import type { Contestant, Outcome, Run } from "./contestant.ts";
import { runMeasured } from "./measured_process.ts";
import { dropFromCache, removeWritten } from "./files.ts";
import { rateOf, type Result, resultOf, type Sample, sampleOf } from "./result.ts";
import type { Tools } from "./tools.ts";
import { MIB, showNumber } from "./units.ts";

/** Shows the current activity in one line. */
export type Say = (line: string) => void;

/** The settings of all runs. */
export interface Course extends Run {
  readonly directory: string;
  /** Seconds to wait, before each run, until the machine is idle. */
  readonly patience: number;
}

/** The settings of runs in a directory that is theirs. */
export function courseIn(
  directory: string,
  tools: Tools,
  { size, patience }: { size: number; patience: number },
): Course {
  const [path, source] = [`${directory}/new`, `${directory}/source`];
  return { tools, size, patience, directory, path, source };
}

// ---- a quiet machine -------------------------------------------------------------------------------------------

// The other load of the machine is measured, and waited for: a comparison on a busy machine says little.

const WINDOW_MS = 100;
/** The other load, in cores, at which a run may start: a machine is never quite idle. */
const QUIET_CORES = 0.2;
/** The kernel counts in hundredths of a second. */
const TICKS = 100;

/** Busy seconds of all cores together, since the start of the machine. */
async function busySeconds(): Promise<number> {
  const line = (await Deno.readTextFile("/proc/stat")).split("\n", 1)[0]!;
  const [user = 0, nice = 0, system = 0, _idle, _iowait, irq = 0, softirq = 0, steal = 0] = line
    .split(/\s+/).slice(1).map(Number);
  return (user + nice + system + irq + softirq + steal) / TICKS;
}

/** Waits until the machine is idle, or the time is over. */
async function waitForQuiet(patienceSeconds: number): Promise<void> {
  const end = performance.now() + patienceSeconds * 1000;
  while (performance.now() < end) {
    const before = await busySeconds();
    await new Promise((resolve) => setTimeout(resolve, WINDOW_MS));
    const cores = (await busySeconds() - before) * 1000 / WINDOW_MS;
    if (cores <= QUIET_CORES) return;
  }
}

// ---- runs ------------------------------------------------------------------------------------------------------

interface Entry {
  readonly contestant: Contestant;
  readonly samples: Sample[];
  readonly delays: number[];
}

/** Directories of small files so far. */
let directories = 0;

/**
 * The path that a run writes to. Small files get their own directory, which stays to the end of the comparison: ext4
 * avoids inodes that were freed in the last seconds, so the next files would pay for the search.
 */
function placeOf(contestant: Contestant, course: Course): Course {
  if (contestant.group !== "files") return course;
  return { ...course, path: `${course.path}-${++directories}` };
}

/** One run, with the disk idle, the source out of the page cache, and the last run's file removed. */
async function runOnce(
  contestant: Contestant,
  where: Course,
): Promise<{ sample: Sample; delays: readonly number[] } | undefined> {
  const course = placeOf(contestant, where);
  const command = contestant.command(course);
  if (!command) return undefined;
  const { path, source, directory } = course;
  const reads = ["read", "copy", "random"].includes(contestant.group);
  await removeWritten(path, directory);
  if (reads) await dropFromCache(source);
  await waitForQuiet(course.patience);
  const before = await busySeconds();
  const cost = await runMeasured(command);
  const busy = await busySeconds() - before;
  const outcome: Outcome = contestant.outcome?.(cost.stdout, course) ??
    JSON.parse(cost.stdout.trim().split("\n").at(-1)!);
  const written = contestant.group === "read" ? source : path;
  const cached = await isFile(written) ? await cachedBytes(written) : undefined;
  if (contestant.group !== "files") await removeWritten(path, directory);
  const elsewhere = Math.max(0, busy - cost.user - cost.system) / cost.wall;
  return { sample: sampleOf(cost, outcome, cached, elsewhere), delays: outcome.delays ?? [] };
}

async function isFile(path: string): Promise<boolean> {
  return (await Deno.stat(path).catch(() => undefined))?.isFile ?? false;
}

/** Tries of each setting: with one try alone, other load would decide. */
const TRIES = 2;

/** The fastest of several settings. */
async function bestOf(contestant: Contestant, course: Course, say: Say): Promise<Contestant> {
  let best = contestant;
  let bestRate = 0;
  const variants = contestant.variants ?? [];
  for (const variant of Array.from({ length: TRIES }, () => variants).flat()) {
    const run = await runOnce(variant, course);
    if (!run) break;
    const rate = rateOf(variant.group, run.sample);
    say(`  ${variant.label} ${variant.settings}: ${showNumber(rate)}`);
    if (rate > bestRate) [best, bestRate] = [variant, rate];
  }
  return best;
}

/** Runs all contestants, round by round. Resolves to the medians. */
export async function runRounds(
  contestants: readonly Contestant[],
  course: Course,
  rounds: number,
  say: Say,
): Promise<Result[]> {
  const entries: Entry[] = [];
  for (const contestant of contestants) {
    // The first run does not count: it loads and compiles code that later ones find ready.
    const warmUp = await runOnce(contestant, { ...course, size: Math.min(course.size, 16 * MIB) });
    if (!warmUp) {
      say(`Skipped ${contestant.id}: its tool is missing`);
      continue;
    }
    const chosen = contestant.variants ? await bestOf(contestant, course, say) : contestant;
    entries.push({ contestant: chosen, samples: [], delays: [] });
  }
  for (let round = 1; round <= rounds; round++) {
    for (const { contestant, samples, delays } of entries) {
      const run = await runOnce(contestant, course);
      if (!run) continue;
      samples.push(run.sample);
      for (const delay of run.delays) delays.push(delay);
      const rate = showNumber(rateOf(contestant.group, run.sample));
      say(`${round}/${rounds} ${contestant.id}: ${rate} (CPU ${showNumber(run.sample.cpu)} s)`);
    }
  }
  return entries.map(({ contestant, samples, delays }) => resultOf(contestant, samples, delays));
}
