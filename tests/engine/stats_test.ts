// ioStats, engineInfo and configure: the counters, the facts of the engine, and its options. Process-wide behaviour is
// tested in a separate process.

import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { configure, DmaFile, engineInfo, type IoStats, ioStats } from "../../mod.ts";
import { filled, pattern } from "../support/bytes.ts";
import { runChild } from "../support/child.ts";
import { testDirectAndCached, testInOneDirectory } from "../support/dirs.ts";
import { engine } from "../support/engine.ts";
import { openPattern } from "../support/patterned.ts";

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

// ---- ioStats() -------------------------------------------------------------------------------------------------

const COUNTERS = [
  "reads",
  "writes",
  "syncs",
  "otherOperations",
  "bytesRead",
  "bytesWritten",
  "failed",
] as const;

testDirectAndCached("ioStats() counts operations and bytes", async (dir) => {
  await using file = await DmaFile.create(dir.file("file"));
  const block = file.alignment.offset;
  const counts = async (expected: Partial<IoStats>, work: () => Promise<unknown>) => {
    const grown = await growth(() => work().catch(() => {}));
    const counted = COUNTERS.filter((name) => grown[name] > 0).map((name) => [name, grown[name]]);
    assertEquals(Object.fromEntries(counted), expected);
  };
  await counts({ writes: 1, bytesWritten: 2 * block }, () => file.writeAt(filled(2 * block, 1), 0));
  await counts({ reads: 1, bytesRead: block }, () => file.readAt(0, 500));
  await counts({ reads: 1, bytesRead: 2 * block }, () => file.readAtAligned(0, 2 * block));
  await counts({ reads: 1, otherOperations: 1 }, () => file.readAt(1 << 20, 100));
  await counts({ syncs: 1 }, () => file.sync());
  await counts({ syncs: 1 }, () => file.syncData());
  await counts({ otherOperations: 1 }, () => file.truncate(5000));
  await counts({ otherOperations: 1 }, () => file.preallocate(10_000));
  await counts({ otherOperations: 1 }, () => file.size());
  await counts({ failed: 1, otherOperations: 1 }, () => DmaFile.open(dir.file("missing")));
  await counts({}, () => file.writeAt(filled(1, 1), 0));
});

testDirectAndCached("ioStats() shows what is in flight and what memory is used", async (dir) => {
  await using file = await openPattern(dir.file("file"), 1 << 20);
  const before = ioStats();
  const { reads, submissions, wakeups } = await growth(async () => {
    const reading = Array.from({ length: 8 }, (_, index) => file.readAt(index * 65_536, 4096));
    assertEquals(ioStats().inFlight, before.inFlight + 8);
    await Promise.all(reading);
  });
  // Operations are handed over together.
  assertEquals([reads, ioStats().inFlight, before.inFlight], [8, 0, 0]);
  assert(wakeups > 0);
  if (engine.name === "io_uring") assert(submissions < 8, `${submissions} submissions`);
  else assertEquals(submissions, 8);
  const reader = file.readable.getReader();
  await reader.read();
  const during = ioStats();
  assert(during.poolBuffers > before.poolBuffers);
  assert(during.poolBytesUsed >= before.poolBytesUsed + 65_536);
  assert(during.poolBytes >= during.poolBytesUsed);
  await reader.cancel();
  const { poolBuffers, poolBytesUsed } = ioStats();
  assertEquals([poolBuffers, poolBytesUsed], [before.poolBuffers, before.poolBytesUsed]);
  // The result is the caller's own.
  const expected = { ...ioStats() };
  Object.assign(ioStats(), { reads: -1, inFlight: 99 });
  assertEquals(ioStats(), expected);
});

testDirectAndCached("Each Worker has an engine and counters of its own", async (dir) => {
  await Deno.writeFile(dir.file("file"), pattern(5000));
  const program = `
    import { DmaFile, engineInfo, ioStats } from "${new URL("../../mod.ts", import.meta.url)}";
    const before = [engineInfo().engine, ioStats().reads];
    const file = await DmaFile.open(${JSON.stringify(dir.file("file"))});
    await file.readAt(0, 10);
    await file.close();
    postMessage([...before, ioStats().reads]);`;
  const url = `data:text/javascript,${encodeURIComponent(program)}`;
  const { reads } = ioStats();
  const worker = new Worker(url, { type: "module" });
  const found = await new Promise((resolve) => worker.onmessage = ({ data }) => resolve(data));
  worker.terminate();
  assertEquals([found, ioStats().reads], [[null, 0, 1], reads]);
});

// ---- engineInfo() ----------------------------------------------------------------------------------------------

