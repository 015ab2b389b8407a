// Compares this module with its peers: whole processes take turns on one disk, and each makes its data durable.
//
//     deno task bench:compare [--size=1GiB] [--rounds=5] [--only=write,read-fio] [--dir=/var/tmp | --fast]

import { fileURLToPath } from "node:url";
import { COPIERS } from "./contestants/copy.ts";
import { FILE_WRITERS } from "./contestants/files.ts";
import { RANDOM } from "./contestants/random.ts";
import { RANGES } from "./contestants/ranges.ts";
import { READERS } from "./contestants/read.ts";
import { RECORD_WRITERS } from "./contestants/records.ts";
import { STARTERS } from "./contestants/start.ts";
import { WRITERS } from "./contestants/write.ts";
import { drawCharts } from "./harness/chart.ts";
import { benchDirectory } from "./harness/bench_directory.ts";
import { mountFastDisk } from "./harness/fast_disk.ts";
import { machineFacts } from "./harness/machine.ts";
import { parseOptions } from "./harness/options.ts";
import type { Report } from "./harness/result.ts";
import { runRounds } from "./harness/rounds.ts";
import { writeSource } from "./harness/source.ts";
import { markdown } from "./harness/table.ts";
import { findTools } from "./harness/tools.ts";

const ALL = [
  ...STARTERS,
  ...WRITERS,
  ...READERS,
  ...COPIERS,
  ...RECORD_WRITERS,
  ...FILE_WRITERS,
  ...RANDOM,
  ...RANGES,
];

const say = (line: string) => console.error(line);

const options = parseOptions(Deno.args);
const { size, rounds, only, patience, name } = options;
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
const directory = benchDirectory(parent);
const course = {
  tools,
  size,
  patience,
  directory,
  path: `${directory}/new`,
  source: `${directory}/source`,
};
await writeSource(course.source, size);
const machine = await machineFacts(directory, tools);
const results = await runRounds(chosen, course, rounds, say);
const report: Report = { machine, size, rounds, results };

const text = markdown(report);
const base = fileURLToPath(new URL(`./results/${name}`, import.meta.url));
await Deno.mkdir(new URL("./results/", import.meta.url), { recursive: true });
await Deno.writeTextFile(`${base}.json`, JSON.stringify(report, undefined, 1) + "\n");
await Deno.writeTextFile(`${base}.md`, text);
console.log(text);
say(`Written: ${base}.json, ${base}.md`);

for (const path of await drawCharts(report, base)) say(`Written: ${path}`);
