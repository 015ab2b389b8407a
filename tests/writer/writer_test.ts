// DmaStreamWriter: what it writes, and what its positions say meanwhile. The reference's own examples and tests.

import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import {
  DEFAULT_BUFFER_SIZE,
  DEFAULT_WRITE_BEHIND,
  DmaFile,
  DmaStreamWriter,
  type DmaStreamWriterOptions,
} from "../../mod.ts";
import { eventLoopTurn } from "../../src/engine/event_loop.ts";
import { assertFile, pattern } from "../support/bytes.ts";
import { eventually } from "../support/descriptors.ts";
import { testDirectAndCached } from "../support/dirs.ts";
import "../support/engine.ts";
import { create } from "./create.ts";

// ---- the reference's examples ---------------------------------------------------------------------------------

testDirectAndCached(
  "5 bytes: currentPos is 5 and currentFlushedPos 0, and both are 5 after close",
  async (dir) => {
    const writer = await create(dir);
    await writer.write(pattern(5));
    assertEquals(writer.currentPos, 5);
    assertEquals(writer.currentFlushedPos, 0);
    await writer.close();
    assertEquals(writer.currentPos, 5);
    assertEquals(writer.currentFlushedPos, 5);
    await assertFile(dir.file("file"), pattern(5));
  },
);

testDirectAndCached(
  "5000 bytes by 4096, two in flight: sync gives 4096, and close 5000",
  async (dir) => {
    const writer = await create(dir, { bufferSize: 4096, writeBehind: 2 });
    const written = writer.write(pattern(5000));
    // Straight after the write: a disk may be faster than the next turn of the event loop.
    assertEquals(writer.currentPos, 5000);
    assertEquals(writer.currentFlushedPos, 0);
    await written;
    assertEquals(await writer.sync(), 4096);
    assertEquals(writer.currentFlushedPos, 4096);
    assertEquals(writer.currentPos, 5000);
    await writer.close();
    assertEquals(writer.currentFlushedPos, 5000);
    await assertFile(dir.file("file"), pattern(5000));
  },
);

testDirectAndCached("5000 bytes by 4096 reach 4096 without being asked", async (dir) => {
  const writer = await create(dir, { bufferSize: 4096, writeBehind: 2 });
  await writer.write(pattern(5000));
  await eventually(() => writer.currentFlushedPos > 0);
  assertEquals(writer.currentFlushedPos, 4096);
  // A new reader sees every byte below it.
  assertEquals((await Deno.readFile(dir.file("file"))).subarray(0, 4096), pattern(4096));
  await writer.close();
});

testDirectAndCached("flushAligned gives what is written in whole buffers", async (dir) => {
  const writer = await create(dir, { bufferSize: 4096, writeBehind: 2 });
  assertEquals(await writer.flushAligned(), 0);
  await writer.write(pattern(5000));
  assertEquals(await writer.flushAligned(), 4096);
  await writer.write(pattern(100_000, 5000));
  assertEquals(await writer.flushAligned(), 102_400);
  assertEquals(writer.currentPos, 105_000);
  await writer.close();
  await assertFile(dir.file("file"), pattern(105_000));
});

testDirectAndCached("sync with tail gives every byte, and writing goes on", async (dir) => {
  const writer = await create(dir, { bufferSize: 4096, writeBehind: 2 });
  await writer.write(pattern(5000));
  assertEquals(await writer.sync({ tail: true }), 5000);
  assertEquals(writer.currentFlushedPos, 5000);
  assertEquals((await Deno.readFile(dir.file("file"))).subarray(0, 5000), pattern(5000));
  await writer.write(pattern(5000, 5000));
  assertEquals(writer.currentPos, 10_000);
  await writer.close();
  assertEquals(writer.currentFlushedPos, 10_000);
  await assertFile(dir.file("file"), pattern(10_000));
});

// ---- the reference's inventory --------------------------------------------------------------------------------

testDirectAndCached("A million writes of one byte, with two buffers", async (dir) => {
  const writer = await create(dir, { bufferSize: 4096, writeBehind: 2 });
  const bytes = pattern(1_000_000);
  for (let index = 0; index < bytes.length; index++) {
    if (writer.currentPos !== index) assertEquals(writer.currentPos, index);
    await writer.write(bytes.subarray(index, index + 1));
  }
  await writer.close();
  await assertFile(dir.file("file"), bytes);
});

testDirectAndCached("Buffer size and write-behind are rounded, and shown", async (dir) => {
  const file = await DmaFile.create(dir.file("file"));
  const { offset } = file.alignment;
  const wanted: [DmaStreamWriterOptions, number, number][] = [
    [{}, DEFAULT_BUFFER_SIZE, DEFAULT_WRITE_BEHIND],
    [{ bufferSize: 0, writeBehind: 0 }, offset, 1],
    [{ bufferSize: 1, writeBehind: -3 }, offset, 1],
    [{ bufferSize: offset + 1, writeBehind: 1 }, 2 * offset, 1],
    [{ bufferSize: 3 * offset, writeBehind: 100 }, 3 * offset, 100],
  ];
  for (const [options, bufferSize, writeBehind] of wanted) {
    const writer = new DmaStreamWriter(file, { ...options, closeFile: false });
    assertEquals([writer.bufferSize, writer.writeBehind], [bufferSize, writeBehind]);
    assertStrictEquals(writer.file, file);
    const shown = Deno.inspect(writer);
    for (const part of [dir.file("file"), "currentPos: 0", `bufferSize: ${bufferSize}`]) {
      assert(shown.includes(part), shown);
    }
    await writer.close();
  }
  await file.close();
});