testInOneDirectory("engineInfo() returns the engine in use and the reason", async (dir) => {
  const info = engineInfo();
  await using file = await DmaFile.create(dir.file("file"));
  assertEquals([info.engine, file.engine], [engine.name, engine.name] as typeof info.engine[]);
  assertMatch(info.kernel, /^\d+\.\d+/);
  assertMatch(info.reason, /\w+ \w+/);
  assert(info.maxInFlight > 0);
  if (info.engine === "io_uring") {
    assertMatch(info.liburing ?? "", /^\d+\.\d+/);
    assert(info.ringEntries >= 8 && info.features.length > 0);
  } else {
    assertEquals([info.liburing, info.ringEntries, info.registeredBuffers], [null, 0, false]);
  }
  info.features.push("mine");
  assert(!engineInfo().features.includes("mine"));
});

Deno.test("Nothing is chosen and counted before the first file is opened", async () => {
  const [before, stats, after] = await said(
    "say(dma.engineInfo()); say(dma.ioStats()); say((await info()).engine);",
  );
  assertEquals(before.engine, null);
  assertEquals(before.reason, "not chosen before the first file is opened");
  assertEquals(Object.keys(stats), Object.keys(ioStats()));
  assertEquals(Object.values(stats).filter((value) => value !== 0), []);
  assert(after === "io_uring" || after === "threads", `${after}`);
});

// ---- configure() -----------------------------------------------------------------------------------------------

Deno.test("configure() and DMA_ENGINE choose the engine, its size and its memory", async () => {
  const choose = async (options: unknown, fromEnvironment = "") =>
    (await said(
      `dma.configure({ engine: "io_uring" });
      dma.configure({ engine: "auto", ...${JSON.stringify(options)} });
      await info().then(say, ({ message }) => say(message));`,
      { DMA_ENGINE: fromEnvironment },
    ))[0];
  const threads = await choose({ engine: "threads", threads: 3 });
  assertEquals([threads.engine, threads.maxInFlight], ["threads", 3]);
  assertEquals(threads.reason, "set by configure");
  const wrong = 'Invalid DMA_ENGINE "thread": it must be "auto", "io_uring" or "threads"';
  assertEquals(await choose({}, "thread"), wrong);
  const { engine: named, reason } = await choose({}, "threads");
  assertEquals([named, reason], ["threads", "set by DMA_ENGINE"]);
  const used = async (bufferBudget: number) =>
    (await said(`
      dma.configure({ bufferBudget: ${bufferBudget} });
      const writer = new dma.DmaStreamWriter(await dma.DmaFile.temp());
      await writer.write(new Uint8Array(300_000));
      say(dma.ioStats().poolBytesUsed);
      await writer.abort();`))[0];
  assertEquals([await used(0), await used(8 << 20)], [256 << 10, 1 << 20]);
  if (engine.name !== "io_uring") return;
  const small = await choose({ engine: "io_uring", ringEntries: 9 }, "threads");
  assertEquals([small.engine, small.reason], ["io_uring", "set by configure"]);
  assertEquals([small.ringEntries, small.maxInFlight], [16, 32]);
  assertEquals((await choose({})).ringEntries, 256);
});

Deno.test("configure() names a wrong argument, and changes nothing", async () => {
  // A wrong option is reported even if an engine is in use.
  for (
    const [options, message] of [
      [{ ringEntries: 7 }, "Invalid ringEntries 7: it must be an integer from 8 to"],
      [{ ringEntries: 32_769 }, "Invalid ringEntries 32769"],
      [{ threads: 0 }, "Invalid threads 0: it must be an integer from 1 to 24"],
      [{ threads: 25 }, "Invalid threads 25"],
    ] as const
  ) assertThrows(() => configure(options), RangeError, message);
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
  await Deno.writeFile(dir.file("file"), pattern(1 << 20));
  const options = { engine: engine.name, ringEntries: 8, threads: 2 };
  const [{ reads, queueFull, inFlight }, found] = await said(`
      dma.configure(${JSON.stringify(options)});
      const file = await dma.DmaFile.open(${JSON.stringify(dir.file("file"))});
      const results = await Promise.all(Array.from({ length: 200 }, (_, index) =>
        file.readAt(index * 5000, 5)));
      await file.close();
      say(dma.ioStats());
      say(results.map((bytes) => [...bytes]));`);
  assertEquals([reads, inFlight], [200, 0]);
  assert(queueFull >= 100, `${queueFull} operations waited`);
  assertEquals(found, Array.from({ length: 200 }, (_, index) => [...pattern(5, index * 5000)]));
});
