// DmaStreamReader as the ReadableStream that it is: every way to consume one gives the bytes of the file.

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { Readable } from "node:stream";
import { DmaFile, DmaStreamReader, type DmaStreamReaderOptions } from "../../mod.ts";
import { joined, pattern } from "../support/bytes.ts";
import { descriptorsOf } from "../support/descriptors.ts";
import { testDirectAndCached, testInEachDirectory } from "../support/dirs.ts";
import "../support/engine.ts";
import { allOf, openPattern } from "../support/patterned.ts";

const SIZES = [0, 1, 511, 512, 513, 4095, 4096, 4097, 65_536, 131_074, 3_000_001];

testInEachDirectory("DmaStreamReader gives the whole file to for await", async (dir) => {
  for (const size of SIZES) {
    const path = dir.file(`${size}`);
    const reader = new DmaStreamReader(await openPattern(path, size));
    const chunks = [];
    for await (const chunk of reader) {
      assertInstanceOf(chunk, Uint8Array);
      assert(chunk.length > 0);
      chunks.push(chunk);
    }
    assertEquals(joined(...chunks), pattern(size));
    assertEquals([reader.currentPos, descriptorsOf(path)], [size, 0]);
  }
});

testDirectAndCached("DmaStreamReader tells where it is", async (dir) => {
  const stream = new DmaStreamReader(await openPattern(dir.file("position"), 200_000));
  assertEquals(stream.currentPos, 0);
  const reader = stream.getReader();
  let position = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    position += value.length;
    assertEquals(stream.currentPos, position);
  }
  assertEquals(position, 200_000);
  assertEquals((await reader.read()).done, true);
  assertEquals((await reader.read()).done, true);
  await reader.closed;
  assertEquals(stream.currentPos, 200_000);
});

testDirectAndCached(
  "DmaStreamReader answers reads that were asked for at once in order",
  async (dir) => {
    const stream = new DmaStreamReader(await openPattern(dir.file("at-once"), 20_001), {
      bufferSize: 4096,
    });
    const reader = stream.getReader();
    const reads = await Promise.all(Array.from({ length: 10 }, () => reader.read()));
    const chunks = reads.filter(({ done }) => !done).map(({ value }) => value!);
    assertEquals(joined(...chunks), pattern(20_001));
    assertEquals(reads.slice(-4).map(({ done }) => done), [true, true, true, true]);
  },
);

testInEachDirectory("DmaStreamReader starts and ends at any byte", async (dir) => {
  const size = 20_001;
  const edges = [0, 1, 511, 512, 4095, 4097, 12_288, 20_000, 20_001, 30_000];
  await using file = await openPattern(dir.file("range"), size);
  const whole = pattern(size);
  for (const start of edges) {
    for (const end of [...edges, Infinity].filter((end) => end >= start)) {
      const stream = new DmaStreamReader(file, { start, end, bufferSize: 4096, closeFile: false });
      assertEquals(stream.currentPos, start);
      assertEquals(await allOf(stream), whole.slice(start, end), `${start} to ${end}`);
    }
  }
});

const consumers: Record<string, (stream: DmaStreamReader) => Promise<Uint8Array>> = {
  "pipeTo": async (stream) => {
    const chunks: Uint8Array[] = [];
    await stream.pipeTo(new WritableStream({ write: (chunk) => void chunks.push(chunk) }));
    return joined(...chunks);
  },
  "pipeThrough": (stream) =>
    allOf(
      stream.pipeThrough(new CompressionStream("gzip"))
        .pipeThrough(new DecompressionStream("gzip")),
    ),
  "a Response": (stream) => new Response(stream).bytes(),
  "an HTTP server": async (stream) => {
    const options = { port: 0, hostname: "127.0.0.1", onListen() {} };
    await using server = Deno.serve(options, () => new Response(stream));
    return await (await fetch(`http://127.0.0.1:${server.addr.port}/`)).bytes();
  },
  "a Readable of Node.js": async (stream) => {
    // deno-lint-ignore no-explicit-any
    return joined(...await Array.fromAsync(Readable.fromWeb(stream as any)));
  },
};

