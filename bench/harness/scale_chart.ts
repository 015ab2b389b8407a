// Figures as functions of scale, as an SVG chart: one row for each experiment, one panel for each figure.

import * as vega from "npm:vega@6";
import { compile, type TopLevelSpec } from "npm:vega-lite@6";
import { COLOURS, familyOf } from "./families.ts";
import type { MachineFacts } from "./machine.ts";
import type { Result } from "./result.ts";
import { MIB } from "./units.ts";

/** One contestant at one scale. */
export interface Point {
  readonly x: number;
  readonly result: Result;
}

/** One experiment, and its measurements. */
export interface Series {
  readonly title: string;
  /** The quantity that grows, with its unit. */
  readonly axis: string;
  readonly points: readonly Point[];
}

const FIGURES: readonly [title: string, of: (result: Result) => number | undefined][] = [
  ["MiB/s", ({ rate }) => rate],
  ["Peak RSS, MiB", ({ peakMemory }) => peakMemory && peakMemory / MIB],
  ["CPU s/GiB", ({ cpuPerGib }) => cpuPerGib],
  ["Timer late p99, ms", ({ delay }) => delay?.p99],
];

function panel({ axis, points }: Series, [title, of]: typeof FIGURES[number]) {
  const values = points.map(({ x, result }) => ({
    x,
    y: of(result),
    family: familyOf(result.label),
  }));
  return {
    title: { text: title, anchor: "start", fontSize: 13, fontWeight: "normal" },
    width: 138,
    height: 130,
    data: { values },
    mark: { type: "line", point: true },
    encoding: {
      x: {
        field: "x",
        type: "quantitative",
        scale: { type: "log", nice: false },
        axis: {
          title: axis,
          values: [...new Set(values.map(({ x }) => x))],
          format: "d",
          labelOverlap: false,
        },
      },
      y: { field: "y", type: "quantitative", axis: { title: null, tickCount: 5 } },
      color: {
        field: "family",
        type: "nominal",
        scale: { domain: Object.keys(COLOURS), range: Object.values(COLOURS) },
        legend: title === "MiB/s"
          ? { title: null, orient: "bottom", direction: "vertical", values: families(points) }
          : null,
      },
    },
  };
}

function families(points: readonly Point[]): string[] {
  return [...new Set(points.map(({ result }) => familyOf(result.label)))];
}

/** Draws a specification without a browser. */
async function renderSvg(spec: TopLevelSpec): Promise<string> {
  const view = new vega.View(vega.parse(compile(spec).spec), { renderer: "none" });
  return await view.toSVG();
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
        subtitleColor: "#59636e",
        offset: 16,
      },
      background: "white",
      padding: 16,
      spacing: 28,
      config: {
        view: { stroke: null },
        axis: { gridColor: "#f1f3f5", labelFontSize: 12, titleFontSize: 12 },
        legend: { labelFontSize: 12 },
        title: { fontSize: 15, subtitleFontSize: 12 },
      },
      resolve: { scale: { color: "independent" } },
      vconcat: series.filter(({ points }) => points.length > 0).map((each) => ({
        title: { text: each.title, anchor: "start" },
        resolve: { scale: { color: "independent" } },
        hconcat: FIGURES.map((figure) => panel(each, figure)),
        spacing: 16,
      })),
    } as unknown as TopLevelSpec,
  );
}

if (import.meta.main) {
  // deno run -A bench/harness/scale_chart.ts bench/results/2026-11-24-scale.json: draws it again.
  for (const path of Deno.args) {
    const { series, machine } = JSON.parse(await Deno.readTextFile(path));
    await Deno.writeTextFile(path.replace(/json$/, "svg"), await scaleChart(series, machine));
  }
}
