// DmaFile.readMany: many ranges with few reads, in input order, exact at the end of the file.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { type ByteRange, type DmaError, type DmaFile, ioStats, type RangeRead } from "../../mod.ts";
import { Errno } from "../../src/engine/linux.ts";
import { eventually, pause } from "../setup/command.ts";
import { openPattern, pattern } from "../support/bytes.ts";
import { testDirectAndCached, testInOneDirectory } from "../support/dirs.ts";
import { fail, hold } from "../support/engine.ts";
import { collectGarbage } from "../support/leaks.ts";

type Options = Parameters<DmaFile["readMany"]>[1];

const SIZE = 200_000;

const range = (position: number, length: number): ByteRange => ({ position, length });

/** Twenty ranges, none of which is near another. */
const apart = Array.from({ length: 20 }, (_, index) => range(index * 8192, 10));

function testReadMany(name: string, fn: (file: DmaFile) => Promise<void>): void {
  testDirectAndCached(`readMany() ${name}`, async (dir) => {
    await using file = await openPattern(dir.file("file"), SIZE);
    await fn(file);
  });
}

/** Throws unless the result equals the bytes of the file. */
function assertRead({ position, length, bytes }: RangeRead): void {
  const there = Math.max(0, Math.min(length, SIZE - position));
  assertEquals(bytes, pattern(there, position), `${length} bytes at ${position}`);
}

/** Reads all ranges. Returns the number of reads. */
async function readsFor(file: DmaFile, ranges: ByteRange[], options: Options = {}) {
  const before = ioStats().reads;
  const results = await Array.fromAsync(file.readMany(ranges, options));
  assertEquals(results.map(({ position, length }) => ({ position, length })), ranges);
  results.forEach(assertRead);
  return ioStats().reads - before;
}

/** The next results must be the ranges at these positions. */
async function assertNext(reads: AsyncIterator<RangeRead>, ...positions: number[]): Promise<void> {
  for (const position of positions) {
    const { value } = await reads.next();
    assertEquals(value.position, position);
    assertRead(value);
  }
}

async function assertDone(reads: AsyncIterator<RangeRead>): Promise<void> {
  assertEquals((await reads.next()).done, true);
}

testReadMany("merges what is near and no more, and keeps the order", async (file) => {
  const block = file.alignment.offset;
  const scattered = Array.from({ length: 511 }, (_, index) => range(index * 254 % 511 * 8 + 1, 7));
  const most = Number.MAX_SAFE_INTEGER;
  const blocks = (...starts: number[]) => starts.map((start) => range(start * block, block));
  const cases: [string, number, ByteRange[], Options][] = [
    ["neighbours", 1, blocks(0, 1, 2, 3), {}],
    ["neighbours, backwards", 1, blocks(3, 2, 1, 0), {}],
    ["small ones in any order", 1, scattered, { maxGap: block }],
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
    ["at the end of the file", 1, [range(199_000, 5000), range(199_999, 1), range(SIZE, 1)], {}],
    ["past the end", 2, [range(0, 300_000), range(900_000, 10)], { maxMerged: 0 }],
    ["all in one", 1, [range(0, 9), range(900_000, 9)], { maxGap: most, maxMerged: most }],
    ["far away", 2, [range(1, 1), range(2 ** 52, 100)], {}],
  ];
  for (const [name, reads, ranges, options] of cases) {
    assertEquals(await readsFor(file, ranges, options), reads, name);
  }
  await readsFor(file, [range(most - 100, 100)]);
});

testReadMany("gives each range memory of its own", async (file) => {
  const ranges = new Set([range(0, 1000), range(500, 1000), range(0, 1000)]);
  const [first, ...others] = await Array.fromAsync(file.readMany(ranges));
  (first!.bytes.fill(1).buffer as ArrayBuffer).transfer();
  for (const result of others) assertRead(result);
});

testReadMany("reads what is there while its input makes it wait", async (file) => {
  const released = Promise.withResolvers<void>();
  const input = async function* () {
    yield range(0, 100);
    yield range(100, 100);
    await released.promise;
    yield range(50_000, 10);
  };
  const results = file.readMany(input())[Symbol.asyncIterator]();
  const before = ioStats().reads;
  await assertNext(results, 0, 100);
  assertEquals(ioStats().reads - before, 1);
  released.resolve();
  await assertNext(results, 50_000);
  await assertDone(results);
});

testReadMany("of ranges without an end gives out the first ones", async (file) => {
  for (const length of [0, 10]) {
    let asked = 0;
    const input = function* () {
      for (;; asked++) yield range(0, length);
    };
    let taken = 0;
    for await (const result of file.readMany(input())) {
      assertRead(result);
      if (++taken === 5000) break;
    }
    assert(asked < 100_000, `${asked} ranges asked for`);
  }
});

testReadMany("keeps as many reads in flight as it may, within its memory", async (file) => {
  for (const [options, most] of [[{}, 16], [{ concurrency: 5 }, 5]] as const) {
    using reads = hold("read");
    const reading = readsFor(file, apart, options);
    await reads.reach(most);
    await pause(10);
    assertEquals(reads.count, most);
    reads.letGo();
    assertEquals(await reading, 20);
  }
  // It reads on behind a slow read.
  for (const [maxMerged, read] of [[10_000, 7], [10, 1]] as const) {
    using first = hold("read", { only: ({ position }) => position === 0 });
    const before = ioStats().reads;
    const reading = readsFor(file, apart, { concurrency: 2, maxMerged });
    await eventually(() => ioStats().reads - before >= read);
    assertEquals([first.count, ioStats().reads - before], [1, read]);
    first.letGo();
    assertEquals(await reading, 20);
  }
});

testReadMany("fails only the ranges that cannot be read", async (file) => {
  const bad = 98_304;
  const isBad = (read: ByteRange) => read.position <= bad && read.position + read.length > bad;
  using _ = fail("read", Errno.EIO, isBad);
  const ranges = [range(0, 10), range(90_000, 10), range(bad + 6, 10), range(120_000, 10)];
  for (const options of [{}, { maxGap: SIZE, maxMerged: SIZE }]) {
    const results = file.readMany(ranges, options)[Symbol.asyncIterator]();
    await assertNext(results, 0, 90_000);
    const { code, op, path } = await assertRejects(() => results.next()) as DmaError;
    assertEquals([code, op, path], ["EIO", "read", file.path]);
    await assertDone(results);
  }
});

testReadMany("fails for what is wrong with its input when its turn comes", async (file) => {
  const cases: [wrong: () => unknown, message: string][] = [
    [() => 5, "Invalid range 5: it must have position and length"],
    [() => range(2 ** 53 - 1, 1), "Invalid position + length"],
    [() => JSON.parse("boom"), "boom"],
  ];
  for (const [wrong, message] of cases) {
    let closed = false;
    const input = function* () {
      try {
        yield* [range(0, 10), range(8192, 10)];
        yield* [wrong() as ByteRange, range(0, 10)];
      } finally {
        closed = true;
        if (message !== "boom") JSON.parse("late");
      }
    };
    const results = file.readMany(input())[Symbol.asyncIterator]();
    await assertNext(results, 0, 8192);
    await assertRejects(() => results.next(), Error, message);
    await assertDone(results);
    assert(closed);
  }
});

testInOneDirectory("readMany() keeps a dropped file open", async (dir) => {
  const read = async () =>
    (await openPattern(dir.file("file"), SIZE)).readMany(apart, { concurrency: 1 });
  let count = 0;
  for await (const result of await read()) {
    assertRead(result);
    if (count++ === 0) await collectGarbage();
  }
  assertEquals(count, 20);
});
