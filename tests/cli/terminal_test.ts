// Bars and colours appear on a terminal, not in a pipe, and the terminal is left clean.
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { progressLine } from "../../cli/progress.ts";
import { pattern } from "../support/bytes.ts";
import { dma, testInDirectory } from "./process.ts";
import { hasTerminals, onTerminal, screen } from "./terminal.ts";

const MIB = 1024 ** 2;
const ESCAPE = "\x1b";

function testOnTerminal(name: string, fn: (dir: string) => Promise<void>): void {
  testInDirectory(name, fn, { ignore: !hasTerminals });
}

Deno.test("The progress line shows position, rate and remaining time", () => {
  assertEquals(
    progressLine({ done: 25 * MIB, total: 100 * MIB, seconds: 5, columns: 80 }),
    `${"#".repeat(9)}${"-".repeat(26)}  25%  25 MiB of 100 MiB  5 MiB/s  15 s left`,
  );
  assertEquals(
    progressLine({ done: 25 * MIB, total: undefined, seconds: 65, columns: 80 }),
    "25 MiB  393.8 KiB/s  1:05",
  );
  // No time is left before the first byte.
  const first = progressLine({ done: 0, total: MIB, seconds: 0, columns: 80 });
  assert(!/left|NaN|Infinity/.test(first), first);
});

Deno.test("The progress line is shorter than any terminal, and its first figure stays", () => {
  for (const total of [undefined, 0, 1, 3 * 1024 ** 4]) {
    for (let columns = 1; columns <= 120; columns++) {
      for (const done of [0, total ?? 12_345_678_901]) {
        const line = progressLine({ done, total, seconds: 4321, columns });
        assert(line.length < columns, `${columns} columns: '${line}'`);
        assert(columns < 8 || /^[\d#-]/.test(line), `${columns} columns: '${line}'`);
      }
    }
  }
});

testOnTerminal("dma copy draws a bar where it fits, and leaves its last line", async (dir) => {
  await Deno.writeFile(`${dir}/in`, pattern(20 * MIB));
  for (const columns of [30, 80]) {
    const sent = await onTerminal(["copy", `${dir}/in`, `${dir}/out`], { columns });
    assertMatch(sent, /of 20 MiB/);
    assertEquals(sent.includes("-----"), columns === 80);
    const [written, rest, ...more] = screen(sent);
    assertMatch(written!, /^dma: wrote 20971520 bytes \(20 MiB\) to .*; synced$/);
    assertEquals([rest, more], ["", []], sent);
    // The command changes no mode of the terminal, so it leaves none changed.
    assert(!sent.includes(`${ESCAPE}[?`), sent);
  }
});

testOnTerminal("dma write shows the bytes so far if the total is unknown", async (dir) => {
  const sent = await onTerminal(["write", `${dir}/out`], {
    input: "(head -c 1000000 /dev/zero; sleep 0.4; echo)",
  });
  assertMatch(sent, /\[K976\.6 KiB {2}[\d.]+ [KM]iB\/s {2}\d+ s/);
  assertEquals(screen(sent).length, 2, sent);
  assertMatch(screen(sent)[0]!, /^dma: wrote 1000001 bytes/);
});

testOnTerminal("dma write leaves lines of other programs in place", async (dir) => {
  const sent = await onTerminal(["write", `${dir}/out`], {
    input: "(for i in 1 2 3; do echo; sleep 0.25; echo other $i >&2; done)",
  });
  const lines = screen(sent);
  for (const n of [1, 2, 3]) assert(lines.some((line) => line.endsWith(`other ${n}`)), sent);
  assertMatch(lines.at(-2)!, /^dma: wrote 3 bytes/);
  assert(!sent.includes(`${ESCAPE}8`), "The cursor goes back to a place that has moved");
});

testOnTerminal("dma write prints that it waits for typed input, and draws no bar", async (dir) => {
  const sent = await onTerminal(["write", `${dir}/out`]);
  assertStringIncludes(sent, "Ctrl-D");
  assert(!sent.includes("B/s  "), sent);
});

testOnTerminal("dma copy --no-progress and --quiet draw nothing", async (dir) => {
  await Deno.writeFile(`${dir}/in`, pattern(MIB));
  const plain = await onTerminal(["copy", "--no-progress", `${dir}/in`, `${dir}/out`]);
  assert(!plain.includes(ESCAPE), plain);
  assertEquals(await onTerminal(["copy", "--quiet", `${dir}/in`, `${dir}/out`]), "");
});

testInDirectory("dma draws and paints nothing in a pipe", async (dir) => {
  await Deno.writeFile(`${dir}/in`, pattern(MIB));
  for (const args of [["copy", `${dir}/in`, `${dir}/out`], ["doctor", dir], ["--help"]]) {
    const { stdout, stderr } = await dma(args, undefined, { env: { NO_COLOR: "" } });
    assert(!stdout.includes(ESCAPE) && !stderr.includes(ESCAPE), stdout + stderr);
  }
});

testOnTerminal("dma doctor and help are painted, and not with NO_COLOR", async (dir) => {
  for (const args of [["doctor", dir], ["--help"], ["write", "--help"]]) {
    assertStringIncludes(await onTerminal(args), `${ESCAPE}[1m`);
    assert(!(await onTerminal(args, { env: { NO_COLOR: "1" } })).includes(ESCAPE), `${args}`);
    assert(!(await onTerminal(args, { after: "| cat" })).includes(ESCAPE), `${args}`);
  }
});
