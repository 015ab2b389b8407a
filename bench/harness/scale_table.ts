// Figures as functions of scale, as Markdown.

import type { MachineFacts } from "./machine.ts";
import type { Series } from "./scale_chart.ts";
import { MIB, showNumber } from "./units.ts";

const shown = (value: number | undefined) => value === undefined ? "–" : showNumber(value);

function table({ title, axis, points }: Series): string {
  const rows = points.map(({ x, result }) => {
    const { label, settings, rate, range, cpuPerGib, peakMemory, delay } = result;
    return [
      `${label}, ${settings}`,
      showNumber(x),
      `${showNumber(rate)} (${range.map(showNumber).join("–")})`,
      shown(cpuPerGib),
      shown(peakMemory && Math.round(peakMemory / MIB)),
      delay ? [delay.p50, delay.p99, delay.max].map(showNumber).join(" / ") : "–",
    ].join(" | ");
  });
  return [
    `## ${title}`,
    "",
    `| | ${axis} | MiB/s | CPU s/GiB | peak RSS, MiB | timer late p50 / p99 / max, ms |`,
    "|---|--:|--:|--:|--:|--:|",
    ...rows.map((row) => `| ${row} |`),
  ].join("\n");
}

/** All experiments. */
export function scaleMarkdown(
  series: readonly Series[],
  machine: MachineFacts,
  rounds: number,
): string {
  return [
    `# Scale: medians of ${rounds} alternating rounds; one from 16 GiB on`,
    "",
    ...Object.entries(machine).map(([name, value]) => `- ${name}: ${value}`),
    "",
    series.map(table).join("\n\n"),
    "",
  ].join("\n");
}
