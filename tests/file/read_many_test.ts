// DmaFile.readMany: many ranges with few reads, in the order they were asked for, exact at the end of the file.

import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { type ByteRange, DmaFile, ioStats, type RangeRead } from "../../mod.ts";
import { pattern } from "../support/bytes.ts";
import { eventually } from "../support/descriptors.ts";
import { testDirectAndCached, testInOneDirectory } from "../support/dirs.ts";
import { engine } from "../support/engine.ts";
import { hold, interpose } from "../support/interpose.ts";
import { collectGarbage } from "../support/leaks.ts";
import { openPattern } from "../support/patterned.ts";
import { Random } from "../simulator/random.ts";

type Options = Parameters<DmaFile["readMany"]>[1];

const range = (position: number, length: number): ByteRange => ({ position, length });

/** Reads them all; each result must be what stands in a file of `size` bytes. Returns how many reads that took. */
async function assertReads(
  file: DmaFile,
  size: number,
  ranges: ByteRange[],
  options?: Options,
  input: Iterable<ByteRange> | AsyncIterable<ByteRange> = ranges,
): Promise<number> {
  const before = ioStats().reads;
  const results: RangeRead[] = await Array.fromAsync(file.readMany(input, options));
  assertEquals(results.map(({ position, length }) => ({ position, length })), ranges);
  for (const { position, length, bytes } of results) {
    const there = Math.max(0, Math.min(length, size - position));
    assertEquals(bytes, pattern(there, position), `${length} bytes at ${position}`);
  }
  return ioStats().reads - before;
}

/** The same things in another order. */
function shuffled<T>(things: T[]): T[] {
  const random = new Random(7);
  return things.map((thing) => ({ thing, key: random.next() }))
    .sort((one, other) => one.key - other.key)
    .map(({ thing }) => thing);
}

testDirectAndCached("readMany() reads shuffled small ranges in the order given", async (dir) => {
  await using file = await openPattern(dir.file("many"), 4096);
  const even = shuffled(Array.from({ length: 512 }, (_, index) => range(index * 8, 8)));
  assertEquals(await assertReads(file, 4096, even, { maxGap: 4096 }), 1);
  const odd = shuffled(Array.from({ length: 511 }, (_, index) => range(index * 8 + 1, 7)));
  assertEquals(await assertReads(file, 4096, odd, { maxGap: 4096 }), 1);
  const { offset } = file.alignment;
  const alone = await assertReads(file, 4096, odd, { maxMerged: 0 });
  assert(offset === 4096 ? alone === 1 : alone > 300, `${alone} reads`);
});

testDirectAndCached("readMany() merges what is near and no more", async (dir) => {
  const size = 1 << 20;
  await using file = await openPattern(dir.file("merge"), size);
  const block = file.alignment.offset;
  const blocks = (...starts: number[]) => starts.map((start) => range(start * block, block));
  const cases: [string, number, ByteRange[], Options][] = [
    ["neighbours", 1, blocks(0, 1, 2, 3), {}],
    ["neighbours, backwards", 1, blocks(3, 2, 1, 0), {}],
    ["overlapping", 1, [range(0, 5000), range(2500, 5000), range(1, 2)], {}],
    ["twice the same", 1, [...blocks(5, 5), range(5 * block + 1, 3)], { maxMerged: 0 }],
    ["in one block", 1, [range(10, 5), range(400, 5), range(100, 5)], { maxMerged: 0 }],
    ["in two blocks, side by side", 1, [range(0, 1), range(2 * block - 1, 1)], {}],
    ["a gap", 2, blocks(0, 2), {}],
    ["a gap, backwards", 2, blocks(2, 0), {}],
    ["a gap that is allowed", 1, blocks(0, 2), { maxGap: block }],
    ["a gap too large", 2, blocks(0, 3), { maxGap: 2 * block - 1 }],
    ["two that fit together", 2, blocks(0, 1, 2), { maxMerged: 2 * block }],
    ["one too large", 2, [range(0, 5 * block), ...blocks(5)], { maxMerged: 2 * block }],
    ["none at all", 3, blocks(0, 1, 2), { maxMerged: 0 }],
    ["nothing", 0, [], {}],
    ["of no length", 0, [range(7, 0), range(900_000, 0)], {}],
    ["of no length between others", 1, [range(0, 8), range(900_000, 0), range(8, 8)], {}],
  ];
  for (const [name, reads, ranges, options] of cases) {
    assertEquals(await assertReads(file, size, ranges, options), reads, name);
  }
});

testDirectAndCached("readMany() is exact at the end of the file", async (dir) => {
  const size = 20_601;
  await using file = await openPattern(dir.file("end"), size);
  const ranges = [
    range(20_000, 1000),
    range(20_600, 1),
    range(20_601, 1),
    range(20_600, 5000),
    range(30_000, 10),
    range(0, 100_000),
    range(2 ** 52, 100),
    range(19_999, 603),
  ];
  for (const options of [{}, { maxMerged: 0 }, { maxGap: 2 ** 53 - 1, maxMerged: 2 ** 53 - 1 }]) {
    await assertReads(file, size, ranges.filter(({ position }) => position < 2 ** 50), options);
    for (const each of ranges) await assertReads(file, size, [each], options);
  }
  await assertReads(file, size, ranges);
});

