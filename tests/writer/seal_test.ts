// DmaStreamWriter.seal: all that close promises, and then a file that can only be read, whose concurrent reads are
// shared.

import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import {
  DmaFile,
  DmaStreamReader,
  DmaStreamWriter,
  type DmaStreamWriterOptions,
  ioStats,
} from "../../mod.ts";
import { assertFile, assertNoFile, pattern } from "../support/bytes.ts";
import { descriptorsOf, eventually } from "../support/descriptors.ts";
import { testDirectAndCached, testInOneDirectory } from "../support/dirs.ts";
import { engine } from "../support/engine.ts";
import { interpose } from "../support/interpose.ts";
import { collectGarbage } from "../support/leaks.ts";
import { allOf } from "../support/patterned.ts";

const { BadResource } = Deno.errors;
const SIZE = 300_001;

async function sealed(
  path: string,
  size = SIZE,
  options: DmaStreamWriterOptions = {},
): Promise<DmaFile> {
  const writer = new DmaStreamWriter(await DmaFile.create(path), options);
  await writer.write(pattern(size));
  return await writer.seal();
}

/** How many reads something took. */
async function readsOf(work: () => Promise<unknown>): Promise<number> {
  const before = ioStats().reads;
  await work();
  return ioStats().reads - before;
}

testDirectAndCached("seal() leaves the file whole, and open to be read", async (dir) => {
  for (const size of [0, 1, 4096, 5000, SIZE]) {
    const path = dir.file(`${size}`);
    const file = await DmaFile.create(path);
    const writer = file.writable;
    await writer.write(pattern(size));
    const { syncs } = ioStats();
    assertStrictEquals(await writer.seal(), file);
    assert(ioStats().syncs > syncs, "nothing was made durable");
    assertEquals([writer.currentPos, writer.currentFlushedPos], [size, size]);
    assertEquals([await file.size(), descriptorsOf(path)], [size, 1]);
    await assertFile(path, pattern(size));
    assertEquals(await file.readAt(0, size + 10), pattern(size));
    await file.close();
    assertEquals(descriptorsOf(path), 0);
  }
});

testDirectAndCached("A sealed file that was made without read cannot be read", async (dir) => {
  const writer = (await DmaFile.create(dir.file("file"), { read: false })).writable;
  await writer.write(pattern(SIZE));
  await using file = await writer.seal();
  await assertRejects(() => file.readAt(0, 1), BadResource, "opened without read");
  assertThrows(() => new DmaStreamReader(file), BadResource);
  await assertFile(file.path, pattern(SIZE));
});

testDirectAndCached("A sealed file is read in every way", async (dir) => {
  const file = await sealed(dir.file("file"));
  assertEquals(await file.readAt(7, 1_000_000_000_000), pattern(SIZE - 7, 7));
  assertEquals(await file.readAt(SIZE, 10), new Uint8Array());
  assertEquals(await file.readAt(SIZE + 9999, 10), new Uint8Array());
  assertEquals(await file.readAt(5, 0), new Uint8Array());
  assertEquals(await file.readAtAligned(4096, 8192), pattern(8192, 4096));
  await assertRejects(() => file.readAtAligned(1, 4096), RangeError, "Invalid position 1");
  const ranges = [{ position: 5, length: 10 }, { position: 299_000, length: 9999 }];
  const results = await Array.fromAsync(file.readMany(ranges));
  assertEquals(results.map(({ bytes }) => bytes), [pattern(10, 5), pattern(1001, 299_000)]);
  assertEquals(await allOf(file.readable), pattern(SIZE));
  await assertRejects(() => file.readAt(0, 1), BadResource, "the file is closed");
});

testDirectAndCached("A sealed file cannot be changed", async (dir) => {
  const writer = (await DmaFile.create(dir.file("file"))).writable;
  await writer.write(pattern(SIZE));
  await using file = await writer.seal();
  await using other = await DmaFile.open(dir.file("file"));
  const buffer = file.allocBuffer(4096);
  await assertRejects(() => file.writeAt(buffer, 0), BadResource, "opened without write");
  await assertRejects(() => file.truncate(0), BadResource);
  await assertRejects(() => file.preallocate(1 << 20), BadResource);
  await assertRejects(() => file.deallocate(0, 4096), BadResource);
  await assertRejects(() => other.copyRangeTo(file, 0, 1, SIZE), BadResource);
  assertThrows(() => new DmaStreamWriter(file), TypeError, "opened without write");
  await assertRejects(() => writer.write(new Uint8Array(1)), TypeError);
  await assertRejects(() => writer.close(), TypeError);
  await writer[Symbol.asyncDispose]();
  await assertFile(dir.file("file"), pattern(SIZE));
  assertEquals(buffer.bytes.length, 4096);
});

