// DmaStreamReader as a ReadableStream: every way to consume it yields the bytes of the file.

import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { Readable } from "node:stream";
import { DmaFile, DmaStreamReader, type DmaStreamReaderOptions } from "../../mod.ts";
import { assertFile, joined, pattern } from "../support/bytes.ts";
import { descriptorsOf } from "../support/descriptors.ts";
import { testDirectAndCached, testInEachDirectory } from "../support/dirs.ts";
import "../support/engine.ts";
import { allOf } from "../support/patterned.ts";
import { open, testReaders } from "./create.ts";

const SIZES = [0, 1, 511, 512, 513, 4095, 4096, 4097, 65_536, 131_074, 3_000_001];

testInEachDirectory("for await gives the whole file, and the position in it", async (dir) => {
  for (const size of SIZES) {
    const reader = await open(dir, size);
    assertEquals(reader.currentPos, 0);
    const chunks = [];
    let position = 0;
    for await (const chunk of reader) {
      assert(chunk instanceof Uint8Array && chunk.length > 0);
      chunks.push(chunk);
      assertEquals(reader.currentPos, position += chunk.length);
    }
    assertEquals(joined(...chunks), pattern(size));
    assertEquals([reader.currentPos, descriptorsOf(reader.file.path)], [size, 0]);
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
  "both branches of a tee": async (stream) => {
    const [one, two] = await Promise.all(stream.tee().map(allOf));
    assertEquals(one, two);
    return one!;
  },
  "a branch of a tee whose other one is cancelled": async (stream) => {
    const [left, right] = stream.tee();
    const cancelled = left.cancel();
    const bytes = await allOf(right);
    await right.cancel();
    await cancelled;
    return bytes;
  },
};

for (const [name, consume] of Object.entries(consumers)) {
  testDirectAndCached(`A reader gives all bytes to ${name}`, async (dir) => {
    const reader = await open(dir, 400_003, { bufferSize: 65_536 });
    assertEquals(await consume(reader), pattern(400_003));
    assertEquals(descriptorsOf(reader.file.path), 0);
  });
}

testReaders("A file is closed at the end, unless closeFile is false", 5000, async (read, file) => {
  await allOf(read());
  assertEquals(descriptorsOf(file.path), 1);
  await allOf(read({ closeFile: true }));
  assertEquals(descriptorsOf(file.path), 0);
  assertThrows(() => read(), Deno.errors.BadResource, "the file is closed");
});

testReaders("DmaFile.readable is the same reader each time", 5000, async (_, file) => {
  assertStrictEquals(file.readable, file.readable);
  assertStrictEquals(file.readable.file, file);
  assertEquals(await allOf(file.readable), pattern(5000));
  assertEquals(descriptorsOf(file.path), 0);
  assertEquals(await allOf(file.readable), new Uint8Array());
});

testDirectAndCached("A reader sees what a writer has flushed", async (dir) => {
  const file = await DmaFile.create(dir.file("both"));
  const writer = file.writable;
  await writer.write(pattern(100_000));
  await writer.sync({ tail: true });
  const reader = new DmaStreamReader(file, { end: writer.currentFlushedPos });
  assertEquals(await allOf(reader), pattern(100_000));
  await writer.write(pattern(5000, 100_000));
  await writer.close();
  await assertFile(file.path, pattern(105_000));
  assertEquals(descriptorsOf(file.path), 0);
});

testReaders("A range that ends before it starts is refused", 5000, async (read, file) => {
  const make = (options: DmaStreamReaderOptions) => () => read(options);
  const says = "Invalid end 9: it must not be before start 10";
  assertThrows(make({ start: 10, end: 9 }), RangeError, says);
  assertThrows(make({ bufferSize: 2 ** 31 }), RangeError, "Invalid bufferSize 2147483648");
  await using written = await DmaFile.open(file.path, { read: false, write: true });
  assertThrows(() => new DmaStreamReader(written), Deno.errors.BadResource, "(os error 9): read '");
});

testReaders("console.log shows the position of a reader", 5000, (read) => {
  const shown = Deno.inspect(read({ start: 7, readAhead: 2 }));
  for (const part of ["DmaStreamReader {", "currentPos: 7", "readAhead: 2"]) {
    assert(shown.includes(part), shown);
  }
  return Promise.resolve();
});