testDirectAndCached("readMany() takes ranges of every iterable kind", async (dir) => {
  const size = 100_000;
  await using file = await openPattern(dir.file("kinds"), size);
  const ranges = Array.from({ length: 20 }, (_, index) => range(index * 512, 512));
  assertEquals(await assertReads(file, size, ranges, {}, new Set(ranges)), 1);
  assertEquals(await assertReads(file, size, ranges, {}, ranges.values()), 1);
  const generated = async function* () {
    yield* ranges;
  };
  assertEquals(await assertReads(file, size, ranges, {}, generated()), 1);
  assertEquals(await assertReads(file, size, ranges, {}, ReadableStream.from(ranges)), 1);
});

testDirectAndCached("readMany() reads what is there while its input makes it wait", async (dir) => {
  const size = 100_000;
  await using file = await openPattern(dir.file("waits"), size);
  const released = Promise.withResolvers<void>();
  const input = async function* () {
    yield range(0, 100);
    yield range(100, 100);
    await released.promise;
    yield range(50_000, 10);
  };
  const results = file.readMany(input())[Symbol.asyncIterator]();
  const before = ioStats().reads;
  assertEquals((await results.next()).value.bytes, pattern(100));
  assertEquals((await results.next()).value.bytes, pattern(100, 100));
  assertEquals(ioStats().reads - before, 1);
  released.resolve();
  assertEquals((await results.next()).value.bytes, pattern(10, 50_000));
  assertEquals((await results.next()).done, true);
});

testDirectAndCached("readMany() asks for no more ranges than it may read at once", async (dir) => {
  const size = 200_000;
  await using file = await openPattern(dir.file("lazy"), size);
  let asked = 0;
  const input = function* () {
    for (; asked < 1000; asked++) yield range(asked * 150, 10);
  };
  let taken = 0;
  let most = 0;
  const before = engine.counters.inFlight;
  const options = { concurrency: 3, maxMerged: 0 };
  for await (const { bytes } of file.readMany(input(), options)) {
    assertEquals(bytes, pattern(10, taken++ * 150));
    most = Math.max(most, engine.counters.inFlight - before);
    const behind = 4096 / 150 * 4;
    assert(asked <= taken + behind, `${asked} ranges asked for, ${taken} taken`);
  }
  assertEquals(taken, 1000);
  assert(most <= 3, `${most} reads in flight`);
});

testDirectAndCached("readMany() of ranges without an end gives out the first ones", async (dir) => {
  await using file = await openPattern(dir.file("endless"), 10_000);
  for (const length of [0, 10]) {
    let asked = 0;
    const input = function* () {
      for (;; asked++) yield range(0, length);
    };
    let taken = 0;
    for await (const { bytes } of file.readMany(input())) {
      assertEquals(bytes, pattern(length));
      if (++taken === 5000) break;
    }
    assert(asked < 100_000, `${asked} ranges asked for`);
  }
});

testDirectAndCached("readMany() keeps as many reads in flight as it may", async (dir) => {
  const size = 200_000;
  await using file = await openPattern(dir.file("flight"), size);
  using reads = hold("read");
  const ranges = Array.from({ length: 20 }, (_, index) => range(index * 8192, 10));
  const reading = assertReads(file, size, ranges, { concurrency: 5 });
  await new Promise((resolve) => setTimeout(resolve, 10));
  assertEquals(reads.count, 5);
  reads.letGo();
  assertEquals(await reading, 20);
});

testDirectAndCached("readMany() reads on behind a slow read, within its memory", async (dir) => {
  const size = 200_000;
  await using file = await openPattern(dir.file("slow"), size);
  const ranges = Array.from({ length: 20 }, (_, index) => range(index * 8192, 10));
  for (const [maxMerged, read] of [[10_000, 7], [10, 1]] as const) {
    using first = hold("read", { only: ({ position }) => position === 0 });
    const before = ioStats().reads;
    const reading = assertReads(file, size, ranges, { concurrency: 2, maxMerged });
    try {
      await eventually(() => ioStats().reads - before >= read);
      assertEquals([first.count, ioStats().reads - before], [1, read]);
    } finally {
      first.letGo();
      assertEquals(await reading, 20);
    }
  }
});

testDirectAndCached("readMany() gives each range memory of its own", async (dir) => {
  await using file = await openPattern(dir.file("own"), 100_000);
  const ranges = [range(0, 1000), range(500, 1000), range(0, 1000)];
  const results = await Array.fromAsync(file.readMany(ranges));
  for (const { bytes } of results) bytes.fill(1);
  (results[0]!.bytes.buffer as ArrayBuffer).transfer();
  assertEquals(results.map(({ bytes }) => bytes.length), [0, 1000, 1000]);
  assertEquals(await file.readAt(0, 1500), pattern(1500));
});