testDirectAndCached("A sealed file can be renamed, copied, locked and removed", async (dir) => {
  await using file = await sealed(dir.file("file"));
  await file.rename(dir.file("other"));
  await using copy = await DmaFile.create(dir.file("copy"));
  assertEquals(await file.copyRangeTo(copy, 0, SIZE, 0), SIZE);
  await assertFile(dir.file("copy"), pattern(SIZE));
  assertEquals(await file.tryLock(true), true);
  await file.remove();
  await assertNoFile(dir.file("other"));
  assertEquals(await file.readAt(9, 9), pattern(9, 9));
});

testDirectAndCached("seal() is refused when close() is", async (dir) => {
  const writer = (await DmaFile.create(dir.file("file"))).writable;
  const lock = writer.getWriter();
  await assertRejects(() => writer.seal(), TypeError, "Cannot close a locked stream");
  await lock.write(pattern(10));
  lock.releaseLock();
  await using file = await writer.seal();
  await assertRejects(() => writer.seal(), TypeError);
  await assertRejects(() => writer.close(), TypeError);
  assertEquals(await file.readAt(0, 100), pattern(10));
});

testDirectAndCached("Concurrent reads of a sealed file share what covers them", async (dir) => {
  await using file = await sealed(dir.file("file"));
  const read = (position: number, length: number) => async () =>
    assertEquals(
      await file.readAt(position, length),
      pattern(Math.max(0, Math.min(length, SIZE - position)), position),
    );
  const atOnce = (...work: (() => Promise<void>)[]) =>
    readsOf(() => Promise.all(work.map((each) => each())));
  const same = Array.from({ length: 10 }, () => read(4096, 8192));
  assertEquals(await atOnce(...same), 1, "the same range");
  assertEquals(await atOnce(read(0, 65_536), read(100, 10), read(60_000, 5536)), 1, "a part");
  assertEquals(await atOnce(read(8192, 8192), read(12_288, 8192)), 2, "half of it");
  assertEquals(await atOnce(read(8192, 8192), read(0, 32_768)), 2, "on both sides");
  assertEquals(await atOnce(read(0, 10), read(100, 10)), 1, "the same block");
  assertEquals(await atOnce(read(0, 4096), read(8192, 4096)), 2, "nothing");
  assertEquals(await atOnce(read(299_000, 9999), read(SIZE - 1, 5)), 1, "the end");
  // One after the other: nothing is kept.
  assertEquals(
    await readsOf(async () => {
      await read(0, 4096)();
      await read(0, 4096)();
    }),
    2,
  );
});

testDirectAndCached("readMany() of a sealed file shares its reads as well", async (dir) => {
  await using file = await sealed(dir.file("file"));
  const ranges = [{ position: 0, length: 8192 }, { position: 65_536, length: 8192 }];
  const many = async () => {
    for await (const { position, length, bytes } of file.readMany(ranges)) {
      assertEquals(bytes, pattern(length, position));
    }
  };
  assertEquals(await readsOf(() => Promise.all([many(), many()])), 2);
});

testDirectAndCached("Reads of a file that is not sealed are not shared", async (dir) => {
  await using file = await sealed(dir.file("file"));
  await using plain = await DmaFile.open(file.path);
  const both = () => Promise.all([plain.readAt(0, 4096), plain.readAt(0, 4096)]);
  assertEquals(await readsOf(both), 2);
});

testDirectAndCached("Bytes of a shared read are separate for each reader", async (dir) => {
  await using file = await sealed(dir.file("file"));
  const reads = [[0, 8192], [0, 8192], [100, 5000], [4096, 65_536]] as const;
  const results = await Promise.all(
    reads.map(async ([position, length]) => {
      const bytes = await file.readAt(position, length);
      assertEquals(bytes, pattern(length, position));
      // Whatever the first one does with it.
      bytes.fill(0);
      (bytes.buffer as ArrayBuffer).transfer();
      return bytes;
    }),
  );
  assert(results.every((bytes) => bytes.length === 0));
  assertEquals(await file.readAt(0, 100), pattern(100));
});

testDirectAndCached(
  "A failed shared read fails only the readers of the bad part",
  async (dir) => {
    await using file = await sealed(dir.file("file"));
    using _ = interpose("read", ({ operation, pass, end }) => {
      const { length, position } = operation;
      if (position <= 32_768 && position + length > 32_768) end(-5);
      else pass();
    });
    const [bad, good, alone] = await Promise.allSettled([
      file.readAt(0, 65_536),
      file.readAt(100, 100),
      file.readAt(32_768, 10),
    ]);
    assertEquals([bad.status, alone.status], ["rejected", "rejected"]);
    assert(good.status === "fulfilled");
    assertEquals(good.value, pattern(100, 100));
    assertEquals(engine.counters.inFlight, 0);
  },
);

testInOneDirectory("A sealed file that is dropped is closed", async (dir) => {
  const path = dir.file("file");
  await (async () => {
    const file = await sealed(path);
    await file.readAt(0, 10);
  })();
  await eventually(async () => {
    await collectGarbage();
    return descriptorsOf(path) === 0;
  });
});
