// reader.pipeTo(writer) behaves like the pipe of any stream.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { DmaFile, DmaStreamReader, DmaStreamWriter } from "../../mod.ts";
import { assertFile, joined, pattern } from "../support/bytes.ts";
import { testBetweenDirectories, testDirectAndCached } from "../support/dirs.ts";
import { hold } from "../support/interpose.ts";
import { openPattern } from "../support/patterned.ts";
import { assertSame, testWays, ways } from "./pipe_ways.ts";

const done = { result: "resolved", reader: "ended", writer: "closed", open: [0, 0] };

testDirectAndCached("A file of any length is piped whole", async (dir) => {
  for (const size of [0, 1, 511, 512, 4095, 4096, 4097, 65_536, 131_073, 3_000_001]) {
    assertEquals(await assertSame(dir, { size }), { ...done, bytes: size } as never);
  }
});

for (const mode of [undefined, "byob"] as const) {
  const name = `Bytes read before the pipe are not piped, and the rest is, ${mode ?? "plain"}`;
  testWays(name, 300_001, async ({ way, from, to }) => {
    const reader = mode ? from.getReader({ mode }) : from.getReader();
    await (reader as ReadableStreamBYOBReader).read(new Uint8Array(1000));
    reader.releaseLock();
    const start = from.currentPos + 10_000;
    from.skip(10_000);
    await way.pipe(from, to);
    await assertFile(to.file.path, pattern(300_001 - start, start));
  });
}

testDirectAndCached("Files with closeFile false stay open", async (dir) => {
  const stays = { closeFile: false };
  const ending = await assertSame(dir, { reader: stays, writer: stays });
  assertEquals(ending, { ...done, bytes: 300_001, open: [1, 1] } as never);
});

testDirectAndCached("Aligned bytes are not copied in JavaScript", async (dir) => {
  const size = 4 << 20;
  const copied: Record<string, number> = {};
  const typed = Object.getPrototypeOf(Uint8Array.prototype);
  const { set, slice } = typed;
  for (const { name, pipe } of ways) {
    const source = (await openPattern(dir.file("source"), size)).readable;
    const target = (await DmaFile.create(dir.file(name))).writable;
    copied[name] = 0;
    typed.set = function (from: Uint8Array, ...rest: []) {
      copied[name] = copied[name]! + from.length;
      return set.call(this, from, ...rest);
    };
    typed.slice = function (...range: []) {
      const part = slice.call(this, ...range);
      copied[name] = copied[name]! + part.length;
      return part;
    };
    try {
      await pipe(source, target);
    } finally {
      Object.assign(typed, { set, slice });
    }
    await assertFile(dir.file(name), pattern(size));
  }
  // A path or two, but none of the bytes.
  assert(copied.direct! < 8192, `${copied.direct} bytes were copied`);
  assert(copied.plain! >= size, `${copied.plain} bytes the plain way: nothing was counted`);
});

testBetweenDirectories("A file is piped", async (from, to) => {
  const size = 200_001;
  for (const [start, position] of [[0, 0], [512, 0], [3, 4099]] as const) {
    for (const bufferSize of [4096, 40_000]) {
      for (const { pipe } of ways) {
        const source = await openPattern(from.file("source"), size);
        const target = await DmaFile.create(to.file("target"));
        await pipe(
          new DmaStreamReader(source, { start, bufferSize }),
          new DmaStreamWriter(target, { position, bufferSize }),
        );
        const hole = new Uint8Array(position);
        await assertFile(target.path, joined(hole, pattern(size - start, start)));
      }
    }
  }
});

// The second chunk is read directly into the view.
for (const readAhead of [1, 0]) {
  const name = `A pipe that begins at any moment around a read is whole, readAhead ${readAhead}`;
  testDirectAndCached(name, async (dir) => {
    for (let turns = 0; turns < 20; turns++) {
      const { writable } = await DmaFile.create(dir.file("to"));
      const file = await openPattern(dir.file("from"), 100_000);
      const stream = new DmaStreamReader(file, { bufferSize: 16_384, readAhead });
      const reader = readAhead > 0 ? stream.getReader() : stream.getReader({ mode: "byob" });
      using reads = hold("read", { results: true });
      const { bytes } = file.allocBuffer(16_384);
      (reader as ReadableStreamBYOBReader).read(bytes).catch(() => {});
      await reads.reach();
      reader.releaseLock();
      reads.letGo();
      for (let turn = 0; turn < turns; turn++) await undefined;
      await stream.pipeTo(writable);
      await assertFile(dir.file("to"), pattern(100_000), `${turns} turns`);
    }
  });
}

testDirectAndCached("The options of a pipe are read once, and in order", async (dir) => {
  const names = ["preventAbort", "preventCancel", "preventClose", "signal"];
  await Deno.writeFile(dir.file("from"), pattern(1000));
  const { readable } = await DmaFile.open(dir.file("from"));
  const { writable } = await DmaFile.create(dir.file("to"));
  // The control: streams of the Standard.
  for (
    const [from, to] of [[new ReadableStream(), new WritableStream()], [
      readable,
      writable,
    ]] as const
  ) {
    const seen: string[] = [];
    const getters = names.map((name) => [name, {
      get() {
        seen.push(name);
        if (name === "signal") throw new Error("thrown by a getter");
      },
    }]);
    const piped = from.pipeTo(to, Object.defineProperties({}, Object.fromEntries(getters)));
    await assertRejects(() => piped, Error, "thrown by a getter");
    assertEquals([seen, from.locked, to.locked], [names, false, false]);
    await Promise.all([from.cancel(), to.abort()]);
  }
});
