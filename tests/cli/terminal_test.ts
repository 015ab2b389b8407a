// What people see: sizes and times, help, and on a terminal bars and colours, which leave it clean.

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { STOPPING_SIGNALS } from "../../cli/exit_codes.ts";
import { progressLine } from "../../cli/progress.ts";
import * as units from "../../cli/units.ts";
import { DEFAULT_BUFFER_SIZE, DEFAULT_WRITE_BEHIND } from "../../mod.ts";
import { run } from "../setup/command.ts";
import { MIB, pattern } from "../support/bytes.ts";
import { testOnce } from "../support/dirs.ts";
import { COMMANDS, DMA, succeeds, testDma } from "./process.ts";

const TIB = 1024 ** 4;
const ESCAPE = "\x1b";

/** Functions of cli/units.ts, their arguments, and their results. */
const texts: [name: keyof typeof units, given: unknown[], text: unknown][] = [
  ["parseSize", ["512k"], 524_288],
  ["parseSize", ["1MiB"], MIB],
  ["parseSize", ["2GB"], 2 * 1024 ** 3],
  ...["", "K", "-1", "1.5M", "1X", "1e6", "9999999999999999999", "0x10"]
    .map((wrong): [keyof typeof units, unknown[], unknown] => ["parseSize", [wrong], undefined]),
  ["formatSize", [1], "1 byte"],
  ["formatSize", [TIB - 4096], "1.0 TiB"],
  ["formatDuration", [59], "59 s"],
  ["formatDuration", [65.4], "1:05"],
  ["formatDuration", [3723], "1:02:03"],
  ["formatCount", [1023], "1023 bytes"],
  ["formatCount", [200_001], "200001 bytes (195.3 KiB)"],
  ["formatRate", [0, 0], "0 bytes/s"],
  ["formatRate", [10, 3], "3 bytes/s"],
  ["formatRate", [3 * 1024 * MIB, 2], "1.5 GiB/s"],
  // The rate of what is little and quick would measure the latency.
  ["formatPace", [5, 0.0003], "1 ms"],
  ["formatPace", [MIB, 0.5], "500 ms, 2 MiB/s"],
  ["formatPace", [5000, 2], "2.00 s, 2.4 KiB/s"],
  ["formatPace", [MIB, 3723], "1:02:03, 282 bytes/s"],
];

testOnce("Sizes, rates and times are as people type and read them", () => {
  for (const [name, given, text] of texts) {
    const format = units[name] as (...given: unknown[]) => unknown;
    assertEquals(format(...given), text, `${name}(${given})`);
  }
});

