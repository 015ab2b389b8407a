// The goals of this module beside the measurements.

import type { Report, Result } from "./result.ts";
import { showNumber } from "./units.ts";

/** Figures by the name of the contestant. */
class Figures {
  readonly #results: ReadonlyMap<string, Result>;

  constructor(results: readonly Result[]) {
    this.#results = new Map(results.map((result) => [result.id, result]));
  }

  of(id: string, figure: (result: Result) => number | undefined): number {
    const result = this.#results.get(id);
    return (result && figure(result)) ?? NaN;
  }

  rate(id: string): number {
    return this.of(id, (result) => result.rate);
  }

  /** The best of several settings of one peer. */
  fastest(...ids: string[]): number {
    const rates = ids.map((id) => this.rate(id)).filter((rate) => !Number.isNaN(rate));
    return rates.length === 0 ? NaN : Math.max(...rates);
  }

  /** CPU seconds a GiB, without the start of Deno. */
  cpuAboveStart(id: string): number {
    return this.of(id, (result) => result.cpuPerGib) - this.of("start-deno", ({ cpu }) => cpu);
  }
}

interface Goal {
  readonly text: string;
  /** The lower or the upper limit of the goal. */
  readonly least?: number;
  readonly most?: number;
  readonly measured: (figures: Figures) => number;
}

const times = (text: string, least: number, ours: string, ...theirs: string[]): Goal => ({
  text,
  least,
  measured: (figures) => figures.rate(ours) / figures.fastest(...theirs),
});

const NODE = ["write-node", "write-node-1m", "write-node-4m"];
const BUN = ["write-bun", "write-bun-1m"];
const FIO = ["write-fio-1m", "write-fio-1m-allocated", "write-fio-best"];
const GLOMMIO = ["write-glommio", "write-glommio-1m", "write-glommio-best"];

const GOALS: readonly Goal[] = [
  times("pipeTo beside FsFile.writable", 5, "write-dma-pipe", "write-deno"),
  times("pipeTo beside Node, the fastest of its settings", 1.7, "write-dma-pipe", ...NODE),
  times("pipeTo beside Bun, the fastest of its settings", 1.2, "write-dma-pipe", ...BUN),
  times("pipeTo beside fio 1 MiB × 4, extending", 0.95, "write-dma-pipe", "write-fio-1m"),
  times("pipeTo beside fio 1 MiB × 4, allocated", 0.95, "write-dma-pipe", "write-fio-1m-allocated"),
  times("pipeTo beside fio, the fastest of its settings", 0.9, "write-dma-pipe", ...FIO),
  times("128 KiB × 4 beside glommio's writer", 1.5, "write-dma-128k", "write-glommio"),
  times("pipeTo beside glommio's writer, the fastest", 1, "write-dma-pipe", ...GLOMMIO),
  {
    text: "CPU s/GiB of pipeTo, above bare Deno's start",
    most: 0.25,
    measured: (figures) => figures.cpuAboveStart("write-dma-pipe"),
  },
  {
    text: "the same as a share of FsFile.writable's",
    most: 1 / 7,
    measured: (figures) =>
      figures.cpuAboveStart("write-dma-pipe") / figures.cpuAboveStart("write-deno"),
  },
  {
    text: "timer late while writing, p99, ms",
    most: 1,
    measured: (figures) => figures.of("write-dma-pipe", ({ delay }) => delay?.p99),
  },
  {
    text: "the same in Deno where nothing happens (for comparison)",
    measured: (figures) => figures.of("start-deno-idle", ({ delay }) => delay?.p99),
  },
  {
    text: "page cache left after writing, bytes",
    most: 0,
    measured: (figures) => figures.of("write-dma-pipe", ({ cached }) => cached),
  },
  {
    text: "import and first open above bare Deno, ms",
    most: 25,
    measured: (figures) => figures.rate("start-dma") - figures.rate("start-deno"),
  },
  {
    text: "records of 100 bytes by write(), million a second",
    least: 8,
    measured: (figures) => figures.rate("records-dma"),
  },
  times("files of 4 KiB one by one beside Deno", 1, "files-dma-1", "files-deno-1"),
  times("files of 4 KiB, 50 at once, beside Deno one by one", 3, "files-dma-50", "files-deno-1"),
  times("files of 4 KiB, 50 at once, beside Deno 50 at once", 3, "files-dma-50", "files-deno-50"),
  times("reading by for await beside FsFile.readable", 4, "read-dma", "read-deno"),
  times("reading by for await beside fio 1 MiB × 4", 0.95, "read-dma", "read-fio-1m"),
  times(
    "reading by for await beside fio, the fastest of its settings",
    0.95,
    "read-dma",
    "read-fio-1m",
    "read-fio-128k",
    "read-fio-best",
  ),
  times("reading by BYOB beside fio 1 MiB × 4", 0.95, "read-dma-byob", "read-fio-1m"),
  times(
    "reading by for await beside glommio's reader, the fastest",
    1,
    "read-dma",
    "read-glommio",
    "read-glommio-1m",
    "read-glommio-best",
  ),
  {
    text: "copying beside the slower of fio's reading and writing, 1 MiB × 4, extending",
    least: 0.9,
    measured: (figures) =>
      figures.rate("copy-dma") /
      Math.min(figures.rate("read-fio-1m"), figures.rate("write-fio-1m")),
  },
];

/** The goals that the report has figures for, as a Markdown table. */
export function goalsTable(report: Report): string | undefined {
  const figures = new Figures(report.results);
  const rows = GOALS.flatMap(({ text, least, most, measured }) => {
    const value = measured(figures);
    if (Number.isNaN(value)) return [];
    const asked = least !== undefined
      ? `at least ${showNumber(least)}`
      : most !== undefined
      ? `at most ${showNumber(most)}`
      : "–";
    const reached = value >= (least ?? -Infinity) && value <= (most ?? Infinity);
    const verdict = asked === "–" ? "–" : reached ? "yes" : "**no**";
    return [`| ${text} | ${asked} | ${showNumber(value)} | ${verdict} |`];
  });
  if (rows.length === 0) return undefined;
  return [
    "## Goals",
    "",
    "| | asked | measured | reached |",
    "|---|--:|--:|---|",
    ...rows,
  ].join("\n");
}
