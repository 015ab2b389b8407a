// A group of results as an SVG chart: one panel a figure, one bar a contestant.

import * as vega from "npm:vega@6";
import { compile, type TopLevelSpec } from "npm:vega-lite@6";
import type { Group } from "./contestant.ts";
import { RATE_UNITS, type Report, type Result } from "./result.ts";
import { TITLES } from "./table.ts";
import { MIB, showBytes, showNumber } from "./units.ts";

/** One colour for each family, the same in every chart; the module's own stands out. */
export const COLOURS: Readonly<Record<string, string>> = {
  "this module": "#d9480f",
  Deno: "#1c7ed6",
  Node: "#2f9e44",
  Bun: "#e599f7",
  dd: "#adb5bd",
  fio: "#868e96",
  glommio: "#7048e8",
};

interface Bar {
  readonly name: string;
  readonly family: string;
  readonly value: number | undefined;
  readonly text: string;
}

interface Panel {
  readonly title: string;
  readonly of: (result: Result) => number | undefined;
  /** Where one bar is a thousand times another. */
  readonly logarithmic?: boolean;
}

const PANELS: readonly Panel[] = [
  { title: "CPU s/GiB", of: ({ cpuPerGib }) => cpuPerGib },
  { title: "Page cache left, MiB", of: ({ cached }) => toMib(cached) },
  { title: "Peak RSS, MiB", of: ({ peakMemory }) => toMib(peakMemory) },
  { title: "Timer late p99, ms", of: ({ delay }) => delay?.p99, logarithmic: true },
];

function toMib(bytes: number | undefined): number | undefined {
  return bytes === undefined ? undefined : bytes / MIB;
}

/** The family that a label belongs to. */
export function familyOf(label: string): string {
  return Object.keys(COLOURS).find((family) => label.startsWith(family)) ??
    Object.keys(COLOURS).find((family) => label.includes(family)) ?? label;
}

function panelSpec(panel: Panel, results: readonly Result[], first: boolean) {
  const values = results.map((result): Bar => {
    const value = panel.of(result);
    return {
      name: `${result.label} · ${result.settings}`,
      family: familyOf(result.label),
      value,
      text: value === undefined ? "" : showNumber(value),
    };
  });
  const least = Math.min(...values.flatMap(({ value }) => value ? [value] : []));
  const y = {
    field: "name",
    type: "nominal",
    sort: null,
    scale: { domain: values.map(({ name }) => name) },
    axis: first
      ? { title: null, labelLimit: 1000, domain: false, ticks: false, labelPadding: 6 }
      : null,
  } as const;
  const scale = panel.logarithmic ? { type: "log", domainMin: least / 2 } as const : {};
  const x = {
    field: "value",
    type: "quantitative",
    scale,
    axis: { title: null, tickCount: first ? 5 : 3 },
  } as const;
  const x2 = panel.logarithmic ? { x2: { datum: least / 2 } } as const : {};
  return {
    title: { text: panel.title, anchor: "start", fontSize: 12, fontWeight: "normal" },
    width: first ? 260 : 110,
    height: { step: 18 },
    data: { values },
    layer: [
      {
        mark: { type: "bar", height: { band: 0.75 } },
        encoding: {
          y,
          x,
          ...x2,
          color: {
            field: "family",
            type: "nominal",
            legend: null,
            scale: { domain: Object.keys(COLOURS), range: Object.values(COLOURS) },
          },
        },
      },
      {
        mark: { type: "text", align: "left", dx: 3, fontSize: 9, color: "#495057" },
        encoding: { y, x, text: { field: "text", type: "nominal" } },
      },
    ],
  } as const;
}

/** Draws a specification without a browser. */
export async function renderSvg(spec: TopLevelSpec): Promise<string> {
  const view = new vega.View(vega.parse(compile(spec).spec), { renderer: "none" });
  return await view.toSVG();
}

/** The chart of one group. */
export async function chart(group: Group, report: Report): Promise<string> {
  const results = report.results.filter((result) => result.group === group);
  const rate: Panel = { title: RATE_UNITS[group], of: (result) => result.rate };
  const panels = [rate, ...PANELS].filter(({ of }) => results.some((each) => of(each)));
  const { machine, size, rounds } = report;
  return await renderSvg(
    {
      $schema: "https://vega.github.io/schema/vega-lite/v6.json",
      title: {
        text: TITLES[group],
        subtitle: [
          `${showBytes(size)}, medians of ${rounds} alternating rounds. ${
            machine.date!.slice(0, 10)
          }, ${machine.kernel}, ` +
          `${machine.fileSystem!.split(" ")[0]}, ${machine.machine}`,
          machine.versions!,
        ],
        anchor: "start",
        subtitleColor: "#868e96",
        offset: 16,
      },
      background: "white",
      padding: 16,
      spacing: 24,
      config: { view: { stroke: null }, axis: { gridColor: "#f1f3f5" } },
      hconcat: panels.map((panel, index) => panelSpec(panel, results, index === 0)),
    } as unknown as TopLevelSpec,
  );
}