testOnce("The progress line shows position, rate and remaining time, and fits", () => {
  assertEquals(
    progressLine({ done: 25 * MIB, total: 100 * MIB, seconds: 5, columns: 80 }),
    `${"#".repeat(9)}${"-".repeat(26)}  25%  25 MiB of 100 MiB  5 MiB/s  15 s left`,
  );
  assertEquals(
    progressLine({ done: 25 * MIB, total: undefined, seconds: 65, columns: 80 }),
    "25 MiB  393.8 KiB/s  1:05",
  );
  for (const total of [undefined, 0, 1, 3 * TIB]) {
    for (let columns = 1; columns <= 120; columns++) {
      for (const done of [0, total ?? 12_345_678_901]) {
        const line = progressLine({ done, total, seconds: done && 4321, columns });
        assert(line.length < columns, `${columns} columns: '${line}'`);
        assert(columns < 8 || /^[\d#-]/.test(line), `${columns} columns: '${line}'`);
        assert(!/NaN|Infinity/.test(line), line);
      }
    }
  }
});

/** The output, without any permission. */
async function printed(...args: string[]): Promise<string> {
  return (await succeeds(args, undefined, { flags: [] })).output;
}

testOnce("The help fits 80 columns, agrees with the code, and needs no permission", async () => {
  for (const args of [[], ...COMMANDS.map((command) => [command])]) {
    const text = await printed(...args, "--help");
    for (const line of text.split("\n")) assert(line.length <= 80, `${line.length}: ${line}`);
    assertStringIncludes(text, "\nExamples:\n");
  }
  const all = await printed("--help");
  for (const command of COMMANDS) assertMatch(all, new RegExp(`^  ${command} .* {2}\\S`, "m"));
  for (const code of [0, 1, 2, ...Object.values(STOPPING_SIGNALS)]) {
    assertMatch(all, new RegExp(`^  ${code} +\\S`, "m"));
  }
  const copy = await printed("help", "copy");
  assertEquals(copy, await printed("copy", "--help"));
  const size = units.formatSize(DEFAULT_BUFFER_SIZE);
  assertStringIncludes(copy, `${size} buffers, ${DEFAULT_WRITE_BEHIND} in flight`);
  assertStringIncludes(copy, `(default: ${DEFAULT_WRITE_BEHIND})`);
  assertMatch(await printed("--version"), /^\d+\.\d+\.\d+/);
});

/** Runs a shell command that has `dma` on a terminal. Its output lacks the sequences that clear Deno's line about loading. */
async function onTerminal(dir: string, command: string, columns = 80): Promise<string> {
  const line = `stty cols ${columns} rows 24; unset NO_COLOR; dma() { ${DMA.join(" ")} "$@"; }; `;
  const options = { cwd: dir, env: { SHELL: "/bin/sh" } };
  const { stdout } = await run("script", ["-qec", line + command, "/dev/null"], options);
  // deno-lint-ignore no-control-regex
  return stdout.replace(/^(\x1b\[0G\x1b\[2K\x1b\[J)+/, "");
}

/** The last line, in place of a bar that was cleared. */
// deno-lint-ignore no-control-regex
const LAST = /\r\x1b\[Kdma: wrote (\d+) bytes [^\r\n\x1b]*; synced\r\n$/;

function testOnTerminal(name: string, fn: (dir: string) => Promise<void>): void {
  testDma(name, fn, { needs: ["script"] });
}

testOnTerminal("dma copy draws a bar where it fits, and leaves its last line", async (dir) => {
  await Deno.writeFile(`${dir}/in`, pattern(20 * MIB));
  for (const columns of [30, 80]) {
    const sent = await onTerminal(dir, "dma copy in out", columns);
    assertMatch(sent, /of 20 MiB/);
    assertEquals(sent.includes("-----"), columns === 80);
    assertEquals(LAST.exec(sent)?.[1], "20971520", sent);
    // The command changes no mode of the terminal, so it leaves none changed.
    assert(!sent.includes(`${ESCAPE}[?`), sent);
  }
  const plain = await onTerminal(dir, "dma copy --no-progress in out");
  assert(!plain.includes(ESCAPE), plain);
  assertEquals(await onTerminal(dir, "dma copy --quiet in out"), "");
});

testOnTerminal("dma write shows the bytes of a pipe, between lines of others", async (dir) => {
  const input = "head -c 999999 /dev/zero; until [ -e out ]; do sleep 1; done; sleep 1; echo";
  const sent = await onTerminal(dir, `(${input}; echo other >&2) | dma write out`);
  assertMatch(sent, /\[K976\.6 KiB {2}[\d.]+ [KM]iB\/s {2}\d+ s/);
  assertStringIncludes(sent, "other\r\n");
  assertEquals(LAST.exec(sent)?.[1], "1000000", sent);
  assert(!sent.includes(`${ESCAPE}8`), "The cursor goes back to a place that has moved");
});

testOnTerminal("dma write prints that it waits for typed input, and draws no bar", async (dir) => {
  const sent = await onTerminal(dir, "dma write out");
  assertStringIncludes(sent, "Ctrl-D");
  assert(!sent.includes("B/s  "), sent);
});

testOnTerminal("dma paints on a terminal only, and not with NO_COLOR", async (dir) => {
  for (const command of ["dma doctor .", "dma --help", "dma write --help"]) {
    assertStringIncludes(await onTerminal(dir, command), `${ESCAPE}[1m`);
    for (const plain of [`export NO_COLOR=1; ${command}`, `${command} | cat`]) {
      assert(!(await onTerminal(dir, plain)).includes(ESCAPE), plain);
    }
  }
  await Deno.writeFile(`${dir}/in`, pattern(MIB));
  const copied = await onTerminal(dir, "dma copy in out 2>&1 | cat");
  assert(!copied.includes(ESCAPE), copied);
});
