// ioStats, engineInfo and configure: what is counted, what is said of the engine, and what may be chosen. What holds
// for a whole process is tried in one of its own.

import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { configure, DmaFile, engineInfo, type IoStats, ioStats } from "../../mod.ts";
import { filled, pattern } from "../support/bytes.ts";
import { type ChildOptions, runChild } from "../support/child.ts";
import { testDirectAndCached, testInOneDirectory } from "../support/dirs.ts";
import { engine } from "../support/engine.ts";
import { openPattern } from "../support/patterned.ts";

const module = new URL("../../mod.ts", import.meta.url).href;

/** By how much each counter grew. */
async function growth(work: () => Promise<unknown>): Promise<IoStats> {
  const before = ioStats();
  await work();
  const grown = ioStats();
  for (const name of Object.keys(grown) as (keyof IoStats)[]) grown[name] -= before[name];
  return grown;
}

/** What a child prints, which must be JSON. */
async function said(code: string, options: ChildOptions = {}): Promise<unknown[]> {
  const { output, code: exitCode } = await runChild(
    `const say = (...things) => console.log(JSON.stringify(things));\n${code}`,
    { ...options, env: { DMA_ENGINE: "", ...options.env } },
  );
  assertEquals(exitCode, 0, output);
  return output.split("\n").map((line) => JSON.parse(line));
}

testDirectAndCached("ioStats() counts operations and bytes", async (dir) => {
  await using file = await DmaFile.create(dir.file("file"));
  const block = file.alignment.offset;
  const write = await growth(() => file.writeAt(filled(2 * block, 1), 0));
  assertEquals([write.writes, write.bytesWritten, write.reads], [1, 2 * block, 0]);
  const read = await growth(() => file.readAt(0, 500));
  assertEquals([read.reads, read.bytesRead, read.writes], [1, block, 0]);
  const aligned = await growth(() => file.readAtAligned(0, 2 * block));
  assertEquals([aligned.reads, aligned.bytesRead], [1, 2 * block]);
  const sync = await growth(() => file.sync().then(() => file.syncData()));
  assertEquals([sync.syncs, sync.reads, sync.writes, sync.otherOperations], [2, 0, 0, 0]);
  const other = await growth(async () => {
    await file.truncate(5000);
    await file.preallocate(10_000);
    await file.size();
  });
  assertEquals([other.otherOperations, other.syncs], [3, 0]);
  const opened = await growth(async () => await (await DmaFile.open(file.path)).close());
  assert(opened.otherOperations >= 2);
  assertEquals([opened.reads, opened.bytesRead, opened.failed], [0, 0, 0]);
});

testInOneDirectory("Files that are closed at once are closed by one call", async (dir) => {
  const files: DmaFile[] = [];
  for (let index = 0; index < 20; index++) files.push(await DmaFile.create(dir.file(`${index}`)));
  const closed = await growth(() => Promise.all(files.map((file) => file.close())));
  assertEquals([closed.otherOperations, closed.submissions, closed.failed], [20, 1, 0]);
});

testDirectAndCached("ioStats() counts what fails, and not what it did not do", async (dir) => {
  const missing = await growth(() => DmaFile.open(dir.file("missing")).catch(() => {}));
  assertEquals([missing.failed, missing.reads], [1, 0]);
  await using file = await openPattern(dir.file("file"), 5000);
  const refused = await growth(() => file.writeAt(new Uint8Array(4096), 0).catch(() => {}));
  assertEquals([refused.failed, refused.writes, refused.otherOperations], [0, 0, 0]);
  const past = await growth(() => file.readAt(1 << 20, 100));
  assertEquals([past.reads, past.bytesRead, past.failed], [1, 0, 0]);
});