testDirectAndCached("readMany() that is left early waits for its reads", async (dir) => {
  await using file = await openPattern(dir.file("early"), 200_000);
  let closed = 0;
  const input = function* () {
    try {
      for (let index = 0;; index++) yield range(index * 8192 % 190_000, 10);
    } finally {
      closed++;
    }
  };
  using reads = hold("read", { only: ({ position }) => position > 0 });
  const results = file.readMany(input())[Symbol.asyncIterator]();
  assertEquals((await results.next()).value.bytes, pattern(10));
  let over = false;
  const left = results.return!().then(() => over = true);
  await new Promise((resolve) => setTimeout(resolve, 5));
  assertEquals([over, reads.count], [false, 16]);
  reads.letGo();
  await left;
  assertEquals([closed, engine.counters.inFlight], [1, 0]);
});

testDirectAndCached("readMany() is left though its input never comes to an end", async (dir) => {
  await using file = await openPattern(dir.file("endless"), 200_000);
  const input = async function* () {
    yield range(0, 10);
    await new Promise(() => {});
  };
  for await (const { bytes } of file.readMany(input())) {
    assertEquals(bytes, pattern(10));
    break;
  }
});

testDirectAndCached("readMany() fails only the ranges that cannot be read", async (dir) => {
  const size = 200_000;
  await using file = await openPattern(dir.file("fails"), size);
  using _ = interpose("read", ({ operation, pass, end }) => {
    const { length, position } = operation;
    // A bad block at 98,304.
    if (position <= 98_304 && position + length > 98_304) end(-5);
    else pass();
  });
  const ranges = [range(0, 10), range(90_000, 10), range(98_310, 10), range(120_000, 10)];
  for (const options of [{}, { maxGap: size, maxMerged: size }]) {
    const results = file.readMany(ranges, options)[Symbol.asyncIterator]();
    assertEquals((await results.next()).value.bytes, pattern(10));
    assertEquals((await results.next()).value.bytes, pattern(10, 90_000));
    const error = await results.next().then(() => undefined, (error) => error);
    assertEquals([error.code, error.op, error.path], ["EIO", "read", file.path]);
    assertEquals((await results.next()).done, true);
  }
  assertEquals(engine.counters.inFlight, 0);
});

testDirectAndCached("readMany() fails for what is wrong when its turn comes", async (dir) => {
  await using file = await openPattern(dir.file("wrong"), 200_000);
  const boom = new Error("boom");
  const thrower = function* () {
    yield range(0, 10);
    yield range(8192, 10);
    throw boom;
  };
  const waiter = async function* () {
    yield* thrower();
  };
  for (const input of [thrower(), waiter()]) {
    const results = file.readMany(input)[Symbol.asyncIterator]();
    assertEquals((await results.next()).value.bytes, pattern(10));
    assertEquals((await results.next()).value.bytes, pattern(10, 8192));
    assertStrictEquals(await results.next().catch((error) => error), boom);
    assertEquals((await results.next()).done, true);
  }
  let closed = 0;
  const wrong: [unknown, typeof TypeError | typeof RangeError, string][] = [
    [5, TypeError, "Invalid range 5: it must have position and length"],
    [{ position: -1, length: 1 }, RangeError, "Invalid position -1"],
    [{ position: 0, length: "1" }, TypeError, 'Invalid length "1"'],
    [{ position: 0 }, TypeError, "Invalid length undefined"],
    [range(2 ** 53 - 1, 1), RangeError, "Invalid position + length"],
  ];
  for (const [bad, Class, message] of wrong) {
    const input = function* () {
      try {
        yield range(0, 10);
        yield bad as ByteRange;
        yield range(0, 10);
      } finally {
        closed++;
      }
    };
    const results = file.readMany(input())[Symbol.asyncIterator]();
    assertEquals((await results.next()).value.bytes, pattern(10));
    await assertRejects(() => results.next(), Class, message);
    assertEquals((await results.next()).done, true);
  }
  assertEquals(closed, wrong.length);
});

testDirectAndCached("readMany() fails when its file is closed", async (dir) => {
  const file = await openPattern(dir.file("closed"), 200_000);
  const ranges = Array.from({ length: 20 }, (_, index) => range(index * 8192, 10));
  const results = file.readMany(ranges, { concurrency: 2 })[Symbol.asyncIterator]();
  await results.next();
  await file.close();
  const rest = async () => {
    while (!(await results.next()).done);
  };
  await assertRejects(rest, Deno.errors.BadResource, "the file is closed");
});

testInOneDirectory("readMany() keeps a file open that nobody else holds", async (dir) => {
  await (await openPattern(dir.file("file"), 200_000)).close();
  const ranges = Array.from({ length: 20 }, (_, index) => range(index * 10_000, 10));
  const open = async () =>
    (await DmaFile.open(dir.file("file"))).readMany(ranges, { concurrency: 1 });
  let count = 0;
  for await (const { position, bytes } of await open()) {
    assertEquals(bytes, pattern(10, position));
    if (count++ === 0) await collectGarbage();
  }
  assertEquals(count, 20);
});
