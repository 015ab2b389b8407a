// The chart of the front page and the figures beside it: those of the run that is kept in bench/results.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { overview } from "../../bench/harness/chart.ts";
import type { Report } from "../../bench/harness/result.ts";
import { showNumber } from "../../bench/harness/units.ts";
import { engineIsOfNoConcern } from "../support/once.ts";

const root = new URL("../../", import.meta.url);
const report: Report = JSON.parse(
  await Deno.readTextFile(new URL("bench/results/2026-11-24.json", root)),
);

function rate(id: string): string {
  return showNumber(report.results.find((result) => result.id === id)!.rate);
}

if (engineIsOfNoConcern) {
  Deno.test("The chart of the front page shows the run that is kept", async () => {
    assertEquals(await Deno.readTextFile(new URL("docs/writing.svg", root)), overview(report));
  });

  Deno.test("README.md and the page of figures quote the run that is kept", async () => {
    const readme = await Deno.readTextFile(new URL("README.md", root));
    const ids = ["dma-pipe", "deno", "node-1m", "bun-1m", "fio-1m-allocated", "glommio-1m"];
    const [ours, deno, node, bun, fio, glommio] = ids.map((id) => rate(`write-${id}`));
    const peers =
      `FsFile.writable ${deno}, Node ${node}, Bun ${bun}, fio ${fio}, glommio ${glommio}`;
    assertStringIncludes(readme, `this module ${ours} MiB/s, Deno's ${peers}`);
    const figures = await Deno.readTextFile(new URL("docs/performance.md", root));
    const others = ["read-dma", "read-dma-byob", "read-deno", "copy-dma", "copy-deno", "copy-dd"];
    for (const figure of [ours, deno, node, bun, fio, glommio, ...others.map(rate)]) {
      assertStringIncludes(figures, figure!);
    }
  });
}
