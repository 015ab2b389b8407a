// Draws the benchmark: a bar for each side, with its figures beside it.
import { type BenchReport, COLD, type Comparison, type Measured, noise } from "./bench_report.ts";
import { inOneLine } from "./output.ts";
import { columns, forOutput, type Style } from "./styling.ts";
import { formatSize } from "./units.ts";

const MIB = 1024 ** 2;
const MOST_COLUMNS = 100;
const LABEL_COLUMNS = 17;
const LEAST_BAR = 8;
/** The last cell of a bar, by the eighths of it that are filled. */
const EIGHTHS = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
const FULL = "█";
/** A lead in fewer than this part of the rounds may be chance. */
const CLEAR = 0.75;
/** The noise is not shown for fewer rounds. */
const ENOUGH_ROUNDS = 3;

export function benchLines(report: BenchReport): string[] {
  const { mount, direct, engine, rounds, size, chunkSize, seconds, write, read } = report;
  const place = mount ? `${mount.type} on ${mount.device}` : "an unknown file system";
  return [
    `${forOutput(inOneLine(report.directory), "bold")}: ${place}, ${
      direct ? "Direct I/O" : "page cache"
    } over ${engine}`,
    `${shownRounds(rounds)} in turn, files of ${formatSize(size)}, chunks of ${
      formatSize(chunkSize)
    }, ${seconds.toFixed(1)} s in all`,
    "",
    ...chart("Write, durable", "FsFile.writable", write, rounds),
    "",
    ...chart(`Read${coldness(read)}`, "FsFile.readable", read, rounds),
    "",
    noiseLine(report),
    ...report.warnings.map((text) => `${forOutput("Warning", "yellow")}: ${text}`),
  ];
}

/** The part of the title that says whether Deno's side read from the device. */
function coldness({ deno: { fromDisk } }: Comparison): string {
  if (fromDisk === null) return "";
  if (fromDisk >= COLD) return ", cold";
  return `, ${Math.round((1 - fromDisk) * 100)} % cached`;
}

function chart(title: string, other: string, both: Comparison, rounds: number): string[] {
  const { dma, deno } = both;
  const longest = Math.max(dma.rate.median, deno.rate.median);
  const heads = figures("MiB/s", "min..max", "CPU s/GiB");
  const cells = Math.max(LEAST_BAR, columns(MOST_COLUMNS) - LABEL_COLUMNS - heads.length - 2);
  const row = (label: string, { rate, cpuPerGiB }: Measured, style: Style) =>
    [
      `  ${label}`.padEnd(LABEL_COLUMNS),
      forOutput(bar(rate.median / longest, cells).padEnd(cells), style),
      figures(mib(rate.median), `${mib(rate.min)}..${mib(rate.max)}`, cpuPerGiB.toFixed(2)),
    ].join(" ");
  return [
    `${forOutput(title, "bold")}${" ".repeat(LABEL_COLUMNS + cells + 2 - title.length)}${heads}`,
    row("this module", dma, "green"),
    row(other, deno, "yellow"),
    `  ${verdict(both, rounds)}`,
  ];
}

function figures(rate: string, range: string, cpu: string): string {
  return `${rate.padStart(6)} ${range.padStart(12)} ${cpu.padStart(9)}`;
}

function mib(bytes: number): string {
  return String(Math.round(bytes / MIB));
}

/** A bar of up to `cells` cells, and at least an eighth of one. */
export function bar(part: number, cells: number): string {
  const eighths = Math.max(1, Math.round(part * cells * 8));
  return FULL.repeat(Math.floor(eighths / 8)) + EIGHTHS[eighths % 8];
}

function verdict({ ratio: { median, min, max }, ahead, dma, deno }: Comparison, rounds: number) {
  const clear = Math.max(ahead, rounds - ahead) / rounds >= CLEAR;
  const times = clear ? `${median.toFixed(2)} times as fast` : "No clear difference";
  const share = deno.cpuPerGiB > 0
    ? `, ${Math.round(dma.cpuPerGiB / deno.cpuPerGiB * 100)} % of the CPU time`
    : "";
  return rounds === 1
    ? `${times}${share}; one round is no proof`
    : `${times}${share} (${min.toFixed(2)}..${max.toFixed(2)}, ahead in ${ahead} of ${rounds})`;
}

function shownRounds(rounds: number): string {
  return `${rounds} ${rounds === 1 ? "round" : "rounds"}`;
}

function noiseLine({ rounds, write, read }: BenchReport): string {
  if (rounds < ENOUGH_ROUNDS) {
    return `Noise: unknown after ${shownRounds(rounds)}; give more --seconds.`;
  }
  const rates = [write.dma, write.deno, read.dma, read.deno].map(({ rate }) => rate);
  const most = Math.round(Math.max(...rates.map(noise)) * 100);
  return `Noise: the rounds of one side differ by up to ${most} % of its median.`;
}
