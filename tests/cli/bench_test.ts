// `bench`: what it says agrees with itself, and it leaves nothing behind, however it ends.
import { eventually } from "../support/descriptors.ts";
import {
  assert,
  assertEquals,
  assertGreater,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { type BenchReport, type Measured, spread } from "../../cli/bench_report.ts";
import { bar, benchLines } from "../../cli/bench_text.ts";
import { STOPPING_SIGNALS } from "../../cli/exit_codes.ts";
import { namesIn } from "../support/bytes.ts";
import { dma, output, spawn, testInDirectory } from "./process.ts";
import { testOnce } from "../support/once.ts";

const MIB = 1024 ** 2;

Deno.test("spread() gives the middle and the extremes", () => {
  assertEquals(spread([3]), { median: 3, min: 3, max: 3 });
  assertEquals(spread([10, 2, 4]), { median: 4, min: 2, max: 10 });
  assertEquals(spread([10, 2, 4, 5]), { median: 4.5, min: 2, max: 10 });
});

Deno.test("bar() fills eighths of a cell, and is never empty", () => {
  assertEquals([1, 0.5, 0.53125, 0.0001, 0].map((part) => bar(part, 4)), [
    "████",
    "██",
    "██▏",
    "▏",
    "▏",
  ]);
});

function report(ratios: number[], fromDisk: number | null = 1): BenchReport {
  const measured = (rate: number): Measured => ({
    rate: { median: rate * MIB, min: rate * MIB * 0.9, max: rate * MIB * 1.1 },
    cpuPerGiB: 1,
    fromDisk,
  });
  const ratio = spread(ratios);
  const both = {
    dma: measured(500 * ratio.median),
    deno: measured(500),
    ratio,
    ahead: ratios.filter((one) => one > 1).length,
  };
  return {
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
  };
}

Deno.test("The drawing fits 80 columns, and its longest bar is the faster side's", () => {
  for (const ratio of [0.1, 1, 20]) {
    const lines = benchLines(report([ratio, ratio, ratio]));
    for (const line of lines) assert(line.length <= 80, `${line.length}: ${line}`);
    const cells = (name: string) =>
      /[█▏▎▍▌▋▊▉]+/.exec(lines.find((line) => line.includes(name)) ?? "")![0].length;
    assertEquals(Math.sign(cells("this module") - cells("FsFile.writable")), Math.sign(ratio - 1));
  }
});

Deno.test("The drawing claims nothing that rounds contradict, or that one round cannot show", () => {
  assertMatch(benchLines(report([2, 3, 2.5])).join("\n"), /2\.50 times as fast.*ahead in 3 of 3/);
  assertMatch(benchLines(report([0.5, 3, 0.9, 2])).join("\n"), /No clear difference.*2 of 4/);
  assertMatch(benchLines(report([2])).join("\n"), /one round is no proof[^]*Noise: unknown/);
});

Deno.test("The chart calls a read cold only if the device delivered the bytes", () => {
  const heading = (fromDisk: number | null) =>
    benchLines(report([2, 2, 2], fromDisk)).find((line) => line.startsWith("Read"))!;
  assertStringIncludes(heading(1), "Read, cold ");
  assertStringIncludes(heading(0.25), "Read, 75 % cached ");
  assertStringIncludes(heading(null), "Read  ");
});

testInDirectory(
  "dma bench measures both sides within its time, and leaves nothing",
  async (dir) => {
    const began = performance.now();
    const { code, stdout, stderr } = await dma(["bench", "--seconds", "2", "--size", "2M", dir]);
    assertEquals([code, stderr], [0, ""]);
    for (const text of ["Write, durable", "FsFile.writable", "Read", "FsFile.readable", "Noise:"]) {
      assertStringIncludes(stdout, text);
    }
    assert(performance.now() - began < 20_000);
    assertEquals(await namesIn(dir), []);
  },
);

testInDirectory("dma bench --json says the same to programs", async (dir) => {
  const { code, stdout } = await dma(["bench", "--json", "--seconds", "1", "--size", "1M", dir]);
  assertEquals(code, 0);
  const report: BenchReport = JSON.parse(stdout);
  assertEquals([report.directory, report.size, report.chunkSize], [dir, MIB, 65_536]);
  assertGreater(report.rounds, 0);
  assertEquals(typeof report.direct, "boolean");
  for (const { dma, deno, ratio, ahead } of [report.write, report.read]) {
    for (const { rate: { median, min, max }, cpuPerGiB } of [dma, deno]) {
      assert(min > 0 && min <= median && median <= max);
      assert(cpuPerGiB >= 0);
    }
    assert(ratio.min > 0 && ahead <= report.rounds);
  }
});

testInDirectory("dma bench needs only the permissions for its directory", async (dir) => {
  const flags = ["--allow-ffi", `--allow-read=${dir}`, `--allow-write=${dir}`];
  const args = ["bench", "--seconds", "1", "--size", "1M", dir];
  const { code, stdout, stderr } = await dma(args, undefined, { flags });
  assertEquals([code, stderr], [0, ""]);
  assertStringIncludes(stdout, "Write, durable");
});

for (const signals of [["SIGINT"], ["SIGTERM"], ["SIGINT", "SIGTERM"]] as const) {
  testInDirectory(`dma bench leaves nothing behind after ${signals.join(" and ")}`, async (dir) => {
    const child = spawn("bench", "--seconds", "60", "--size", "64M", dir);
    const ran = output(child);
    await eventually(async () => {
      const [inside] = await namesIn(dir);
      return inside !== undefined && (await namesIn(`${dir}/${inside}`)).includes("dma");
    }, "Nothing was written");
    for (const signal of signals) child.kill(signal);
    const { code, stdout } = await ran;
    await child.stdin.close().catch(() => {});
    // The second one can come when everything is over already.
    const codes = signals.map((signal) => STOPPING_SIGNALS[signal]);
    assert(codes.includes(code as typeof codes[number]), `${code}`);
    assertEquals(stdout, "");
    assertEquals(await namesIn(dir), []);
  });
}

testInDirectory("dma bench refuses a size that the free space does not hold", async (dir) => {
  const { code, stderr } = await dma(["bench", "--size", "1024G", dir]);
  assertEquals(code, 1);
  assertMatch(
    stderr,
    /^dma: Too little free space in .* 2 files need 2 TiB; give a smaller --size/,
  );
  assertEquals(await namesIn(dir), []);
});

testInDirectory("dma bench names what is wrong with its directory", async (dir) => {
  await Deno.writeTextFile(`${dir}/file`, "");
  const file = await dma(["bench", `${dir}/file`]);
  assertEquals(file.code, 1);
  assertMatch(file.stderr, /^dma: Cannot write in .*: it is not a directory\n$/);
  const missing = await dma(["bench", `${dir}/missing`]);
  assertEquals(missing.code, 1);
  assertMatch(missing.stderr, /; make it first: mkdir -p \/.*missing\n$/);
});

testInDirectory("dma bench warns that no disk is measured on tmpfs", async () => {
  const { code, stdout } = await dma(["bench", "--seconds", "1", "--size", "1M", "/dev/shm"]);
  assertEquals(code, 0);
  assertMatch(stdout, /^Warning: tmpfs is memory: no disk was measured/m);
}, { ignore: !(await Deno.readTextFile("/proc/self/mounts")).includes(" /dev/shm tmpfs rw") });

testOnce("dma bench ends with 2 if its options are wrong", async () => {
  for (
    const wrong of [["--seconds", "0"], ["--seconds", "1.5"], ["--size", "1K"], ["--size", "x"]]
  ) {
    assertEquals((await dma(["bench", ...wrong])).code, 2, `${wrong}`);
  }
});
