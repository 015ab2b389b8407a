// Figures as functions of scale, as an SVG chart: a row an experiment, a panel a figure.

import type { TopLevelSpec } from "npm:vega-lite@6";
import { COLOURS, familyOf, renderSvg } from "./chart.ts";
import type { MachineFacts } from "./machine.ts";
import type { Result } from "./result.ts";
import { MIB } from "./units.ts";

/** One contestant at one scale. */
export interface Point {
  readonly x: number;
  readonly result: Result;
}

/** One experiment: what grows, and what was measured meanwhile. */
export interface Series {
  readonly title: string;
  /** What grows, with its unit. */
  readonly axis: string;
  readonly points: readonly Point[];
}

const FIGURES: readonly [title: string, of: (result: Result) => number | undefined][] = [
  ["MiB/s", ({ rate }) => rate],
  ["Peak RSS, MiB", ({ peakMemory }) => peakMemory && peakMemory / MIB],
  ["CPU s/GiB", ({ cpuPerGib }) => cpuPerGib],
  ["Timer late p50, ms", ({ delay }) => delay?.p50],
  ["Timer late p99, ms", ({ delay }) => delay?.p99],
];

function panel({ axis, points }: Series, [title, of]: typeof FIGURES[number]) {
  const values = points.map(({ x, result }) => ({
    x,
    y: of(result),
    family: familyOf(result.label),
  }));
  return {
    title: { text: title, anchor: "start", fontSize: 12, fontWeight: "normal" },
    width: 150,
    height: 130,
    data: { values },
    mark: { type: "line", point: true },
    encoding: {
      x: {
        field: "x",
        type: "quantitative",
        scale: { type: "log", nice: false },
        axis: { title: axis, values: [...new Set(values.map(({ x }) => x))], format: "d" },
      },
      y: { field: "y", type: "quantitative", axis: { title: null, tickCount: 5 } },
      color: {
        field: "family",
        type: "nominal",
        scale: { domain: Object.keys(COLOURS), range: Object.values(COLOURS) },
        legend: title === "MiB/s"
          ? { title: null, orient: "left", values: families(points) }
          : null,
      },
    },
  };
}

function families(points: readonly Point[]): string[] {
  return [...new Set(points.map(({ result }) => familyOf(result.label)))];
}

/** The chart of all experiments. */
export async function scaleChart(
  series: readonly Series[],
  machine: MachineFacts,
): Promise<string> {
  return await renderSvg(
    {
      $schema: "https://vega.github.io/schema/vega-lite/v6.json",
      title: {
        text: "Scale",
        subtitle: [
          `${machine.date!.slice(0, 10)}, ${machine.kernel}, ${
            machine.fileSystem!.split(" ")[0]
          }, ` +
          machine.machine,
          machine.versions!,
        ],
        anchor: "start",
        subtitleColor: "#868e96",
        offset: 16,
      },
      background: "white",
      padding: 16,
      spacing: 32,
      config: { view: { stroke: null }, axis: { gridColor: "#f1f3f5" } },
      resolve: { scale: { color: "independent" } },
      vconcat: series.filter(({ points }) => points.length > 0).map((each) => ({
        title: { text: each.title, anchor: "start" },
        resolve: { scale: { color: "independent" } },
        hconcat: FIGURES.map((figure) => panel(each, figure)),
        spacing: 24,
      })),
    } as unknown as TopLevelSpec,
  );
}
