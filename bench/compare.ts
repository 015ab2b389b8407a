// Compares this module with its peers: whole processes take turns on one disk, and each makes its data durable.
//
//     deno task bench:compare [--size=1GiB] [--rounds=5] [--only=write,read-fio] [--dir=/var/tmp | --fast]

import { FILE_WRITERS } from "./contestants/files.ts";
import { COPIERS, READERS, STARTERS, WRITERS } from "./contestants/large_file.ts";
import { RANDOM } from "./contestants/random.ts";
import { RANGES } from "./contestants/ranges.ts";
import { RECORD_WRITERS } from "./contestants/records.ts";
import { benchDirectory, mountFastDisk } from "./harness/bench_directory.ts";
import { drawCharts } from "./harness/chart.ts";
import { writeSource } from "./harness/files.ts";
import { machineFacts } from "./harness/machine.ts";
import { parseOptions } from "./harness/options.ts";
import { type Report, writeResults } from "./harness/result.ts";
import { courseIn, runRounds } from "./harness/rounds.ts";
import { markdown } from "./harness/table.ts";
import { findTools } from "./harness/tools.ts";

const FILES = [...WRITERS, ...READERS, ...COPIERS, ...RECORD_WRITERS, ...FILE_WRITERS];
const ALL = [...STARTERS, ...FILES, ...RANDOM, ...RANGES];

const say = (line: string) => console.error(line);

const options = parseOptions(Deno.args);
const { size, rounds, only, name } = options;
const chosen = only.length === 0
  ? ALL
  : ALL.filter(({ id }) => only.some((beginning) => id.startsWith(beginning)));
if (chosen.length === 0) {
  say(`Nothing is called ${only.join(", ")}. There are: ${ALL.map(({ id }) => id).join(", ")}`);
  Deno.exit(2);
}

const tools = await findTools(say);
// Room for the source, the written file, and the file system's own data.
const parent = options.fast ? mountFastDisk(2.5 * size + (256 << 20)) : options.directory;
const course = courseIn(benchDirectory(parent), tools, options);
await writeSource(course.source, size);
const machine = await machineFacts(course.directory, tools);
const results = await runRounds(chosen, course, rounds, say);
const report: Report = { machine, size, rounds, results };
const base = await writeResults(name, report, markdown(report));
for (const path of await drawCharts(report, base)) say(`Written: ${path}`);