testDirectAndCached("close twice: the second one rejects, and harms nothing", async (dir) => {
  const writer = await create(dir);
  await writer.write(pattern(5));
  await writer.close();
  await assertRejects(() => writer.close(), TypeError, "closed");
  await assertRejects(() => writer.write(pattern(5)), TypeError, "closed");
  await assertRejects(() => writer.seal(), TypeError, "closed");
  assertEquals(writer.currentPos, 5);
  await assertFile(dir.file("file"), pattern(5));
});

testDirectAndCached("A file that is open for reading only has no writer", async (dir) => {
  await Deno.writeFile(dir.file("file"), pattern(100));
  await using file = await DmaFile.open(dir.file("file"));
  assertThrows(() => new DmaStreamWriter(file), TypeError, "without write");
  await assertFile(dir.file("file"), pattern(100));
});

testDirectAndCached("A file has one writer at a time", async (dir) => {
  const file = await DmaFile.create(dir.file("file"));
  const writer = new DmaStreamWriter(file, { closeFile: false });
  assertThrows(() => new DmaStreamWriter(file), TypeError, "two writers");
  await writer.close();
  const second = new DmaStreamWriter(file);
  await second.close();
  assertThrows(() => new DmaStreamWriter(file), Deno.errors.BadResource, "closed");
});

testDirectAndCached("file.writable is a writer with defaults, the same each time", async (dir) => {
  const file = await DmaFile.create(dir.file("file"));
  const { writable } = file;
  assert(writable instanceof DmaStreamWriter && writable instanceof WritableStream);
  assertStrictEquals(file.writable, writable);
  await writable.write(pattern(10));
  await writable.close();
  await assertFile(dir.file("file"), pattern(10));
});

// ---- every length ---------------------------------------------------------------------------------------------

testDirectAndCached("A position of an append is refused, and a buffer of 2 GiB", async (dir) => {
  await using file = await DmaFile.create(dir.file("file"));
  const make = (options: DmaStreamWriterOptions) => () => new DmaStreamWriter(file, options);
  assertThrows(make({ append: true, position: 5 }), TypeError, "append");
  assertThrows(make({ bufferSize: 2 ** 31 }), RangeError, "bufferSize");
  assertThrows(make({ writeBehind: 1e6 }), RangeError, "writeBehind");
});

// ---- options --------------------------------------------------------------------------------------------------

testDirectAndCached(
  "Nothing is flushed before the program has waited for anything",
  async (dir) => {
    const file = await DmaFile.create(dir.file("file"));
    // Else a write may wait for the turn of the event loop that the tests before this one have made due.
    await eventLoopTurn();
    // A call on a thread may have ended by the time that it is first looked at.
    for (let round = 0; round < 3000; round++) {
      const options = { bufferSize: 4096, writeBehind: 2, closeFile: false, syncOnClose: false };
      const writer = new DmaStreamWriter(file, options);
      if (writer.currentFlushedPos === 0) await writer.write(pattern(5000));
      assertEquals([writer.currentPos, writer.currentFlushedPos], [5000, 0], `round ${round}`);
      await writer.abort();
      await file.truncate();
    }
    await file.close();
  },
  { where: ({ fileSystem }) => fileSystem === "tmpfs" },
);

for (const locked of [false, true]) {
  testDirectAndCached(
    `sync({ tail: true }) covers every chunk given before it [${locked ? "locked" : "free"}]`,
    async (dir) => {
      const path = dir.file("file");
      const writer = new DmaStreamWriter(await DmaFile.create(path), {
        bufferSize: 4096,
        writeBehind: 1,
      });
      const target = locked ? writer.getWriter() : writer;
      for (let round = 0; round < 20; round++) target.write(pattern(10_001, round * 10_001));
      assertEquals(await writer.sync({ tail: true }), 200_020);
      assertEquals(
        await Deno.readFile(path).then((bytes) => bytes.subarray(0, 200_020)),
        pattern(200_020),
      );
      target.write(pattern(7, 200_020));
      assertEquals(await writer.flushAligned({ tail: true }), 200_027);
      await target.close();
      await assertFile(path, pattern(200_027));
    },
  );
}

testDirectAndCached("Chunks that wait take no promise chain each", async (dir) => {
  const writer = new DmaStreamWriter(await DmaFile.create(dir.file("file")));
  const chunk = pattern(100);
  const promises = new Set<Promise<void>>();
  for (let count = 0; count < 200_000; count++) promises.add(writer.write(chunk));
  assert(promises.size < 2000, `${promises.size} promises`);
  await Promise.all(promises);
  await writer.close();
  assertEquals(writer.currentFlushedPos, 20_000_000);
});
