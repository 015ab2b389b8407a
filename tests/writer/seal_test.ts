// DmaStreamWriter.seal: all that close promises, then a file that can only be read, whose concurrent reads are shared.

import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { DmaFile, DmaStreamReader, DmaStreamWriter, ioStats } from "../../mod.ts";
import { Errno } from "../../src/engine/linux.ts";
import { assertFile, pattern } from "../support/bytes.ts";
import { descriptorsOf } from "../support/leaks.ts";
import { testDirectAndCached } from "../support/dirs.ts";
import { engine, fail } from "../support/engine.ts";
import { create } from "./create.ts";

const { BadResource } = Deno.errors;
const SIZE = 300_001;

function testSealed(name: string, fn: (file: DmaFile) => Promise<void>): void {
  testDirectAndCached(name, async (dir) => {
    const writer = await create(dir);
    await writer.write(pattern(SIZE));
    await using file = await writer.seal();
    await fn(file);
  });
}

testDirectAndCached("seal() leaves the file whole, and open to be read only", async (dir) => {
  for (const size of [0, 1, 4096, 5000, SIZE]) {
    const writer = await create(dir);
    const { file } = writer;
    await writer.write(pattern(size));
    const { syncs } = ioStats();
    assertStrictEquals(await writer.seal(), file);
    assert(ioStats().syncs > syncs, "nothing was made durable");
    assertEquals([writer.currentPos, writer.currentFlushedPos], [size, size]);
    assertEquals([await file.size(), descriptorsOf(file.path)], [size, 1]);
    await assertFile(file.path, pattern(size));
    assertEquals(await file.readAt(0, size + 10), pattern(size));
    const ends = [() => writer.seal(), () => writer.close(), () => writer.write(pattern(1))];
    for (const call of ends) await assertRejects(call, TypeError);
    await writer[Symbol.asyncDispose]();
    await assertRejects(() => file.truncate(0), BadResource, "it was sealed");
    assertThrows(() => new DmaStreamWriter(file), TypeError, "it was sealed");
    await file.close();
    assertEquals(descriptorsOf(file.path), 0);
  }
  const { writable } = await DmaFile.create(dir.file("unreadable"), { read: false });
  await using file = await writable.seal();
  await assertRejects(() => file.readAt(0, 1), BadResource, "opened with read: false");
  assertThrows(() => new DmaStreamReader(file), BadResource);
});

type Read = readonly [position: number, length: number];

/** Reads at once. Returns how many reads of the kernel that took. */
async function readsFor(file: DmaFile, ...ranges: Read[]): Promise<number> {
  const before = ioStats().reads;
  await Promise.all(ranges.map(async ([position, length]) => {
    const there = Math.max(0, Math.min(length, SIZE - position));
    const bytes = await file.readAt(position, length);
    assertEquals(bytes, pattern(there, position));
    // Each caller has its own, whatever another one does with its bytes.
    bytes.fill(0);
    (bytes.buffer as ArrayBuffer).transfer();
  }));
  return ioStats().reads - before;
}

testSealed("Concurrent reads of a sealed file share what covers them", async (file) => {
  const cases: [shared: string, reads: number, ...Read[]][] = [
    ["the same range", 1, ...Array<Read>(10).fill([4096, 8192])],
    ["a part", 1, [0, 65_536], [100, 10], [60_000, 5536]],
    ["half of it", 2, [8192, 8192], [12_288, 8192]],
    ["on both sides", 2, [8192, 8192], [0, 32_768]],
    ["the same block", 1, [100, 10], [0, 10], [200, 10]],
    ["nothing", 2, [0, 4096], [8192, 4096]],
    ["the end", 1, [299_000, 9999], [SIZE - 1, 5]],
  ];
  for (const [shared, reads, ...ranges] of cases) {
    assertEquals(await readsFor(file, ...ranges), reads, shared);
  }
  // Among many reads a search would take longer than a read.
  const many = [4096, 8192].flatMap((length) =>
    Array.from({ length: 70 }, (_, block): Read => [block * 4096, length])
  );
  assertEquals(await readsFor(file, ...many, [0, 12_288], [0, 12_288]), 142);
  // One after the other: nothing is kept.
  assertEquals([await readsFor(file, [0, 4096]), await readsFor(file, [0, 4096])], [1, 1]);
  const { reads } = ioStats();
  const ranges = [{ position: 0, length: 8192 }, { position: 65_536, length: 8192 }];
  await Promise.all([1, 2].map(() => Array.fromAsync(file.readMany(ranges))));
  assertEquals(ioStats().reads - reads, 2, "readMany()");
  // The control: a file that is not sealed.
  await using plain = await DmaFile.open(file.path);
  assertEquals(await readsFor(plain, [0, 4096], [0, 4096]), 2);
});

testSealed("A failed shared read fails only the readers of the bad part", async (file) => {
  const isBad = ({ position, length }: { position: number; length: number }) =>
    position <= 32_768 && position + length > 32_768;
  using _ = fail("read", Errno.EIO, isBad);
  const ranges: Read[] = [[0, 65_536], [100, 100], [32_768, 10]];
  const [bad, good, alone] = await Promise.allSettled(ranges.map((each) => file.readAt(...each)));
  assertEquals([bad?.status, alone?.status], ["rejected", "rejected"]);
  assertEquals(good, { status: "fulfilled", value: pattern(100, 100) });
  assertEquals(engine.counters.inFlight, 0);
});
