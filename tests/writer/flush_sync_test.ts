// flushSync(): everything that was given is in the file when it returns, whatever was under way, and writing goes on.

import "../support/engine.ts";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { DmaFile, DmaStreamWriter, ioStats } from "../../mod.ts";
import { assertFile, filled, joined, pattern } from "../support/bytes.ts";
import { testDirectAndCached } from "../support/dirs.ts";
import { interpose } from "../support/interpose.ts";
import { create } from "./create.ts";

const small = { bufferSize: 8192, writeBehind: 2 };

/** The bytes of a file from its beginning, padding and what is reserved left out. */
function assertStarts(path: string, expected: Uint8Array): void {
  assertEquals(Deno.readFileSync(path).subarray(0, expected.length), expected);
}

testDirectAndCached("flushSync() writes what was accepted, at once", async (dir) => {
  const writer = await create(dir, small);
  let length = 0;
  for (const size of [1, 511, 5000, 0, 20_000, 3, 8192, 100]) {
    await writer.write(pattern(size, length));
    length += size;
    writer.flushSync();
    assertEquals([writer.currentPos, writer.currentFlushedPos], [length, length]);
    assertStarts(dir.file("file"), pattern(length));
  }
  await writer.close();
  await assertFile(dir.file("file"), pattern(length));
});

testDirectAndCached("flushSync() writes what waits, with or without a lock", async (dir) => {
  for (const locked of [false, true]) {
    const writer = await create(dir, small);
    const out = locked ? writer.getWriter() : writer;
    const written: Promise<void>[] = [];
    for (let at = 0; at < 1_000_000; at += 9999) {
      const size = Math.min(9999, 1_000_000 - at);
      written.push(out.write(pattern(size, at)));
    }
    assert(writer.currentPos < 1_000_000, "Something must wait");
    writer.flushSync();
    assertEquals(writer.currentFlushedPos, 1_000_000);
    assertStarts(dir.file("file"), pattern(1_000_000));
    await Promise.all(written);
    await out.write(pattern(5, 1_000_000));
    assertEquals(writer.nextPos, 1_000_005);
    await out.close();
    await assertFile(dir.file("file"), pattern(1_000_005));
  }
});

testDirectAndCached("flushSync({ durable }) syncs file and name, once", async (dir) => {
  const writer = await create(dir, small);
  await writer.write(pattern(100));
  const { syncs } = ioStats();
  writer.flushSync();
  assertEquals(ioStats().syncs, syncs);
  writer.flushSync({ durable: true });
  assertEquals(ioStats().syncs, syncs + 2);
  writer.flushSync({ durable: true });
  assertEquals(ioStats().syncs, syncs + 2);
  // Nothing is left for a sync of the other kind.
  await writer.sync({ tail: true });
  assertEquals(ioStats().syncs, syncs + 2);
  await writer.abort();
});

testDirectAndCached("flushSync() throws the failure", async (dir) => {
  for (const early of [false, true]) {
    const writer = await create(dir, small);
    const failing = interpose("write", ({ end }) => end(-28));
    const written = writer.write(pattern(100_000)).catch((error) => error);
    if (early) await written;
    // What was passed by the interposed engine fails a little later, when the event loop comes round.
    const error = early
      ? assertThrows(() => writer.flushSync(), Error, "No space left")
      : undefined;
    failing[Symbol.dispose]();
    const reason = await written;
    if (error) assertEquals(error, reason);
    assertThrows(() => writer.flushSync(), Error, "No space left");
    await writer.abort().catch(() => {});
  }
});

/** Lets promises go on so many times: what is under way is somewhere else each time. */
async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await undefined;
}

testDirectAndCached("flushSync() does not wait for what waits for it: a truncate", async (dir) => {
  for (let turn = 0; turn < 30; turn++) {
    const writer = await create(dir, small);
    const work: Promise<unknown>[] = [];
    await writer.write(pattern(20_000));
    if (turn % 2 === 1) work.push(writer.file.readAt(0, 10_000), writer.flushAligned());
    // A write past the writer keeps the truncate waiting, and its end is told by a promise.
    if (turn % 3 === 1) work.push(writer.file.writeAt(pattern(4096), 0));
    work.push(writer.file.truncate(30_000));
    work.push(writer.write(pattern(20_001, 20_000)));
    await turns(turn >> 1);
    writer.flushSync();
    assertEquals(writer.currentFlushedPos, 40_001);
    await Promise.all(work);
    await writer.close();
    const bytes = await Deno.readFile(dir.file("file"));
    // The truncate came before the last writes, between them, or after them.
    assert(bytes.length === 30_000 || bytes.length === 40_001, `${bytes.length} bytes`);
    assertEquals(bytes.subarray(0, 30_000), pattern(30_000));
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
    for (let round = 0; round < turn % 4; round++) {
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    await turns(turn >> 1);
    writer.flushSync();
    assertEquals(writer.currentFlushedPos, 15_001);
    await Promise.all([synced, reading, written]);
    await writer.close();
    await assertFile(dir.file("file"), pattern(15_001));
  }
});

testDirectAndCached("flushSync() keeps what was written behind a truncate", async (dir) => {
  const path = dir.file("file");
  await Deno.writeFile(path, filled(5000, 1));
  const writer = new DmaStreamWriter(await DmaFile.open(path, { write: true }));
  await writer.write(pattern(100));
  await writer.sync({ tail: true });
  await writer.file.truncate(200);
  const unit = writer.file.alignUp(1);
  await writer.file.writeAt(joined(pattern(100), filled(unit - 100, 2)), 0);
  await writer.write(pattern(10, 100));
  writer.flushSync();
  await writer.close();
  await assertFile(path, joined(pattern(110), filled(unit - 110, 2)));
});

testDirectAndCached(
  "A chunk that a closing stream refuses is not written or waited for",
  async (dir) => {
    for (const end of ["close", "seal"] as const) {
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
    }
  },
);
