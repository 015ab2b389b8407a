// Reports as Markdown: one table for each group or experiment, with the settings of each peer beside its figure.

import { formatSize } from "../../cli/units.ts";
import type { Group } from "./contestant.ts";
import type { MachineFacts } from "./machine.ts";
import { RATE_UNITS, type Report, type Result } from "./result.ts";
import { goalsTable } from "./goals.ts";
import { factLines, markdownTable } from "./markdown.ts";
import { median } from "./statistics.ts";
import { MIB, showNumber } from "./units.ts";

/** The title of each group. */
export const TITLES: Readonly<Record<Group, string>> = {
  start: "Start",
  write: "Writing a new file, durable",
  read: "Reading a cold file",
  copy: "From file to file, durable",
  records: "Records of 100 bytes, durable at the end",
  random: "Blocks of 4 KiB anywhere in a file",
  ranges: "20,000 ranges of 4 to 64 KiB anywhere in a file, 32 reads in flight",
  files: "1,000 files of 4 KiB, each durable",
  writers: "Many writers at once, durable",
  blocks: "Writes of one block, one by one",
};

/** Groups of many operations in one process. */
const COUNTED: ReadonlySet<Group> = new Set(["random", "ranges"]);

const GROUPS = Object.keys(TITLES) as Group[];

const dash = "–";

/** A number in a cell; a dash if there is none. */
function cell(value: number | undefined): string {
  return value === undefined || Number.isNaN(value) ? dash : showNumber(value);
}

/** The heads and the cells of the columns that every report has at its end. */
const COST_HEADS = ["peak RSS, MiB", "timer late p50 / p99 / max, ms"];

function costCells({ peakMemory, delay }: Result): string[] {
  return [
    cell(peakMemory && Math.round(peakMemory / MIB)),
    delay ? [delay.p50, delay.p99, delay.max].map(showNumber).join(" / ") : dash,
  ];
}

function rateCell({ rate, range }: Result): string {
  return `${cell(rate)} (${range.map(showNumber).join("–")})`;
}

/** Bytes in the page cache, as a share of the file. */
function cachedShare(result: Result): string {
  const bytes = result.samples[0]?.bytes ?? 0;
  if (result.cached === undefined) return dash;
  if (result.cached === 0) return "none";
  return bytes > 0 ? `${Math.round(result.cached / bytes * 100)} %` : formatSize(result.cached);
}

function row(result: Result, first: Result): string[] {
  const { group, label, settings, rate, wall, cpuPerGib } = result;
  const cpu = COUNTED.has(group) ? cpuPerOperation(result) : result.cpu;
  return [
    label,
    settings,
    rateCell(result),
    ...[rate / first.rate, wall, cpuPerGib ?? cpu].map(cell),
    cachedShare(result),
    ...costCells(result),
  ];
}

/** Microseconds of CPU time for one operation, the start of the process included. */
function cpuPerOperation({ cpu, samples }: Result): number {
  return cpu * 1e6 / samples[0]!.count;
}

function table(group: Group, results: readonly Result[]): string {
  const perGib = results.some(({ cpuPerGib }) => cpuPerGib !== undefined);
  const cpu = perGib ? "CPU s/GiB" : COUNTED.has(group) ? "CPU µs/operation" : "CPU s";
  const heads = ["", "settings", RATE_UNITS[group], "ratio", "process s", cpu, "page cache left"];
  const rows = results.map((result) => row(result, results[0]!));
  return `## ${TITLES[group]}\n\n${markdownTable([...heads, ...COST_HEADS], rows, 2)}`;
}

/** A whole comparison. */
export function markdown(report: Report): string {
  const { machine, size, rounds, results } = report;
  const elsewhere = median(
    results.flatMap(({ samples }) => samples.map((sample) => sample.elsewhere)),
  );
  const goals = goalsTable(report);
  const tables = GROUPS.map((group) =>
    [group, results.filter((each) => each.group === group)] as const
  )
    .filter(([, members]) => members.length > 0)
    .map(([group, members]) => table(group, members));
  return [
    `# Comparison: ${formatSize(size)}, medians of ${rounds} alternating rounds`,
    "",
    ...factLines(machine),
    `- busy with other things meanwhile: ${showNumber(elsewhere)} cores (median)`,
    "",
    "The rate counts from before the open to after the close, with the data durable, and stands before its",
    "slowest and fastest round; `ratio` is the rate beside the first line of the table. How each is",
    "measured: [README](../README.md).",
    "",
    ...(goals ? [goals, ""] : []),
    tables.join("\n\n"),
    "",
  ].join("\n");
}

/** One experiment with growing scale, and its measurements. */
export interface Series {
  readonly title: string;
  /** The quantity that grows, with its unit. */
  readonly axis: string;
  readonly points: readonly { readonly x: number; readonly result: Result }[];
}

/** All experiments with growing scale. */
export function scaleMarkdown(
  series: readonly Series[],
  machine: MachineFacts,
  rounds: number,
): string {
  const tables = series.map(({ title, axis, points }) => {
    const rows = points.map(({ x, result }) => [
      `${result.label}, ${result.settings}`,
      ...[showNumber(x), rateCell(result), cell(result.cpuPerGib), ...costCells(result)],
    ]);
    const heads = ["", axis, "MiB/s", "CPU s/GiB", ...COST_HEADS];
    return `## ${title}\n\n${markdownTable(heads, rows)}`;
  });
  return [
    `# Scale: medians of ${rounds} alternating rounds; one from 16 GiB on`,
    "",
    ...factLines(machine),
    "",
    tables.join("\n\n"),
    "",
  ].join("\n");
}
