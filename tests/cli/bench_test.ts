// `bench`: its figures are consistent, and it leaves no file behind.

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { type BenchReport, type Measured, spread } from "../../cli/bench_report.ts";
import { bar, benchLines } from "../../cli/bench_text.ts";
import { namesIn } from "../support/bytes.ts";
import { dma, fails, succeeds, testInDirectory } from "./process.ts";

const MIB = 1024 ** 2;

Deno.test("spread() gives the middle and the extremes", () => {
  assertEquals(spread([3]), { median: 3, min: 3, max: 3 });
  assertEquals(spread([10, 2, 4]), { median: 4, min: 2, max: 10 });
  assertEquals(spread([10, 2, 4, 5]), { median: 4.5, min: 2, max: 10 });
});

Deno.test("bar() fills eighths of a cell, and is never empty", () => {
  const bars = [1, 0.5, 0.53125, 0.0001, 0].map((part) => bar(part, 4));
  assertEquals(bars, ["████", "██", "██▏", "▏", "▏"]);
});

/** The output for rounds with these ratios. */
function lines(ratios: number[], fromDisk: number | null = 1): string[] {
  const measured = (rate: number): Measured => ({
    rate: { median: rate * MIB, min: rate * MIB * 0.9, max: rate * MIB * 1.1 },
    cpuPerGiB: 1,
    fromDisk,
  });
  const ratio = spread(ratios);
  const ahead = ratios.filter((one) => one > 1).length;
  const both = { dma: measured(500 * ratio.median), deno: measured(500), ratio, ahead };
  return benchLines({
    directory: "/mnt",
    mount: null,
    direct: true,
    engine: "io_uring",
    size: 64 * MIB,
    chunkSize: 65_536,
    rounds: ratios.length,
    seconds: 10,
    write: both,
    read: both,
    warnings: [],
  });
}

Deno.test("The drawing fits 80 columns, and its longest bar is the faster side's", () => {
  for (const ratio of [0.1, 1, 20]) {
    const drawn = lines([ratio, ratio, ratio]);
    for (const line of drawn) assert(line.length <= 80, `${line.length}: ${line}`);
    const cells = (name: string) =>
      /[█▏▎▍▌▋▊▉]+/.exec(drawn.find((line) => line.includes(name)) ?? "")![0].length;
    assertEquals(Math.sign(cells("this module") - cells("FsFile.writable")), Math.sign(ratio - 1));
  }
});

Deno.test("The drawing claims nothing that rounds contradict, or that one round cannot show", () => {
  assertMatch(lines([2, 3, 2.5]).join("\n"), /2\.50 times as fast.*ahead in 3 of 3/);
  assertMatch(lines([0.5, 3, 0.9, 2]).join("\n"), /No clear difference.*2 of 4/);
  assertMatch(lines([2]).join("\n"), /one round is no proof[^]*Noise: unknown/);
});

Deno.test("The chart calls a read cold only if the device delivered the bytes", () => {
  for (
    const [fromDisk, says] of [[1, ", cold "], [0.25, ", 75 % cached "], [null, "  "]] as const
  ) {
    const heading = lines([2, 2, 2], fromDisk).find((line) => line.startsWith("Read"));
    assertStringIncludes(heading!, `Read${says}`);
  }
});

testInDirectory("dma bench measures both sides, with few permissions and in time", async (dir) => {
  const began = performance.now();
  const flags = ["--allow-ffi", `--allow-read=${dir}`, `--allow-write=${dir}`];
  const args = ["bench", "--seconds", "2", "--size", "2M", dir];
  const { stdout, stderr } = await succeeds(args, undefined, { flags });
  assertEquals(stderr, "");
  for (const text of ["Write, durable", "FsFile.writable", "Read", "FsFile.readable", "Noise:"]) {
    assertStringIncludes(stdout, text);
  }
  assert(performance.now() - began < 20_000);
  assertEquals(await namesIn(dir), []);
});

testInDirectory("dma bench --json prints the same figures for programs", async (dir) => {
  const { stdout } = await succeeds(["bench", "--json", "--seconds", "1", "--size", "1M", dir]);
  const report: BenchReport = JSON.parse(stdout);
  const { directory, size, chunkSize, rounds, direct } = report;
  assertEquals([directory, size, chunkSize, typeof direct], [dir, MIB, 65_536, "boolean"]);
  assert(rounds > 0);
  for (const { dma, deno, ratio, ahead } of [report.write, report.read]) {
    for (const { rate: { median, min, max }, cpuPerGiB } of [dma, deno]) {
      assert(min > 0 && min <= median && median <= max && cpuPerGiB >= 0);
    }
    assert(ratio.min > 0 && ahead <= rounds);
  }
});

testInDirectory("dma bench names what is wrong with its directory", async (dir) => {
  await Deno.writeTextFile(`${dir}/file`, "");
  const room = /^dma: Too little free space in .* 2 files need 2 TiB; give a smaller --size/;
  await fails(1, ["bench", "--size", "1024G", dir], room);
  await fails(1, ["bench", `${dir}/file`], /^dma: Cannot write in .*: it is not a directory\n$/);
  await fails(1, ["bench", `${dir}/no`], /; make it first: mkdir -p \/.*no\n$/);
  assertEquals(await namesIn(dir), ["file"]);
});

testInDirectory("dma bench warns that no disk is measured on tmpfs", async () => {
  const { code, stdout } = await dma(["bench", "--seconds", "1", "--size", "1M", "/dev/shm"]);
  assertEquals(code, 0);
  assertMatch(stdout, /^Warning: tmpfs is memory: no disk was measured/m);
}, { ignore: !(await Deno.readTextFile("/proc/self/mounts")).includes(" /dev/shm tmpfs rw") });
