// `bench`: its figures are consistent, and it leaves no file behind.

import { statfs } from "node:fs/promises";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { type BenchReport, type Measured, spread } from "../../cli/bench_report.ts";
import { benchLines } from "../../cli/bench_text.ts";
import { MIB, namesIn } from "../support/bytes.ts";
import { testOnce } from "../support/dirs.ts";
import { assertRefused, dma, succeeds, testDma } from "./process.ts";

const BRIEF = ["bench", "--seconds", "1", "--size", "1M"];

/** The output for rounds with these ratios. */
function lines(ratios: number[], fromDisk: number | null = null): string[] {
  const measured = (median: number): Measured => {
    return { rate: { median, min: median, max: median }, cpuPerGiB: 1, fromDisk };
  };
  const ratio = spread(ratios);
  const ahead = ratios.filter((one) => one > 1).length;
  const both = { dma: measured(MIB * ratio.median), deno: measured(MIB), ratio, ahead };
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
    const [dma, deno] = drawn.flatMap((line) => /[█▏▎▍▌▋▊▉]+/.exec(line) ?? []);
    assertEquals(Math.sign(dma!.length - deno!.length), Math.sign(ratio - 1));
  }
});

testOnce("The drawing claims nothing that rounds contradict, or that they cannot show", () => {
  const drawings: [ratios: number[], fromDisk: number | null, says: RegExp][] = [
    [[2, 3, 2.5], 1, /2\.50 times as fast.*2\.00\.\.3\.00, ahead in 3 of 3/],
    [[0.5, 3, 0.9, 2], 1, /No clear difference.*2 of 4/],
    [[2], 1, /one round is no proof[^]*Noise: unknown/],
    [[2], 1, /^Read, cold /m],
    [[2], 0.25, /^Read, 75 % cached /m],
    [[2], null, /^Read {2}/m],
  ];
  for (const [ratios, fromDisk, says] of drawings) {
    assertMatch(lines(ratios, fromDisk).join("\n"), says);
  }
});

testDma("dma bench measures both sides, with few permissions", async (dir) => {
  const flags = ["--allow-ffi", `--allow-read=${dir}`, `--allow-write=${dir}`];
  const args = [...BRIEF, dir];
  const { stdout } = await succeeds(args, undefined, { flags });
  assertMatch(stdout, /^Write, durable[^]*FsFile.writable[^]*^Read[^]*FsFile.readable[^]*^Noise:/m);
  const json = await succeeds([...args, "--json"]);
  const report: BenchReport = JSON.parse(json.stdout);
  const { directory, size, chunkSize, rounds } = report;
  assertEquals([directory, size, chunkSize], [dir, MIB, 65_536]);
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
  const refuses = async (args: string[], says: string | RegExp) =>
    assertRefused(await dma(["bench", ...args]), 1, says);
  await refuses([`${dir}/file`], /^dma: Cannot write in .*: it is not a directory\n$/);
  await refuses([`${dir}/no`], /; make it first: mkdir -p \/.*no\n$/);
  const { bavail, bsize } = await statfs(dir);
  // The largest size that it takes. A large disk has room for it.
  if (bavail * bsize < 2 * 1024 ** 4) {
    const says = /^dma: Too little free space in .* 2 files need 2 TiB; give a smaller --size/;
    await refuses(["--size", "1024G", dir], says);
  }
  assertEquals(await namesIn(dir), ["file"]);
});

testDma("dma bench warns that no disk is measured on tmpfs", async () => {
  const { stdout } = await succeeds([...BRIEF, "/dev/shm"]);
  assertMatch(stdout, /^Warning: tmpfs is memory: no disk was measured/m);
}, { ignore: !(await Deno.readTextFile("/proc/self/mounts")).includes(" /dev/shm tmpfs rw") });
