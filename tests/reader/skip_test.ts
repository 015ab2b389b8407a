// DmaStreamReader.skip.

import { assertEquals } from "@std/assert";
import { pattern } from "../support/bytes.ts";
import { testDirectAndCached } from "../support/dirs.ts";
import { hold } from "../support/interpose.ts";
import { allOf } from "../support/patterned.ts";
import { open, testReaders } from "./create.ts";

const SIZE = 300_001;

testReaders("skip() before the first read goes to any byte", SIZE, async (read) => {
  for (const bytes of [0, 1, 511, 4096, 100_000, SIZE - 1, SIZE, SIZE + 1, 2 ** 52]) {
    const stream = read();
    stream.skip(bytes);
    const position = Math.min(bytes, SIZE);
    assertEquals(stream.currentPos, position);
    assertEquals(await allOf(stream), pattern(SIZE - position, position));
  }
});

testReaders("skip() goes to the end of the range at most", SIZE, async (read) => {
  const stream = read({ start: 1000, end: 5001 });
  const reader = stream.getReader();
  stream.skip(10);
  assertEquals((await reader.read()).value, pattern(3991, 1010));
  stream.skip(1);
  assertEquals(stream.currentPos, 5001);
  assertEquals((await reader.read()).done, true);
});

for (const byob of [false, true]) {
  const name = `skip() at any moment around a read loses nothing${byob ? ", into a view" : ""}`;
  testDirectAndCached(name, async (dir) => {
    for (let turns = 0; turns < 20; turns++) {
      const stream = await open(dir, 100_000, { bufferSize: 16_384, readAhead: 1 });
      const reader = byob ? stream.getReader({ mode: "byob" }) : stream.getReader();
      const read = async () => {
        // A reader without a mode ignores the view.
        const { value } = await (reader as ReadableStreamBYOBReader).read(new Uint8Array(1000));
        return value ?? new Uint8Array(0);
      };
      using reads = hold("read", { results: true });
      const first = read();
      await reads.reach();
      reads.letGo();
      for (let turn = 0; turn < turns; turn++) await undefined;
      const skipped = stream.currentPos;
      stream.skip(50_000);
      let at = skipped > 0 ? 0 : 50_000;
      for (let bytes = await first; bytes.length > 0; bytes = await read()) {
        assertEquals(bytes, pattern(bytes.length, at), `${turns} turns`);
        at += bytes.length;
        if (at === skipped) at += 50_000;
      }
      assertEquals(at, 100_000, `${turns} turns`);
    }
  });
}
