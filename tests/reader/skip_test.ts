// DmaStreamReader.skip, and files that change while they are read.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { DmaFile, DmaStreamReader } from "../../mod.ts";
import { pattern } from "../support/bytes.ts";
import { testDirectAndCached } from "../support/dirs.ts";
import { hold } from "../support/interpose.ts";
import { allOf, openPattern } from "../support/patterned.ts";

const SIZE = 300_001;

testDirectAndCached("skip() before the first read goes to any byte", async (dir) => {
  await using file = await openPattern(dir.file("first"), SIZE);
  for (const bytes of [0, 1, 511, 4096, 100_000, SIZE - 1, SIZE, SIZE + 1, 2 ** 52]) {
    const stream = new DmaStreamReader(file, { closeFile: false });
    stream.skip(bytes);
    const position = Math.min(bytes, SIZE);
    assertEquals(stream.currentPos, position);
    assertEquals(await allOf(stream), pattern(SIZE - position, position));
  }
});

testDirectAndCached("skip() goes to the end of the range at most", async (dir) => {
  await using file = await openPattern(dir.file("range"), SIZE);
  const stream = new DmaStreamReader(file, { start: 1000, end: 5001, closeFile: false });
  const reader = stream.getReader();
  stream.skip(10);
  assertEquals((await reader.read()).value, pattern(3991, 1010));
  stream.skip(1);
  assertEquals(stream.currentPos, 5001);
  assertEquals((await reader.read()).done, true);
});

testDirectAndCached("skip() to the end ends the stream and closes the file", async (dir) => {
  const file = await openPattern(dir.file("to-end"), SIZE);
  const stream = new DmaStreamReader(file);
  stream.skip(SIZE);
  assertEquals(await allOf(stream), new Uint8Array());
  await assertRejects(() => file.size(), Deno.errors.BadResource);
  stream.skip(1);
  assertEquals(stream.currentPos, SIZE);
});

testDirectAndCached("A file that grows byte by byte is read without a gap", async (dir) => {
  const path = dir.file("log");
  await Deno.writeFile(path, new Uint8Array());
  let size = 0;
  using log = await Deno.open(path, { append: true });
  for (const bufferSize of [512, 65_536]) {
    for (let round = 0; round < 20; round++) {
      log.writeSync(pattern(701, size));
      size += 701;
      const reading = allOf(new DmaStreamReader(await DmaFile.open(path), { bufferSize }));
      const least = size;
      for (let line = 0; line < 50; line++) {
        log.writeSync(pattern(37, size));
        size += 37;
        await new Promise((resolve) => queueMicrotask(() => resolve(undefined)));
      }
      const got = await reading;
      assert(got.length >= least && got.length <= size);
      assertEquals(got, pattern(got.length));
    }
  }
});

testDirectAndCached("skip() at any moment around a read loses and repeats nothing", async (dir) => {
  for (const byob of [false, true]) {
    for (let turns = 0; turns < 20; turns++) {
      const file = await openPattern(dir.file("file"), 100_000);
      const stream = new DmaStreamReader(file, { bufferSize: 16_384, readAhead: 1 });
      // One without a mode takes no notice of the view.
      const reader = (byob
        ? stream.getReader({ mode: "byob" })
        : stream.getReader()) as ReadableStreamBYOBReader;
      const read = async () => {
        const { value } = await reader.read(new Uint8Array(1000));
        return value ?? new Uint8Array(0);
      };
      using reads = hold("read", { results: true });
      const first = read();
      await reads.reach();
      reads.letGo();
      for (let turn = 0; turn < turns; turn++) {
        await undefined;
      }
      const skipped = stream.currentPos;
      stream.skip(50_000);
      let at = skipped > 0 ? 0 : 50_000;
      for (let bytes = await first; bytes.length > 0; bytes = await read()) {
        assertEquals(bytes, pattern(bytes.length, at), `${turns} turns`);
        at += bytes.length;
        if (at === skipped) {
          at += 50_000;
        }
      }
      assertEquals(at, 100_000, `${turns} turns`);
    }
  }
});
