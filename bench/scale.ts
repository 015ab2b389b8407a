// Measures throughput, memory and delay as functions of two scales: writers at once, and bytes of one file.
//
//     deno task bench:scale [--size=1GiB] [--most=64GiB] [--rounds=3] [--only=writers,write,read]

import { formatSize } from "../cli/units.ts";
import { fileURLToPath } from "node:url";
import { FILE_READERS, FILE_WRITERS, writersAtOnce } from "./contestants/scale.ts";
import type { Contestant } from "./harness/contestant.ts";
import { benchDirectory } from "./harness/bench_directory.ts";
import { machineFacts } from "./harness/machine.ts";
import { runMeasured, tryCommand } from "./harness/measured_process.ts";
import { parseOptions } from "./harness/options.ts";
import { writeResults } from "./harness/result.ts";
import { type Course, courseIn, runRounds } from "./harness/rounds.ts";
import { scaleMarkdown, type Series } from "./harness/table.ts";
import { ONLY_DENO } from "./harness/tools.ts";
import { GIB } from "./harness/units.ts";

const WRITERS = [1, 10, 100, 1000];
const GIBIBYTES = [1, 4, 16, 64];
/** The largest file of Deno's own streams: more takes minutes and shows nothing new. */
const MOST_FOR_PEERS = 16;

const say = (line: string) => console.error(line);

const options = parseOptions(Deno.args, { rounds: 3, suffix: "-scale" });
const { rounds, only, name } = options;
const PARTS = ["writers", "write", "read"];
const strange = only.filter((part) => !PARTS.includes(part));
if (strange.length > 0) {
  say(`Nothing is called ${strange.join(", ")}. There are: ${PARTS.join(", ")}`);
  Deno.exit(2);
}
const wanted = (what: string) => only.length === 0 || only.includes(what);

/** Free bytes on the file system of a directory. */
async function freeBytes(directory: string): Promise<number> {
  const shown = await tryCommand(["df", "--output=avail", "--block-size=1", directory]);
  return Number(shown?.split("\n").at(-1) ?? 0);
}

async function manyWriters(course: Course): Promise<Series["points"]> {
  const results = await runRounds(WRITERS.flatMap(writersAtOnce), course, rounds, say);
  return results.map((result) => ({ x: result.samples[0]!.count, result }));
}

/** One file of each size for which there is room. */
async function growingFile(
  contestants: readonly Contestant[],
  course: Course,
  prepare: (course: Course) => Promise<void>,
): Promise<Series["points"]> {
  const points: Series["points"][number][] = [];
  for (const gibibytes of GIBIBYTES) {
    const size = gibibytes * GIB;
    if (size > options.most) break;
    if (await freeBytes(course.directory) < size * 1.1) {
      say(`Skipped ${formatSize(size)}: no room in ${course.directory}`);
      continue;
    }
    const sized = { ...course, size };
    await prepare(sized);
    const those = gibibytes > MOST_FOR_PEERS ? contestants.slice(0, 1) : contestants;
    // One run of a large file takes as long as many runs of a small one.
    const times = gibibytes >= 16 ? 1 : rounds;
    for (const result of await runRounds(those, sized, times, say)) {
      points.push({ x: gibibytes, result });
    }
    await Deno.remove(course.source).catch(() => {});
  }
  return points;
}

/** Writes the file that is read later, with this module, because it is the fastest. */
async function writeLargeSource({ tools, source, size }: Course): Promise<void> {
  const program = fileURLToPath(new URL("./programs/dma.ts", import.meta.url));
  const args = ["run", "-A", "--no-config", program, "pipe", `path=${source}`, `size=${size}`];
  await runMeasured([tools.deno, ...args]);
}

const course = courseIn(benchDirectory(options.directory), ONLY_DENO, options);
const machine = await machineFacts(course.directory, ONLY_DENO);
const series: Series[] = [];
if (wanted("writers")) {
  const points = await manyWriters(course);
  series.push({ title: "Writers at once", axis: "writers", points });
}
if (wanted("write")) {
  const points = await growingFile(FILE_WRITERS, course, async () => {});
  series.push({ title: "Writing one file, durable", axis: "GiB", points });
}
if (wanted("read")) {
  const points = await growingFile(FILE_READERS, course, writeLargeSource);
  series.push({ title: "Reading one cold file", axis: "GiB", points });
}

await writeResults(name, { machine, series }, scaleMarkdown(series, machine, rounds));
