// `bench`: its figures are consistent, and it leaves no file behind.

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { type BenchReport, type Measured, spread } from "../../cli/bench_report.ts";
import { benchLines } from "../../cli/bench_text.ts";
import { namesIn } from "../support/bytes.ts";
import { testOnce } from "../support/once.ts";
import { assertRefused, dma, succeeds, testDma } from "./process.ts";

const MIB = 1024 ** 2;

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

testOnce("The drawing fits 80 columns, and its longest bar is the faster side's", () => {
  for (const ratio of [0.0001, 0.1, 1, 20]) {
    const drawn = lines([ratio, ratio, ratio]);
    for (const line of drawn) assert(line.length <= 80, `${line.length}: ${line}`);
    const cells = (name: string) =>
      /[█▏▎▍▌▋▊▉]+/.exec(drawn.find((line) => line.includes(name)) ?? "")![0].length;
    assertEquals(Math.sign(cells("this module") - cells("FsFile.writable")), Math.sign(ratio - 1));
  }
});

testOnce("The drawing claims nothing that rounds contradict, or that they cannot show", () => {
  assertMatch(
    lines([2, 3, 2.5]).join("\n"),
    /2\.50 times as fast.*2\.00\.\.3\.00, ahead in 3 of 3/,
  );
  assertMatch(lines([0.5, 3, 0.9, 2]).join("\n"), /No clear difference.*2 of 4/);
  assertMatch(lines([2]).join("\n"), /one round is no proof[^]*Noise: unknown/);
  const reads = [[1, ", cold "], [0.25, ", 75 % cached "], [null, "  "]] as const;
  for (const [fromDisk, says] of reads) {
    const heading = lines([2, 2, 2], fromDisk).find((line) => line.startsWith("Read"));
    assertStringIncludes(heading!, `Read${says}`);
  }
});

testDma("dma bench measures both sides, with few permissions and in time", async (dir) => {
  const began = performance.now();
  const flags = ["--allow-ffi", `--allow-read=${dir}`, `--allow-write=${dir}`];
  const args = ["bench", "--seconds", "1", "--size", "1M", dir];
  const { stdout } = await succeeds(args, undefined, { flags });
  for (const text of ["Write, durable", "FsFile.writable", "Read", "FsFile.readable", "Noise:"]) {
    assertStringIncludes(stdout, text);
  }
  const json = await succeeds([...args, "--json"]);
  assert(performance.now() - began < 40_000);
  const report: BenchReport = JSON.parse(json.stdout);
  const { directory, size, chunkSize, rounds, direct } = report;
  assertEquals([directory, size, chunkSize, typeof direct], [dir, MIB, 65_536, "boolean"]);
  assert(rounds > 0);
  for (const { dma, deno, ratio, ahead } of [report.write, report.read]) {
    for (const { rate: { median, min, max }, cpuPerGiB } of [dma, deno]) {
      assert(min > 0 && min <= median && median <= max && cpuPerGiB >= 0);
    }
    assert(ratio.min > 0 && ahead <= rounds);
  }
  assertEquals(await namesIn(dir), []);
});

testDma("dma bench names what is wrong with its directory", async (dir) => {
  await Deno.writeTextFile(`${dir}/file`, "");
  const room = /^dma: Too little free space in .* 2 files need 2 TiB; give a smaller --size/;
  const refused: [args: string[], says: string | RegExp][] = [
    [["--size", "1024G", dir], room],
    [[`${dir}/file`], /^dma: Cannot write in .*: it is not a directory\n$/],
    [[`${dir}/no`], /; make it first: mkdir -p \/.*no\n$/],
  ];
  for (const [args, says] of refused) assertRefused(await dma(["bench", ...args]), 1, says);
  assertEquals(await namesIn(dir), ["file"]);
});

testDma("dma bench warns that no disk is measured on tmpfs", async () => {
  const { stdout } = await succeeds(["bench", "--seconds", "1", "--size", "1M", "/dev/shm"]);
  assertMatch(stdout, /^Warning: tmpfs is memory: no disk was measured/m);
}, { ignore: !(await Deno.readTextFile("/proc/self/mounts")).includes(" /dev/shm tmpfs rw") });
