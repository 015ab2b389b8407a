// DmaFile.readInto: one buffer for any number of reads.

import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { DmaFile } from "../../mod.ts";
import { pattern } from "../support/bytes.ts";
import { testDirectAndCached } from "../support/dirs.ts";

const SIZE = 20_001;

testDirectAndCached("readInto fills one buffer again and again", async (dir) => {
  await Deno.writeFile(dir.file("f"), pattern(SIZE));
  await using file = await DmaFile.open(dir.file("f"));
  const buffer = file.allocBuffer(8192);
  const whole = pattern(SIZE);
  for (const position of [0, 8192, 4096, 0]) {
    assertEquals(await file.readInto(buffer, position), 8192);
    assertEquals(buffer.bytes, whole.slice(position, position + 8192));
  }
});

testDirectAndCached("readInto says how much there was at the end of the file", async (dir) => {
  await Deno.writeFile(dir.file("f"), pattern(SIZE));
  await using file = await DmaFile.open(dir.file("f"));
  const buffer = file.allocBuffer(8192);
  assertEquals(await file.readInto(buffer, 16384), SIZE - 16384);
  assertEquals(buffer.bytes.subarray(0, SIZE - 16384), pattern(SIZE).subarray(16384));
  assertEquals(await file.readInto(buffer, 24576), 0);
  assertEquals(await file.readInto(buffer, 2 ** 40), 0);
});

testDirectAndCached("The bytes of a buffer are out of reach while it is filled", async (dir) => {
  await Deno.writeFile(dir.file("f"), pattern(SIZE));
  await using file = await DmaFile.open(dir.file("f"));
  const buffer = file.allocBuffer(4096);
  const before = buffer.bytes;
  const reading = file.readInto(buffer, 0);
  assertEquals(before.length, 0);
  assertEquals(buffer.bytes.length, 0);
  await assertRejects(() => file.readInto(buffer, 0), TypeError, "in use");
  await reading;
  assertEquals(buffer.bytes, pattern(4096));
  assertStrictEquals(before.length, 0);
});

testDirectAndCached("readInto refuses what is wrong and keeps the buffer", async (dir) => {
  await Deno.writeFile(dir.file("f"), pattern(SIZE));
  const file = await DmaFile.open(dir.file("f"));
  const { offset } = file.alignment;
  const buffer = file.allocBuffer(4096);
  await assertRejects(() => file.readInto(buffer, 1), RangeError, `a multiple of ${offset}`);
  await assertRejects(() => file.readInto(buffer, -4096), RangeError, "position");
  // deno-lint-ignore no-explicit-any -- what is tested is a wrong type
  const bytes = new Uint8Array(4096) as any;
  await assertRejects(() => file.readInto(bytes, 0), TypeError, "buffer must be a DmaBuffer");
  await file.close();
  await assertRejects(() => file.readInto(buffer, 0), Deno.errors.BadResource);
  assertEquals(buffer.bytes.length, 4096);
  await using written = await DmaFile.open(dir.file("f"), { read: false, write: true });
  await assertRejects(() => written.readInto(buffer, 0), Error, "opened without read");
  assertEquals(buffer.bytes.length, 4096);
});
