// toNodeWritable and toNodeReadable: what Node.js libraries expect of a stream, and nothing half-done published.

import "../support/engine.ts";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { Readable, Transform, Writable } from "node:stream";
import { finished, pipeline } from "node:stream/promises";
import { createGunzip, createGzip } from "node:zlib";
import { DmaFile, DmaStreamReader, DmaStreamWriter } from "../../mod.ts";
import { toNodeReadable, toNodeWritable } from "../../node.ts";
import { engines } from "../faults/machine.ts";
import { assertFile, chunksOf, filled, joined, namesIn, pattern } from "../support/bytes.ts";
import { runChild } from "../support/child.ts";
import { descriptorsOf, eventually } from "../support/descriptors.ts";
import { testDirectAndCached, type TestDirectory } from "../support/dirs.ts";
import { interpose } from "../support/interpose.ts";
import { create } from "./create.ts";

const module = new URL("../../node.ts", import.meta.url).href;

const small = { bufferSize: 4096, writeBehind: 2 };

async function open(dir: TestDirectory, atomic = true): Promise<Writable> {
  const file = await DmaFile.create(dir.file("file"), { atomic });
  return toNodeWritable(new DmaStreamWriter(file, small));
}

testDirectAndCached("A pipeline that succeeds publishes the whole file", async (dir) => {
  const bytes = pattern(300_001);
  await pipeline(
    Readable.from([bytes.subarray(0, 100_000), bytes.subarray(100_000)]),
    await open(dir),
  );
  await assertFile(dir.file("file"), bytes);
});

testDirectAndCached("A pipeline that fails publishes nothing", async (dir) => {
  await Deno.writeFile(dir.file("file"), filled(10, 1));
  const failing = new Transform({
    transform: (chunk, _encoding, callback) => callback(null, chunk),
    flush: (callback) => callback(new Error("The source fails")),
  });
  const work = pipeline(Readable.from([pattern(100_000)]), failing, await open(dir));
  await assertRejects(() => work, Error, "The source fails");
  assertEquals(await namesIn(dir.path), ["file"]);
  await assertFile(dir.file("file"), filled(10, 1));
});

