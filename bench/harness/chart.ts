// The charts of a comparison: one for each group, and six bars of the group "write" for the front page.

import { formatSize } from "../../cli/units.ts";
import { barChart, type Row } from "./bar_chart.ts";
import type { Group } from "./contestant.ts";
import { COLOURS, familyOf } from "./families.ts";
import { RATE_UNITS, type Report, type Result } from "./result.ts";
import { TITLES } from "./table.ts";
import { MIB } from "./units.ts";

interface Panel {
  readonly title: string;
  readonly of: (result: Result) => number | undefined;
}

const CPU: Panel = { title: "CPU s/GiB", of: ({ cpuPerGib }) => cpuPerGib };
const MEMORY: Panel = {
  title: "Peak RSS, MiB",
  of: ({ peakMemory }) => peakMemory === undefined ? undefined : Math.round(peakMemory / MIB),
};

/** The peers of the front page with their best settings, and their names there. */
const OVERVIEW: readonly (readonly [id: string, name: string, detail: string])[] = [
  ["write-dma-pipe", "this module", "pipeTo, defaults"],
  ["write-deno", "Deno FsFile.writable", "pipeTo, then syncData"],
  ["write-node-1m", "Node createWriteStream", "highWaterMark 1 MiB, flush: true"],
  ["write-bun-1m", "Bun FileSink", "highWaterMark 1 MiB, then fsync"],
  ["write-fio-1m-allocated", "fio, io_uring, Direct I/O", "1 MiB × 4, file allocated beforehand"],
  ["write-glommio-1m", "glommio DmaStreamWriter", "1 MiB × 4"],
];

function row(result: Result, panels: readonly Panel[], name: string, detail: string): Row {
  const colour = COLOURS[familyOf(result.label)] ?? "#868e96";
  return { name, detail, colour, values: panels.map(({ of }) => of(result)) };
}

/** The amount of work, if the title does not name it. */
function amount(group: Group, size: number): string {
  return group === "start" || group === "files" ? "" : `${formatSize(size)}. `;
}

function subtitle(group: Group, { machine, size, rounds }: Report): string[] {
  const fileSystem = machine.fileSystem!.split(" ")[0];
  return [
    `${amount(group, size)}Medians of ${rounds} alternating rounds. ${
      machine.date!.slice(0, 10)
    }, ` +
    `${machine.kernel}, ${fileSystem}, ${machine.machine}`,
    machine.versions!,
  ];
}

/** The chart of one group. */
export function chart(group: Group, report: Report): string {
  const results = report.results.filter((result) => result.group === group);
  const rate: Panel = { title: RATE_UNITS[group], of: (result) => result.rate };
  const panels = [rate, CPU, MEMORY].filter(({ of }) => results.some((result) => of(result)));
  return barChart({
    title: TITLES[group],
    subtitle: subtitle(group, report),
    panels: panels.map(({ title }) => title),
    rows: results.map((result) => row(result, panels, result.label, result.settings)),
  });
}

/** The chart of the front page; undefined unless all six took part. */
export function overview(report: Report): string | undefined {
  const rate: Panel = { title: "MiB/s", of: (result) => result.rate };
  const panels = [rate, CPU];
  const rows = OVERVIEW.flatMap(([id, name, detail]) => {
    const result = report.results.find((each) => each.id === id);
    return result ? [row(result, panels, name, detail)] : [];
  });
  if (rows.length < OVERVIEW.length) return undefined;
  return barChart({
    title: `${TITLES.write}: ${formatSize(report.size)} in chunks of 64 KiB`,
    subtitle: subtitle("start", report).slice(0, 1),
    panels: panels.map(({ title }) => title),
    rows,
  });
}

/** Draws all charts of a report beside `base`, and resolves to their paths. */
export async function drawCharts(report: Report, base: string): Promise<string[]> {
  const charts = new Map<string, string | undefined>([["overview", overview(report)]]);
  for (const { group } of report.results) charts.set(group, chart(group, report));
  const paths: string[] = [];
  for (const [name, svg] of charts) {
    if (svg === undefined) continue;
    paths.push(`${base}-${name}.svg`);
    await Deno.writeTextFile(`${base}-${name}.svg`, svg);
  }
  return paths;
}

if (import.meta.main) {
  // deno run -A bench/harness/chart.ts bench/results/NAME.json: draws a report again.
  for (const path of Deno.args) {
    const report: Report = JSON.parse(await Deno.readTextFile(path));
    for (const drawn of await drawCharts(report, path.replace(/\.json$/, ""))) console.log(drawn);
  }
}
