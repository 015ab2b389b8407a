// The goals of this module beside the measurements.

import type { Report, Result } from "./result.ts";
import { markdownTable } from "./markdown.ts";
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

const PIPE = "write-dma-pipe";
const NODE = ["write-node", "write-node-1m", "write-node-4m"];
const BUN = ["write-bun", "write-bun-1m"];
const FIO = ["write-fio-1m", "write-fio-1m-allocated", "write-fio-best"];
const GLOMMIO = ["write-glommio", "write-glommio-1m", "write-glommio-best"];

const least = (text: string, least: number, measured: Goal["measured"]) => ({
  text,
  least,
  measured,
});
const most = (text: string, most: number, measured: Goal["measured"]) => ({ text, most, measured });

const READS = ["read-fio-1m", "read-fio-128k", "read-fio-best"];
const GLOMMIO_READS = ["read-glommio", "read-glommio-1m", "read-glommio-best"];

const GOALS: readonly Goal[] = [
  times("pipeTo beside FsFile.writable", 5, PIPE, "write-deno"),
  times("pipeTo beside Node, the fastest of its settings", 1.7, PIPE, ...NODE),
  times("pipeTo beside Bun, the fastest of its settings", 1.2, PIPE, ...BUN),
  times("pipeTo beside fio 1 MiB × 4, extending", 0.95, PIPE, "write-fio-1m"),
  times("pipeTo beside fio 1 MiB × 4, allocated", 0.95, PIPE, "write-fio-1m-allocated"),
  times("pipeTo beside fio, the fastest of its settings", 0.9, PIPE, ...FIO),
  times("128 KiB × 4 beside glommio's writer", 1.5, "write-dma-128k", "write-glommio"),
  times("pipeTo beside glommio's writer, the fastest", 1, PIPE, ...GLOMMIO),
  most("CPU s/GiB of pipeTo, above bare Deno's start", 0.25, (all) => all.cpuAboveStart(PIPE)),
  most(
    "the same as a share of FsFile.writable's",
    1 / 7,
    (all) => all.cpuAboveStart(PIPE) / all.cpuAboveStart("write-deno"),
  ),
  most("timer late while writing, p99, ms", 1, (all) => all.of(PIPE, ({ delay }) => delay?.p99)),
  {
    text: "the same in Deno where nothing happens (for comparison)",
    measured: (all) => all.of("start-deno-idle", ({ delay }) => delay?.p99),
  },
  most("page cache left after writing, bytes", 0, (all) => all.of(PIPE, ({ cached }) => cached)),
  most(
    "import and first open above bare Deno, ms",
    25,
    (all) => all.rate("start-dma") - all.rate("start-deno"),
  ),
  least("records of 100 bytes by write(), million a second", 8, (all) => all.rate("records-dma")),
  times("files of 4 KiB one by one beside Deno", 1, "files-dma-1", "files-deno-1"),
  times("files of 4 KiB, 50 at once, beside Deno one by one", 3, "files-dma-50", "files-deno-1"),
  times("files of 4 KiB, 50 at once, beside Deno 50 at once", 3, "files-dma-50", "files-deno-50"),
  times("reading by for await beside FsFile.readable", 4, "read-dma", "read-deno"),
  times("reading by for await beside fio 1 MiB × 4", 0.95, "read-dma", "read-fio-1m"),
  times("reading by for await beside fio, the fastest of its settings", 0.95, "read-dma", ...READS),
  times("reading by BYOB beside fio 1 MiB × 4", 0.95, "read-dma-byob", "read-fio-1m"),
  times(
    "reading by for await beside glommio's reader, the fastest",
    1,
    "read-dma",
    ...GLOMMIO_READS,
  ),
  least(
    "copying beside the slower of fio's reading and writing, 1 MiB × 4, extending",
    0.9,
    (all) => all.rate("copy-dma") / Math.min(all.rate("read-fio-1m"), all.rate("write-fio-1m")),
  ),
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
    return [[text, asked, showNumber(value), verdict]];
  });
  if (rows.length === 0) return undefined;
  return `## Goals\n\n${markdownTable(["", "asked", "measured", "reached"], rows)}`;
}
