// From file to file: what reader.pipeTo(writer) does, it does as any stream would.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { DmaFile, DmaStreamReader, DmaStreamWriter } from "../../mod.ts";
import { assertFile, joined, pattern } from "../support/bytes.ts";
import { inFreshDirectory, testDirectAndCached, testDirectories } from "../support/dirs.ts";
import { hold } from "../support/interpose.ts";
import { openPattern } from "../support/patterned.ts";
import { assertSame, ways } from "./pipe_ways.ts";

const done = { result: "resolved", reader: "ended", writer: "closed", open: [0, 0] };

testDirectAndCached("A file of any length is piped whole", async (dir) => {
  for (const size of [0, 1, 511, 512, 4095, 4096, 4097, 65_536, 131_073, 3_000_001]) {
    assertEquals(await assertSame(dir, { size }), { ...done, bytes: size } as never);
  }
});

testDirectAndCached("Any range is piped to any position", async (dir) => {
  const before = new Uint8Array(50_001).fill(7);
  for (const [start, end] of [[0, 100_000], [1, Infinity], [4096, 40_960], [777, 778]] as const) {
    for (const writer of [{ position: 0 }, { position: 4096 }, { position: 5 }, { append: true }]) {
      await assertSame(dir, { before, reader: { start, end }, writer });
    }
  }
});

testDirectAndCached("Bytes read before the pipe are not piped, and the rest is", async (dir) => {
  for (const { name, pipe } of ways) {
    for (const byob of [false, true]) {
      const source = new DmaStreamReader(await openPattern(dir.file("source"), 300_001), {
        bufferSize: 16_384,
      });
      if (byob) {
        const reader = source.getReader({ mode: "byob" });
        await reader.read(new Uint8Array(1000));
        reader.releaseLock();
      } else {
        const reader = source.getReader();
        await reader.read();
        reader.releaseLock();
      }
      const from = source.currentPos;
      source.skip(10_000);
      await pipe(source, (await DmaFile.create(dir.file(name))).writable);
      await assertFile(dir.file(name), pattern(300_001 - from - 10_000, from + 10_000));
    }
  }
});

testDirectAndCached("Files with closeFile false stay open", async (dir) => {
  const ending = await assertSame(dir, {
    reader: { closeFile: false },
    writer: { closeFile: false },
  });
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
  assert(
    copied.plain! >= size,
    `The plain way copied ${copied.plain} bytes, so nothing was counted`,
  );
});

for (const from of testDirectories) {
  for (const to of testDirectories) {
    if (from === to) continue;
    Deno.test(`A file is piped from ${from.label} to ${to.label}`, async () => {
      await inFreshDirectory(from, (from) =>
        inFreshDirectory(to, async (to) => {
          for (const size of [200_001]) {
            for (const [start, position] of [[0, 0], [512, 0], [3, 4099]] as const) {
              for (const bufferSize of [512, 5000]) {
                for (const { pipe } of ways) {
                  const source = await openPattern(from.file("source"), size);
                  const target = await DmaFile.create(to.file("target"));
                  await pipe(
                    new DmaStreamReader(source, { start, bufferSize: 8 * bufferSize }),
                    new DmaStreamWriter(target, { position, bufferSize: 8 * bufferSize }),
                  );
                  const hole = new Uint8Array(position);
                  await assertFile(target.path, joined(hole, pattern(size - start, start)));
                }
              }
            }
          }
        }));
    });
  }
}

testDirectAndCached(
  "A pipe that begins at any moment around a read gets every byte",
  async (dir) => {
    // The second is read straight into the view.
    for (const readAhead of [1, 0]) {
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
    }
  },
);

testDirectAndCached(
  "The options of a pipe are read once, in the Standard's order, and reject",
  async (dir) => {
    await Deno.writeFile(dir.file("from"), pattern(1000));
    const streams = async (name: string) => {
      if (name === "plain") return [new ReadableStream(), new WritableStream()] as const;
      const { readable } = await DmaFile.open(dir.file("from"));
      const { writable } = await DmaFile.create(dir.file("to"));
      return [readable, writable] as const;
    };
    const names = ["preventAbort", "preventCancel", "preventClose", "signal"];
    const seen: Record<string, string[]> = {};
    for (const name of ["plain", "direct"]) {
      const read: string[] = seen[name] = [];
      const [from, to] = await streams(name);
      const options = Object.defineProperties(
        {},
        Object.fromEntries(names.map((option) => [option, {
          get() {
            read.push(option);
            if (option === "signal") throw new Error("thrown by a getter");
          },
        }])),
      );
      const piped = from.pipeTo(to, options);
      await assertRejects(() => piped, Error, "thrown by a getter");
      assertEquals([from.locked, to.locked], [false, false]);
      await Promise.all([from.cancel(), to.abort()]);
    }
    assertEquals(seen.direct, names);
    assertEquals(seen.plain, names);
  },
);