testDirectAndCached("ioStats() shows what is in flight and what memory is used", async (dir) => {
  await using file = await openPattern(dir.file("file"), 1 << 20);
  const before = ioStats();
  assertEquals(before.inFlight, 0);
  const reads = Array.from({ length: 6 }, (_, index) => file.readAt(index * 65_536, 4096));
  assertEquals(ioStats().inFlight, 6);
  await Promise.all(reads);
  assertEquals(ioStats().inFlight, 0);
  const reader = file.readable.getReader();
  await reader.read();
  const during = ioStats();
  assert(during.poolBuffers > before.poolBuffers);
  assert(during.poolBytesUsed >= before.poolBytesUsed + 65_536);
  assert(during.poolBytes >= during.poolBytesUsed);
  await reader.cancel();
  const { poolBuffers, poolBytesUsed } = ioStats();
  assertEquals([poolBuffers, poolBytesUsed], [before.poolBuffers, before.poolBytesUsed]);
});

testDirectAndCached("ioStats() shows operations that were handed over together", async (dir) => {
  await using file = await openPattern(dir.file("file"), 1 << 20);
  const { reads, submissions, wakeups } = await growth(() =>
    Promise.all(Array.from({ length: 8 }, (_, index) => file.readAt(index * 65_536, 4096)))
  );
  assertEquals(reads, 8);
  assert(wakeups > 0);
  if (engine.name === "io_uring") assert(submissions < 8, `${submissions} submissions`);
  else assertEquals(submissions, 8);
});

Deno.test("ioStats() gives a snapshot that is the caller's own", () => {
  const stats = ioStats();
  const expected = { ...stats };
  Object.assign(stats, { reads: -1, inFlight: 99 });
  assertEquals(ioStats(), expected);
  for (const [name, value] of Object.entries(expected)) {
    assert(Number.isSafeInteger(value) && value >= 0, `${name} is ${value}`);
  }
});