testDirectAndCached("destroy() publishes nothing, with an error or without one", async (dir) => {
  for (const error of [undefined, new Error("Given up")]) {
    for (const wrote of [false, true]) {
      const stream = await open(dir);
      let told: unknown;
      stream.on("error", (reason) => told = reason);
      if (wrote) {
        stream.write(pattern(50_000));
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      stream.destroy(error);
      await new Promise((resolve) => stream.on("close", resolve));
      assertEquals(told, error);
      assertEquals(await namesIn(dir.path), []);
    }
  }
});

testDirectAndCached("finish comes when the file is durable and closed", async (dir) => {
  const path = dir.file("file");
  const stream = await open(dir, false);
  let syncs = 0;
  using _ = interpose("sync", ({ pass }) => {
    syncs++;
    setTimeout(pass, 20);
  });
  stream.end("text");
  await once(stream, "finish");
  assert(syncs > 0);
  assertEquals(descriptorsOf(path), 0);
  assertEquals(await Deno.readTextFile(path), "text");
  // It destroys itself afterwards, which undoes nothing.
  await finished(stream);
  assertEquals([stream.destroyed, stream.errored], [true, null]);
  assertEquals(await Deno.readTextFile(path), "text");
});

testDirectAndCached("Text, buffers and what is corked come in order", async (dir) => {
  const stream = await open(dir, false);
  stream.write("ä");
  stream.write("e4", "hex");
  stream.cork();
  for (let index = 0; index < 100; index++) stream.write(Buffer.from(`${index},`));
  stream.uncork();
  stream.write(new Uint8Array([1, 2]));
  stream.end("end", "latin1");
  await finished(stream);
  const numbers = Array.from({ length: 100 }, (_, index) => `${index},`).join("");
  const text = (value: string) => new TextEncoder().encode(value);
  await assertFile(
    dir.file("file"),
    joined(text("ä"), new Uint8Array([0xe4]), text(numbers), new Uint8Array([1, 2]), text("end")),
  );
});

testDirectAndCached("A slow disk holds the source back", async (dir) => {
  using _ = interpose("write", ({ pass }) => void setTimeout(pass, 2));
  const stream = await open(dir, false);
  let held = 0;
  for (let at = 0; at < 200_000; at += 1000) {
    if (stream.write(pattern(1000, at))) continue;
    held++;
    assert(stream.writableLength <= small.bufferSize + 1000, `${stream.writableLength} bytes wait`);
    await once(stream, "drain");
  }
  stream.end();
  await finished(stream);
  assert(held > 10);
  await assertFile(dir.file("file"), pattern(200_000));
});

testDirectAndCached("flushSync() writes what waits in the stream", async (dir) => {
  for (const caller of ["stream", "writer"] as const) {
    const writer = new DmaStreamWriter(await DmaFile.create(dir.file("file")), small);
    const stream = toNodeWritable(writer);
    let [length, calls] = [0, 0];
    const write = (size: number) => {
      stream.write(pattern(size, length), () => calls++);
      length += size;
    };
    for (let round = 0; round < 3; round++) {
      for (const size of [5000, 1, 70_000, 300]) write(size);
      assert(stream.writableLength > 0, "Something must wait");
      if (round === 1) stream.cork();
      write(10_001);
      (caller === "stream" ? stream : writer).flushSync();
      assertEquals([stream.writableLength, writer.currentFlushedPos], [0, length]);
      assertEquals(Deno.readFileSync(dir.file("file")).subarray(0, length), pattern(length));
    }
    // It is held back afterwards as before.
    assertEquals(stream.write(pattern(5000, length)), false);
    length += 5000;
    await once(stream, "drain");
    stream.end();
    await finished(stream);
    assertEquals(calls, 15);
    await assertFile(dir.file("file"), pattern(length));
  }
});

testDirectAndCached(
  "flushSync() throws what the disk says, and so does the stream",
  async (dir) => {
    const stream = toNodeWritable(
      new DmaStreamWriter(await DmaFile.create(dir.file("file")), small),
    );
    using _ = interpose("write", ({ end }) => end(-28));
    for (let index = 0; index < 10; index++) stream.write(pattern(5000));
    const failed = assertRejects(() => finished(stream), Error, "No space left");
    await eventually(() => stream.errored !== null);
    assertThrows(() => stream.flushSync(), Error, "No space left");
    await failed;
  },
);

testDirectAndCached("A program that ends loses nothing that waits in the stream", async (dir) => {
  for (const engine of engines) {
    for (const end of ["", "Deno.exit();"]) {
      const { code, output } = await runChild(
        `const { toNodeWritable } = await import(${JSON.stringify(module)});
        const file = await dma.DmaFile.create(${JSON.stringify(dir.file("file"))});
        const stream = toNodeWritable(file.writable);
        for (let index = 0; index < 1000; index++) stream.write(new Uint8Array(10_000).fill(7));
        ${end}`,
        { env: { DMA_ENGINE: engine } },
      );
      assertEquals([code, output], [0, ""]);
      await assertFile(dir.file("file"), filled(10_000_000, 7));
    }
  }
}, { bothEngines: false });

testDirectAndCached("A failure of the disk is the stream's error", async (dir) => {
  for (const operation of ["write", "sync"] as const) {
    const stream = await open(dir, false);
    using _ = interpose(operation, ({ end }) => end(-28));
    stream.end(pattern(100_000));
    const error = await assertRejects(() => finished(stream), Error, "No space left");
    assertEquals((error as { code?: string }).code, "ENOSPC");
    assertEquals(descriptorsOf(dir.file("file")), 0);
  }
});

testDirectAndCached("A file is read by Node's libraries", async (dir) => {
  const bytes = pattern(500_001);
  await Deno.writeFile(dir.file("plain"), bytes);
  const reader = async (name: string) =>
    toNodeReadable(new DmaStreamReader(await DmaFile.open(dir.file(name))));
  const packed = toNodeWritable((await DmaFile.create(dir.file("packed"))).writable);
  await pipeline(await reader("plain"), createGzip(), packed);
  const unpacked = toNodeWritable((await DmaFile.create(dir.file("unpacked"))).writable);
  await pipeline(await reader("packed"), createGunzip(), unpacked);
  await assertFile(dir.file("unpacked"), bytes);
});

testDirectAndCached("A reader that is left, destroyed or fails closes its file", async (dir) => {
  const path = dir.file("file");
  await Deno.writeFile(path, pattern(3_000_000));
  const leave = async (stream: Readable) => {
    for await (const _ of stream) break;
  };
  const destroy = async (stream: Readable) => {
    stream.destroy();
    await once(stream, "close");
  };
  for (const end of [leave, destroy]) {
    const stream = toNodeReadable((await DmaFile.open(path)).readable);
    await end(stream);
    // Leaving a loop does not wait for the end.
    await eventually(() => descriptorsOf(path) === 0);
  }
  const stream = toNodeReadable((await DmaFile.open(path)).readable);
  using _ = interpose("read", ({ end }) => end(-5));
  await assertRejects(() => leave(stream), Error, "Input/output error");
  assertEquals(descriptorsOf(path), 0);
});

testDirectAndCached("Writable.fromWeb takes what Node's pipeline brings", async (dir) => {
  const stream = await create(dir);
  const source = Readable.from(chunksOf(pattern(3_000_001), 60_000));
  await pipeline(source, Writable.fromWeb(stream));
  assertEquals(stream.currentFlushedPos, 3_000_001);
  await assertFile(dir.file("file"), pattern(3_000_001));
  assertEquals(descriptorsOf(dir.file("file")), 0);
});

testDirectAndCached("Writable.fromWeb is aborted by a broken pipeline", async (dir) => {
  const stream = await create(dir);
  const source = Readable.from((async function* () {
    yield pattern(60_000);
    await Promise.resolve();
    throw new Error("The source is broken");
  })());
  const piped = pipeline(source, Writable.fromWeb(stream));
  await assertRejects(() => piped, Error, "The source is broken");
  await eventually(() => descriptorsOf(dir.file("file")) === 0);
  await assertFile(dir.file("file"), pattern(stream.currentFlushedPos));
});

testDirectAndCached("Anything but a writer or a reader is refused by name", async (dir) => {
  await using file = await DmaFile.create(dir.file("file"));
  const wrong: [call: () => unknown, message: string][] = [
    [
      () => toNodeWritable(file as never),
      "Cannot write to an object (DmaFile): writer must be a DmaStreamWriter",
    ],
    [
      () => toNodeWritable(new WritableStream() as never),
      "Cannot write to an object (WritableStream): writer must be a DmaStreamWriter",
    ],
    [
      () => toNodeReadable(file as never),
      "Cannot read from an object (DmaFile): reader must be a DmaStreamReader",
    ],
    [
      () => toNodeReadable(null as never),
      "Cannot read from null: reader must be a DmaStreamReader",
    ],
  ];
  for (const [call, message] of wrong) assertThrows(call, TypeError, message);
});
