// flushSync(): everything that was given is in the file when it returns, whatever was under way, and writing goes on.

import "../support/engine.ts";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { ioStats } from "../../mod.ts";
import { Errno } from "../../src/engine/linux.ts";
import { pause } from "../setup/command.ts";
import { assertFile, filled, joined, pattern } from "../support/bytes.ts";
import { testDirectAndCached } from "../support/dirs.ts";
import { fail } from "../support/interpose.ts";
import { assertStarts, closeWith, create, createOver, small, testWriter } from "./create.ts";

testWriter("flushSync() writes what was accepted, at once", small, async (writer, path) => {
  let length = 0;
  for (const size of [1, 511, 5000, 0, 20_000, 3, 8192, 100]) {
    await writer.write(pattern(size, length));
    length += size;
    writer.flushSync();
    assertEquals([writer.currentPos, writer.currentFlushedPos], [length, length]);
    assertStarts(path, pattern(length));
  }
  await closeWith(writer, pattern(length));
});

testWriter("flushSync({ durable }) syncs file and name, once", small, async (writer) => {
  await writer.write(pattern(100));
  const { syncs } = ioStats();
  const since = () => ioStats().syncs - syncs;
  writer.flushSync();
  assertEquals(since(), 0);
  writer.flushSync({ durable: true });
  assertEquals(since(), 2);
  writer.flushSync({ durable: true });
  // Nothing is left for a sync of the other kind.
  await writer.sync({ tail: true });
  assertEquals(since(), 2);
  await writer.abort();
});

testDirectAndCached("flushSync() throws the failure", async (dir) => {
  for (const early of [false, true]) {
    const writer = await create(dir, small);
    const failing = fail("write", Errno.ENOSPC);
    const written = writer.write(pattern(100_000)).catch((error) => error);
    // The failing engine ends writes a little later, when the event loop comes round.
    if (early) {
      await written;
      assertEquals(assertThrows(() => writer.flushSync(), Error), await written);
    }
    failing[Symbol.dispose]();
    await written;
    assertThrows(() => writer.flushSync(), Error, "No space left");
    await writer.abort().catch(() => {});
  }
});

/** Lets promises go on so many times: what is under way is somewhere else each time. */
async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await undefined;
}

testDirectAndCached("flushSync() does not wait for a truncate that waits for it", async (dir) => {
  for (let turn = 0; turn < 30; turn++) {
    const writer = await create(dir, small);
    const { file } = writer;
    const work: Promise<unknown>[] = [];
    await writer.write(pattern(20_000));
    if (turn % 2 === 1) work.push(file.readAt(0, 10_000), writer.flushAligned());
    // A write past the writer keeps the truncate waiting, and its end is told by a promise.
    if (turn % 3 === 1) work.push(file.writeAt(pattern(4096), 0));
    work.push(file.truncate(30_000), writer.write(pattern(20_001, 20_000)));
    await turns(turn >> 1);
    writer.flushSync();
    assertEquals(writer.currentFlushedPos, 40_001);
    await Promise.all(work);
    await writer.close();
    const bytes = await Deno.readFile(file.path);
    // The truncate came before the last writes, between them, or after them.
    assert(bytes.length === 30_000 || bytes.length === 40_001, `${bytes.length} bytes`);
    const expected = pattern(40_001);
    assert(bytes.every((byte, at) => byte === expected[at] || (at >= 30_000 && byte === 0)));
  }
});

testDirectAndCached("flushSync() while a sync cuts what it padded", async (dir) => {
  for (let turn = 0; turn < 60; turn++) {
    const writer = await create(dir, { bufferSize: 8192, preallocate: false });
    await writer.write(pattern(10_001));
    const synced = writer.sync({ tail: true });
    const reading = turn % 2 === 1 ? writer.file.readAt(0, 100) : undefined;
    const written = writer.write(pattern(5000, 10_001));
    for (let round = 0; round < turn % 4; round++) await pause(0);
    await turns(turn >> 1);
    writer.flushSync();
    assertEquals(writer.currentFlushedPos, 15_001);
    await Promise.all([synced, reading, written]);
    await closeWith(writer, pattern(15_001));
  }
});

testDirectAndCached("flushSync() keeps what was written behind a truncate", async (dir) => {
  const writer = await createOver(dir.file("file"), filled(5000, 1));
  await writer.write(pattern(100));
  await writer.sync({ tail: true });
  await writer.file.truncate(200);
  const unit = writer.file.alignUp(1);
  await writer.file.writeAt(joined(pattern(100), filled(unit - 100, 2)), 0);
  await writer.write(pattern(10, 100));
  writer.flushSync();
  await closeWith(writer, joined(pattern(110), filled(unit - 110, 2)));
});

for (const end of ["close", "seal"] as const) {
  testDirectAndCached(`A chunk after ${end}() is not written or waited for`, async (dir) => {
    for (const flushes of [true, false]) {
      const writer = await create(dir, small);
      const written = writer.write(pattern(100_000));
      assert(writer.currentPos < 100_000, "Something must wait");
      const ended = writer[end]();
      const lock = writer.getWriter();
      await assertRejects(() => lock.write(filled(1000, 9)), TypeError, "clos");
      assertEquals(writer.nextPos, 100_000);
      const flushed = writer.flushAligned({ tail: true });
      if (flushes) writer.flushSync();
      assertEquals(await flushed, 100_000);
      await Promise.all([written, ended]);
      await writer.file.close();
      await assertFile(dir.file("file"), pattern(100_000));
    }
  });
}
