// DmaStreamWriter: what it writes, and what its positions say meanwhile. The reference's own examples and tests.

import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { DEFAULT_BUFFER_SIZE, DEFAULT_WRITE_BEHIND, DmaFile, DmaStreamWriter } from "../../mod.ts";
import type { DmaStreamWriterOptions } from "../../mod.ts";
import { pattern } from "../support/bytes.ts";
import { testDirectAndCached } from "../support/dirs.ts";
import "../support/engine.ts";
import { closeWith, create, createOver, narrow, small, testWriter } from "./create.ts";

function positions({ currentPos, currentFlushedPos }: DmaStreamWriter): [number, number] {
  return [currentPos, currentFlushedPos];
}

testWriter("5 bytes: positions are 5 and 0, then 5 after close", {}, async (writer) => {
  await writer.write(pattern(5));
  assertEquals(positions(writer), [5, 0]);
  await closeWith(writer, pattern(5));
  assertEquals(positions(writer), [5, 5]);
});

testWriter("5000 bytes by 4096: sync gives 4096, and close 5000", small, async (writer) => {
  const written = writer.write(pattern(5000));
  // Straight after the write: a disk may be faster than the next turn of the event loop.
  assertEquals(positions(writer), [5000, 0]);
  await written;
  assertEquals(await writer.sync(), 4096);
  assertEquals(positions(writer), [5000, 4096]);
  await closeWith(writer, pattern(5000));
  assertEquals(positions(writer), [5000, 5000]);
});

testDirectAndCached("Buffer size and write-behind are rounded, and shown", async (dir) => {
  await using file = await DmaFile.create(dir.file("file"));
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
    const parts = [file.path, "currentPos: 0", `bufferSize: ${bufferSize}`];
    for (const part of parts) assert(shown.includes(part), shown);
    await writer.close();
  }
  const both = () => new DmaStreamWriter(file, { append: true, position: 5 });
  assertThrows(both, TypeError, "append");
  const tooMany = () => new DmaStreamWriter(file, { writeBehind: 1025 });
  const says = "Invalid writeBehind 1025: it must be an integer of 1024 or less";
  assertThrows(tooMany, RangeError, says);
});

testDirectAndCached("A file has one writer at a time, and a closed one refuses", async (dir) => {
  const first = await create(dir, { closeFile: false });
  const { file } = first;
  assertThrows(() => new DmaStreamWriter(file), TypeError, "two writers");
  await first.write(pattern(5));
  await first.close();
  for (const call of [() => first.close(), () => first.write(pattern(5)), () => first.seal()]) {
    await assertRejects(call, TypeError, "closed");
  }
  const { writable } = file;
  assert(writable instanceof DmaStreamWriter && writable instanceof WritableStream);
  assertStrictEquals(file.writable, writable);
  await writable.write(pattern(10));
  await closeWith(writable, pattern(10));
  assertEquals([first.currentPos, writable.currentPos], [5, 10]);
  assertThrows(() => new DmaStreamWriter(file), Deno.errors.BadResource, "closed");
});

testDirectAndCached("nextPos is where each of many concurrent writes ends up", async (dir) => {
  const writer = await createOver(dir.file("log"), pattern(700), { ...narrow, append: true });
  await writer.write(new Uint8Array(0));
  const writes: Promise<void>[] = [];
  let end = 700;
  for (let length = 1; length < 1400; length += 7) {
    assertEquals(writer.nextPos, end);
    writes.push(writer.write(pattern(length, end)));
    end += length;
  }
  assert(writer.currentPos < end, "No write had to wait");
  await Promise.all(writes);
  await closeWith(writer, pattern(end));
  assertEquals([writer.nextPos, writer.currentPos], [end, end]);
});

testWriter("Chunks that wait take no promise chain each", {}, async (writer) => {
  const chunk = pattern(100);
  const promises = new Set<Promise<void>>();
  for (let count = 0; count < 200_000; count++) promises.add(writer.write(chunk));
  assert(promises.size < 2000, `${promises.size} promises`);
  await Promise.all(promises);
  await writer.close();
  assertEquals(writer.currentFlushedPos, 20_000_000);
});
