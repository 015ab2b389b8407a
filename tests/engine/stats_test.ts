// ioStats, engineInfo and configure: the counters, the facts of the engine, and its options. Process-wide behaviour is
// tested in a separate process.

import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import {
  configure,
  DmaFile,
  type EngineInfo,
  engineInfo,
  type IoStats,
  ioStats,
} from "../../mod.ts";
import { filled, pattern } from "../support/bytes.ts";
import { runChild } from "../support/child.ts";
import { testDirectAndCached } from "../support/dirs.ts";
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

/** The lines that a child prints by `say`. Its `info` opens a first file and returns `engineInfo()`. */
// deno-lint-ignore no-explicit-any
async function said(code: string, env: Record<string, string> = {}): Promise<any[][]> {
  const prelude = `
    const say = (...things) => console.log(JSON.stringify(things));
    const info = async () => {
      await (await dma.DmaFile.temp()).close();
      return dma.engineInfo();
    };`;
  const ended = await runChild(prelude + code, { env: { DMA_ENGINE: "", ...env } });
  assertEquals(ended.code, 0, ended.output);
  return ended.output.split("\n").map((line) => JSON.parse(line));
}

// ---- ioStats() -------------------------------------------------------------------------------------------------

testDirectAndCached("ioStats() counts operations and bytes", async (dir) => {
  await using file = await DmaFile.create(dir.file("file"));
  assertEquals(file.engine, engineInfo().engine!);
  const block = file.alignment.offset;
  /** The numbers of reads, writes, syncs and other operations, and the bytes in both directions. */
  const counted = async (work: () => Promise<unknown>) => {
    const { reads, writes, syncs, otherOperations, bytesRead, bytesWritten } = await growth(work);
    return [reads, writes, syncs, otherOperations, bytesRead, bytesWritten];
  };
  const writing = () => file.writeAt(filled(2 * block, 1), 0);
  assertEquals(await counted(writing), [0, 1, 0, 0, 0, 2 * block]);
  assertEquals(await counted(() => file.readAt(0, 500)), [1, 0, 0, 0, block, 0]);
  assertEquals(await counted(() => file.readAtAligned(0, 2 * block)), [1, 0, 0, 0, 2 * block, 0]);
  const syncing = () => file.sync().then(() => file.syncData());
  assertEquals(await counted(syncing), [0, 0, 2, 0, 0, 0]);
  const shaping = async () => {
    await file.truncate(5000);
    await file.preallocate(10_000);
    await file.size();
  };
  assertEquals(await counted(shaping), [0, 0, 0, 3, 0, 0]);
  assertEquals(await counted(() => file.readAt(1 << 20, 100)), [1, 0, 0, 1, 0, 0]);
  const opened = await growth(async () => await (await DmaFile.open(file.path)).close());
  assert(opened.otherOperations >= 2);
  assertEquals([opened.reads, opened.bytesRead, opened.failed], [0, 0, 0]);
  const missing = await growth(() => DmaFile.open(dir.file("missing")).catch(() => {}));
  assertEquals([missing.failed, missing.reads], [1, 0]);
  // What is refused without an operation is not counted.
  const refused = await growth(() => file.writeAt(new Uint8Array(1), 0).catch(() => {}));
  assertEquals([refused.failed, refused.writes, refused.otherOperations], [0, 0, 0]);
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

// ---- engineInfo() ----------------------------------------------------------------------------------------------

Deno.test("engineInfo() returns the engine in use and the reason", () => {
  const info = engineInfo();
  assertEquals(info.engine, engine.name as typeof info.engine);
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
  const [[before, stats], [after]] = await said(`
    say(dma.engineInfo(), dma.ioStats());
    say((await info()).engine);`) as [[EngineInfo, IoStats], [string]];
  assertEquals(before.engine, null);
  assertEquals(before.reason, "not chosen before the first file is opened");
  assertEquals(Object.keys(stats), Object.keys(ioStats()));
  assertEquals(Object.values(stats).filter((value) => value !== 0), []);
  assert(after === "io_uring" || after === "threads", `${after}`);
});

// ---- configure() -----------------------------------------------------------------------------------------------

Deno.test("configure() chooses the engine and its size, and the last one counts", async () => {
  const choose = async (options: unknown) =>
    (await said(`
      dma.configure({ engine: "io_uring" });
      dma.configure({ engine: "auto", ...${JSON.stringify(options)} });
      say(await info());`))[0]![0] as EngineInfo;
  const { reason, ...threads } = await choose({ engine: "threads", threads: 3 });
  assertEquals([threads.engine, threads.maxInFlight], ["threads", 3]);
  assertEquals(reason, "set by configure");
  if (engine.name !== "io_uring") return;
  const small = await choose({ engine: "io_uring", ringEntries: 9 });
  assertEquals([small.engine, small.ringEntries, small.maxInFlight], ["io_uring", 16, 32]);
  assertEquals((await choose({})).ringEntries, 256);
});

Deno.test("configure() limits the memory of writers", async () => {
  const most = async (bufferBudget: number) =>
    (await said(`
    dma.configure({ bufferBudget: ${bufferBudget} });
    const writer = new dma.DmaStreamWriter(await dma.DmaFile.temp());
    await writer.write(new Uint8Array(300_000));
    say(dma.ioStats().poolBytesUsed);
    await writer.abort();`))[0]![0];
  assertEquals([await most(0), await most(8 << 20)], [256 << 10, 1 << 20]);
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

Deno.test("DMA_ENGINE decides where the program does not", async () => {
  const chosen = async (engine: string, fromEnvironment: string) =>
    (await said(
      `
    dma.configure({ engine: ${JSON.stringify(engine)} });
    await info().then(({ engine, reason }) => say(engine, reason), ({ message }) => say(message));`,
      { DMA_ENGINE: fromEnvironment },
    ))[0];
  const wrong = 'Invalid DMA_ENGINE "thread": it must be "auto", "io_uring" or "threads"';
  assertEquals(await chosen("auto", "thread"), [wrong]);
  assertEquals(await chosen("auto", "threads"), ["threads", "set by DMA_ENGINE"]);
  if (engine.name !== "io_uring") return;
  assertEquals(await chosen("io_uring", "threads"), ["io_uring", "set by configure"]);
});

testDirectAndCached("Operations beyond the room of the engine wait", async (dir) => {
  await Deno.writeFile(dir.file("file"), pattern(1 << 20));
  const options = { engine: engine.name, ringEntries: 8, threads: 2 };
  const [[reads, full, found, after]] = await said(`
      dma.configure(${JSON.stringify(options)});
      const file = await dma.DmaFile.open(${JSON.stringify(dir.file("file"))});
      const before = dma.ioStats();
      const results = await Promise.all(Array.from({ length: 200 }, (_, index) =>
        file.readAt(index * 5000, 5)));
      const now = dma.ioStats();
      await file.close();
      say(now.reads - before.reads, now.queueFull - before.queueFull,
        results.map((bytes) => [...bytes]), dma.ioStats().inFlight);`) as [
    [number, number, number[][], number],
  ];
  assertEquals([reads, after], [200, 0]);
  assert(full >= 100, `${full} operations waited`);
  assertEquals(found, Array.from({ length: 200 }, (_, index) => [...pattern(5, index * 5000)]));
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