Deno.test("engineInfo() says which engine is at work, and why", () => {
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

testInOneDirectory("A file of a local disk goes by the engine at work", async (dir) => {
  await using file = await DmaFile.create(dir.file("file"));
  assertEquals(file.engine, engineInfo().engine!);
});

Deno.test("Nothing is chosen and counted before the first file is opened", async () => {
  const [[info, stats], [after]] = await said(`
    say(dma.engineInfo(), dma.ioStats());
    await (await dma.DmaFile.temp()).close();
    say(dma.engineInfo().engine);`) as [[Record<string, unknown>, IoStats], [string]];
  assertEquals(info.engine, null);
  assertEquals(info.reason, "Not chosen before the first file is opened");
  assertEquals(Object.values(stats).filter((value) => value !== 0), []);
  assertEquals(Object.keys(stats), Object.keys(ioStats()));
  assert(after === "io_uring" || after === "threads", `${after}`);
});

Deno.test("configure() chooses the engine and its size", async () => {
  const choose = async (options: unknown) => {
    const [[info]] = await said(`
      dma.configure(${JSON.stringify(options)});
      await (await dma.DmaFile.temp()).close();
      say(dma.engineInfo());`) as [[ReturnType<typeof engineInfo>]];
    return info;
  };
  const threads = await choose({ engine: "threads", threads: 3 });
  assertEquals([threads.engine, threads.maxInFlight], ["threads", 3]);
  assertEquals(threads.reason, "configure asks for it");
  const most = async (bufferBudget: number) => {
    const [[bytes]] = await said(`
      dma.configure({ bufferBudget: ${bufferBudget} });
      const writer = new dma.DmaStreamWriter(await dma.DmaFile.temp());
      await writer.write(new Uint8Array(300_000));
      say(dma.ioStats().poolBytesUsed);
      await writer.abort();`) as [[number]];
    return bytes;
  };
  assertEquals([await most(0), await most(8 << 20)], [256 << 10, 1 << 20]);
  if (engine.name !== "io_uring") return;
  const small = await choose({ engine: "io_uring", ringEntries: 9 });
  assertEquals([small.engine, small.ringEntries, small.maxInFlight], ["io_uring", 16, 32]);
  assertEquals((await choose({})).ringEntries, 256);
});

Deno.test("The last configure() before the first file counts", async () => {
  const [[name]] = await said(`
    dma.configure({ engine: "io_uring" });
    dma.configure({ engine: "threads" });
    await (await dma.DmaFile.temp()).close();
    say(dma.engineInfo().engine);`) as [[string]];
  assertEquals(name, "threads");
});

Deno.test("configure() is refused when a file was opened, or is being opened", async () => {
  const lines = await said(`
    const attempt = () => {
      try {
        dma.configure({});
        return "done";
      } catch (error) {
        return error.name + ": " + error.message;
      }
    };
    const opening = dma.DmaFile.temp();
    say(attempt());
    await (await opening).close();
    say(attempt());`) as [string][];
  for (const [line] of lines) {
    assertMatch(line!, /^Busy: Cannot configure the engine: it is at work/);
  }
});

Deno.test("configure() names a wrong argument, and changes nothing", async () => {
  // Where an engine is at work, what is wrong is told all the same.
  for (
    const [options, message] of [
      [{ ringEntries: 7 }, "Invalid ringEntries 7: it must be an integer from 8 to"],
      [{ ringEntries: 32_769 }, "Invalid ringEntries 32769"],
      [{ threads: 0 }, "Invalid threads 0: it must be an integer from 1 to 24"],
      [{ threads: 25 }, "Invalid threads 25"],
    ] as const
  ) assertThrows(() => configure(options), RangeError, message);
  const lines = await said(`
    dma.configure({ engine: "threads", threads: 2 });
    try {
      dma.configure({ engine: "io_uring", threads: 0 });
    } catch {
      await (await dma.DmaFile.temp()).close();
      say(dma.engineInfo().engine, dma.engineInfo().maxInFlight);
    }`);
  assertEquals(lines, [["threads", 2]]);
});

Deno.test("DMA_ENGINE decides where the program does not", async () => {
  const chosen = async (engine: string, fromEnvironment = "threads") => {
    const [line] = await said(
      `
      dma.configure({ engine: ${JSON.stringify(engine)} });
      await dma.DmaFile.temp().then((file) => file.close(), ({ message }) => say(message));
      say(dma.engineInfo().engine, dma.engineInfo().reason);`,
      { env: { DMA_ENGINE: fromEnvironment } },
    );
    return line;
  };
  const wrong = 'Invalid DMA_ENGINE "thread": it must be "auto", "io_uring" or "threads"';
  assertEquals(await chosen("auto", "thread"), [wrong]);
  assertEquals(await chosen("auto"), ["threads", "DMA_ENGINE asks for it"]);
  if (engine.name === "io_uring") assertEquals(await chosen("io_uring"), ["io_uring", "asked for"]);
});

testDirectAndCached("More operations than there is room for wait their turn", async (dir) => {
  const path = dir.file("file");
  await Deno.writeFile(path, pattern(1 << 20));
  const options = { engine: engine.name, ringEntries: 8, threads: 2 };
  const [[reads, full, sums, after]] = await said(`
      dma.configure(${JSON.stringify(options)});
      const file = await dma.DmaFile.open(${JSON.stringify(path)});
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
  assertEquals(sums, Array.from({ length: 200 }, (_, index) => [...pattern(5, index * 5000)]));
});

testDirectAndCached("Each Worker has an engine and counters of its own", async (dir) => {
  const path = dir.file("file");
  await Deno.writeFile(path, pattern(5000));
  const worker = `
    import { DmaFile, engineInfo, ioStats } from ${JSON.stringify(module)};
    const before = [engineInfo().engine, ioStats().reads];
    await using file = await DmaFile.open(${JSON.stringify(path)});
    await file.readAt(0, 10);
    postMessage([...before, ioStats().reads]);`;
  const [[inside, outside]] = await said(`
    const code = ${JSON.stringify(worker)};
    const file = await dma.DmaFile.open(${JSON.stringify(path)});
    for (let count = 0; count < 5; count++) await file.readAt(0, 10);
    const url = "data:text/javascript," + encodeURIComponent(code);
    const worker = new Worker(url, { type: "module" });
    const message = await new Promise((resolve) => worker.onmessage = ({ data }) => resolve(data));
    worker.terminate();
    say(message, dma.ioStats().reads);
    await file.close();`) as [[unknown[], number]];
  assertEquals([inside, outside], [[null, 0, 1], 5]);
});
