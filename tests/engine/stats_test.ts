// ioStats, engineInfo and configure: counters, facts and options of the engine. What is process-wide is tested in another.

import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { configure, DmaFile, engineInfo, ioStats } from "../../mod.ts";
import type { EngineInfo, EngineOptions, IoStats } from "../../mod.ts";
import { resultOf } from "../faults/programs.ts";
import { filled, openPattern, pattern } from "../support/bytes.ts";
import { runChild } from "../support/child.ts";
import { testDirectAndCached, testInOneDirectory } from "../support/dirs.ts";
import { engine } from "../support/engine.ts";

/** The increase of each counter. */
async function growth(work: () => Promise<unknown>): Promise<IoStats> {
  const before = ioStats();
  await work();
  const grown = ioStats();
  for (const name of Object.keys(grown) as (keyof IoStats)[]) grown[name] -= before[name];
  return grown;
}

/** The values that a child prints by `say`. Its `info` opens a first file and returns `engineInfo()`. */
// deno-lint-ignore no-explicit-any
async function said(code: string, env: Record<string, string> = {}): Promise<any[]> {
  const prelude = `
    const say = (thing) => console.log(JSON.stringify(thing));
    const info = async () => {
      await (await dma.DmaFile.temp()).close();
      return dma.engineInfo();
    };`;
  const ended = await runChild(prelude + code, { env: { DMA_ENGINE: "", ...env } });
  assertEquals(ended.code, 0, ended.output);
  return ended.output.split("\n").map((line) => JSON.parse(line));
}

/** What is no count of operations or of their bytes. */
const OTHERS = /^(submissions|wakeups|queueFull|inFlight|pool.*)$/;

testInOneDirectory("To replace a large file wakes the event loop few times", async (_dir, path) => {
  await Deno.writeFile(path, new Uint8Array(50_000));
  const replacing = async () => await (await DmaFile.create(path, { atomic: true })).close();
  const { wakeups } = await growth(replacing);
  assert(wakeups < 30, `${wakeups} wake-ups`);
});

testDirectAndCached("ioStats() counts operations and bytes", async (dir) => {
  await using file = await DmaFile.create(dir.file("file"));
  const block = file.alignment.offset;
  const counts = async (expected: Partial<IoStats>, work: () => Promise<unknown>) => {
    const grown = await growth(() => work().catch(() => {}));
    const counted = Object.entries(grown).filter(([name, by]) => by > 0 && !OTHERS.test(name));
    assertEquals(Object.fromEntries(counted), expected);
  };
  await counts({ writes: 1, bytesWritten: 2 * block }, () => file.writeAt(filled(2 * block, 1), 0));
  await counts({ reads: 1, bytesRead: block }, () => file.readAt(0, 500));
  await counts({ reads: 1, bytesRead: 2 * block }, () => file.readAtAligned(0, 2 * block));
  await counts({ reads: 1, otherOperations: 1 }, () => file.readAt(1 << 20, 100));
  await counts({ syncs: 1 }, () => file.sync());
  await counts({ otherOperations: 1 }, () => file.truncate(5000));
  await counts({ failed: 1, otherOperations: 1 }, () => DmaFile.open(dir.file("missing")));
});

testDirectAndCached("ioStats() shows what is in flight and what memory is used", async (dir) => {
  await using file = await openPattern(dir.file("file"), 1 << 20);
  const { reads, submissions } = await growth(async () => {
    const reading = Array.from({ length: 20 }, (_, index) => file.readAt(index * 4096, 4096));
    assertEquals(ioStats().inFlight, 20);
    await Promise.all(reading);
  });
  // Operations are handed over together, or each by its own call, also one that had to wait for a thread.
  assertEquals([reads, ioStats().inFlight], [20, 0]);
  if (engine.name === "io_uring") assert(submissions < 20, `${submissions} submissions`);
  else assertEquals(submissions, 20);
  const reader = file.readable.getReader();
  await reader.read();
  const { poolBuffers, poolBytesUsed, poolBytes } = ioStats();
  assert(poolBuffers > 0 && poolBytesUsed >= 65_536 && poolBytes >= poolBytesUsed);
  await reader.cancel();
  Object.assign(ioStats(), { poolBuffers: 9 }); // The object is the caller's own, as the list below.
  assertEquals([ioStats().poolBuffers, ioStats().poolBytesUsed], [0, 0]);
});

