// A report as Markdown: one table for each group, with the settings of each peer beside its figure.

import type { Group } from "./contestant.ts";
import { RATE_UNITS, type Report, type Result } from "./result.ts";
import { goalsTable } from "./goals.ts";
import { median } from "./statistics.ts";
import { showBytes, showNumber } from "./units.ts";

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

function cell(value: number | undefined, show: (value: number) => string = showNumber): string {
  return value === undefined || Number.isNaN(value) ? dash : show(value);
}

/** Bytes in the page cache, as a share of the file. */
function cachedShare(result: Result): string {
  const bytes = result.samples[0]?.bytes ?? 0;
  if (result.cached === undefined) return dash;
  if (result.cached === 0) return "none";
  return bytes > 0 ? `${Math.round(result.cached / bytes * 100)} %` : showBytes(result.cached);
}

function row(result: Result, first: Result): string {
  const { group, label, settings, rate, range, wall, cpuPerGib, peakMemory, delay } = result;
  const cpu = COUNTED.has(group) ? cpuPerOperation(result) : result.cpu;
  return [
    label,
    settings,
    `${cell(rate)} (${range.map(showNumber).join("–")})`,
    cell(rate / first.rate),
    cell(wall),
    cell(cpuPerGib ?? cpu),
    cachedShare(result),
    cell(peakMemory, (bytes) => showNumber(Math.round(bytes / 1024 / 1024))),
    delay ? [delay.p50, delay.p99, delay.max].map(showNumber).join(" / ") : dash,
  ].join(" | ");
}

/** Microseconds of CPU time for one operation, the start of the process included. */
function cpuPerOperation({ cpu, samples }: Result): number {
  return cpu * 1e6 / samples[0]!.count;
}

function table(group: Group, results: readonly Result[]): string {
  const perGib = results.some(({ cpuPerGib }) => cpuPerGib !== undefined);
  const cpu = perGib ? "CPU s/GiB" : COUNTED.has(group) ? "CPU µs/operation" : "CPU s";
  const heads = [
    "",
    "settings",
    RATE_UNITS[group],
    "ratio",
    "process s",
    cpu,
    "page cache left",
    "peak RSS, MiB",
    "timer late p50 / p99 / max, ms",
  ];
  return [
    `## ${TITLES[group]}`,
    "",
    `| ${heads.join(" | ")} |`,
    `|${heads.map((_, index) => index < 2 ? "---" : "--:").join("|")}|`,
    ...results.map((result) => `| ${row(result, results[0]!)} |`),
  ].join("\n");
}

/** The whole report. */
export function markdown(report: Report): string {
  const { machine, size, rounds, results } = report;
  const elsewhere = median(
    results.flatMap(({ samples }) => samples.map((sample) => sample.elsewhere)),
  );
  const goals = goalsTable(report);
  const facts = Object.entries(machine).map(([name, value]) => `- ${name}: ${value}`);
  const tables = GROUPS.map((group) =>
    [group, results.filter((each) => each.group === group)] as const
  )
    .filter(([, members]) => members.length > 0)
    .map(([group, members]) => table(group, members));
  return [
    `# Comparison: ${showBytes(size)}, medians of ${rounds} alternating rounds`,
    "",
    ...facts,
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