for (const [name, consume] of Object.entries(consumers)) {
  testDirectAndCached(`DmaStreamReader gives all bytes to ${name}`, async (dir) => {
    const path = dir.file("file");
    const reader = new DmaStreamReader(await openPattern(path, 400_003), { bufferSize: 65_536 });
    assertEquals(await consume(reader), pattern(400_003));
    assertEquals(descriptorsOf(path), 0);
  });
}

testDirectAndCached("DmaStreamReader can be split with tee", async (dir) => {
  const size = 400_000;
  const path = dir.file("tee");
  const [one, two] = new DmaStreamReader(await openPattern(path, size)).tee();
  assertEquals(await Promise.all([allOf(one), allOf(two)]), [pattern(size), pattern(size)]);
  assertEquals(descriptorsOf(path), 0);
  const [left, right] = new DmaStreamReader(await DmaFile.open(path)).tee();
  const cancelled = left.cancel();
  assertEquals(await allOf(right), pattern(size));
  await right.cancel();
  await cancelled;
  assertEquals(descriptorsOf(path), 0);
});

testDirectAndCached(
  "DmaStreamReader closes its file at the end, unless closeFile is false",
  async (dir) => {
    const path = dir.file("closes");
    const file = await openPattern(path, 5000);
    await allOf(new DmaStreamReader(file, { closeFile: false }));
    assertEquals(descriptorsOf(path), 1);
    await allOf(new DmaStreamReader(file));
    assertEquals(descriptorsOf(path), 0);
    await assertRejects(() => file.readAt(0, 1), Deno.errors.BadResource, "the file is closed");
  },
);

testDirectAndCached("DmaFile.readable is the same reader each time", async (dir) => {
  const path = dir.file("readable");
  const file = await openPattern(path, 5000);
  assertStrictEquals(file.readable, file.readable);
  assertStrictEquals(file.readable.file, file);
  assertEquals(await allOf(file.readable), pattern(5000));
  assertEquals(descriptorsOf(path), 0);
  assertEquals(await allOf(file.readable), new Uint8Array());
});

testDirectAndCached(
  "DmaStreamReader sees what a writer has flushed, and leaves it the file",
  async (dir) => {
    const path = dir.file("both");
    const file = await DmaFile.create(path);
    const writer = file.writable;
    await writer.write(pattern(100_000));
    await writer.sync({ tail: true });
    const reader = new DmaStreamReader(file, { end: writer.currentFlushedPos });
    assertEquals(await allOf(reader), pattern(100_000));
    await writer.write(pattern(5000, 100_000));
    await writer.close();
    assertEquals(await Deno.readFile(path), pattern(105_000));
    assertEquals(descriptorsOf(path), 0);
  },
);

testDirectAndCached("DmaStreamReader refuses a file that was opened without read", async (dir) => {
  const path = dir.file("write-only");
  await using file = await DmaFile.open(path, { read: false, write: true, create: true });
  const error = assertThrows(() => new DmaStreamReader(file), Deno.errors.BadResource);
  assertStringIncludes(error.message, "Bad file descriptor (os error 9): read '");
  assertThrows(() => file.readable, Deno.errors.BadResource);
  await file.close();
  assertEquals(descriptorsOf(path), 0);
});

testDirectAndCached("DmaStreamReader refuses a range that ends before it starts", async (dir) => {
  await using file = await openPattern(dir.file("arguments"), 5000);
  const make = (options: DmaStreamReaderOptions) => () => new DmaStreamReader(file, options);
  const says = "Invalid end 9: it must not be before start 10";
  assertThrows(make({ start: 10, end: 9 }), RangeError, says);
  assertThrows(make({ bufferSize: 2 ** 31 }), RangeError, "Invalid bufferSize 2147483648");
});

testDirectAndCached("DmaStreamReader refuses a file that is closed", async (dir) => {
  const file = await openPattern(dir.file("closed"), 5000);
  await file.close();
  assertThrows(() => new DmaStreamReader(file), Deno.errors.BadResource, "the file is closed");
});

testDirectAndCached("DmaStreamReader says where it is in console.log", async (dir) => {
  await using file = await openPattern(dir.file("shown"), 5000);
  const shown = Deno.inspect(new DmaStreamReader(file, { start: 7, readAhead: 2 }));
  assertStringIncludes(shown, "DmaStreamReader {");
  assertStringIncludes(shown, "currentPos: 7");
  assertStringIncludes(shown, "readAhead: 2");
});