testInOneDirectory("engineInfo() returns the engine in use and the reason", async (dir) => {
  await using file = await DmaFile.create(dir.file("file"));
  const info = engineInfo();
  const isRing = engine.name === "io_uring";
  assertEquals([info.engine, file.engine], [engine.name, engine.name] as typeof info.engine[]);
  assertMatch(`${info.kernel}; ${info.reason}`, /^\d+\.\d+.*; \w+ \w+/);
  assertMatch(String(info.liburing), isRing ? /^\d+\.\d+/ : /^null$/);
  assertEquals([info.ringEntries >= 8, info.features.length > 0], [isRing, isRing]);
  assert(info.maxInFlight > 0);
  assert(info.features.push("mine") > engineInfo().features.length);
});

Deno.test("configure() and DMA_ENGINE choose the engine and its size", async () => {
  const choose = async (options: EngineOptions, fromEnvironment: string) =>
    (await said(
      `dma.configure({ engine: "io_uring" });
      dma.configure({ engine: "auto", ...${JSON.stringify(options)} });
      await info().then(say, ({ message }) => say(message));`,
      { DMA_ENGINE: fromEnvironment },
    ))[0];
  const cases: [EngineOptions, fromEnvironment: string, expected: Partial<EngineInfo>][] = [
    [{ engine: "threads", threads: 3 }, "", { reason: "set by configure", maxInFlight: 3 }],
    [{}, "threads", { engine: "threads", reason: "set by DMA_ENGINE" }],
  ];
  if (engine.name === "io_uring") {
    const small = { engine: engine.name, reason: "set by configure", ringEntries: 16 } as const;
    cases.push([{ engine: "io_uring", ringEntries: 9 }, "threads", { ...small, maxInFlight: 32 }]);
    cases.push([{}, "", { ringEntries: 256 }]);
  }
  for (const [options, fromEnvironment, expected] of cases) {
    const info = await choose(options, fromEnvironment);
    assertEquals({ ...info, ...expected }, info);
  }
  const wrong = 'Invalid DMA_ENGINE "thread": it must be "auto", "io_uring" or "threads"';
  assertEquals(await choose({}, "thread"), wrong);
});

Deno.test("configure() sets the memory of all streams", async () => {
  for (const [bufferBudget, expected] of [[0, 256 << 10], [8 << 20, 1 << 20]]) {
    const [used] = await said(`
      dma.configure({ bufferBudget: ${bufferBudget} });
      const writer = new dma.DmaStreamWriter(await dma.DmaFile.temp());
      await writer.write(new Uint8Array(300_000));
      say(dma.ioStats().poolBytesUsed);
      await writer.abort();`);
    assertEquals(used, expected);
  }
});

Deno.test("configure() names a wrong argument, and changes nothing", async () => {
  // A wrong option is reported even if an engine is in use.
  for (const [name, value] of [["ringEntries", 7], ["ringEntries", 32_769], ["threads", 25]]) {
    const says = `Invalid ${name} ${value}: it must be an integer from `;
    assertThrows(() => configure({ [name!]: value }), RangeError, says);
  }
  const { output } = await runChild(`
    dma.configure({ engine: "threads", threads: 2 });
    await report(() => dma.configure({ engine: "io_uring", threads: 0 }));
    const opening = dma.DmaFile.temp();
    await report(() => dma.configure({}));
    await (await opening).close();
    await report(() => dma.configure({}));
    const { engine, maxInFlight } = dma.engineInfo();
    console.log(engine, maxInFlight);`);
  const busy = "Busy: Cannot configure the engine: it is in use[^]*";
  assertMatch(output, new RegExp(`^RangeError: Invalid threads 0.*\n${busy}${busy}threads 2$`));
});

testDirectAndCached("Operations beyond the room of the engine wait", async (dir) => {
  await Deno.writeFile(dir.file("file"), pattern(1_100_000));
  const env = { DMA_ENGINE: engine.name };
  const { queueFull, ...found } = await resultOf("fullRing", [dir.file("file")], { env });
  assertEquals(found, { engine: engine.name, wrong: [], inFlight: 0 });
  assert(queueFull >= 100, `${queueFull} operations waited`);
});
