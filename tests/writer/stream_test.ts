// DmaStreamWriter as any other WritableStream: locks, queues, pipes, backpressure.

import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { assertFile, chunksOf, filled, pattern } from "../support/bytes.ts";
import { descriptorsOf, eventually } from "../support/descriptors.ts";
import { testDirectAndCached } from "../support/dirs.ts";
import { engine } from "../support/engine.ts";
import { hold } from "../support/interpose.ts";
import { create } from "./create.ts";

// ---- getWriter ------------------------------------------------------------------------------------------------

testDirectAndCached("getWriter writes and closes as any stream's", async (dir) => {
  const stream = await create(dir, { bufferSize: 4096, writeBehind: 2 });
  const writer = stream.getWriter();
  assert(stream.locked);
  await writer.ready;
  assertEquals(writer.desiredSize, 1);
  const written = chunksOf(pattern(100_001), 9999).map((chunk) => writer.write(chunk));
  assert(writer.desiredSize! < 1);
  await Promise.all(written);
  await writer.ready;
  assertEquals(writer.desiredSize, 1);
  assertEquals(stream.currentPos, 100_001);
  await writer.close();
  await writer.closed;
  assertEquals(writer.desiredSize, 0);
  assertEquals(stream.currentFlushedPos, 100_001);
  await assertFile(dir.file("file"), pattern(100_001));
  assertEquals(descriptorsOf(dir.file("file")), 0);
});

testDirectAndCached("Methods of getWriter can be replaced as any stream's", async (dir) => {
  const stream = await create(dir);
  const writer = stream.getWriter();
  const { write } = writer;
  // As a test does that looks at what its subject writes.
  writer.write = (chunk) => write.call(writer, chunk);
  Object.defineProperty(writer, "close", { value: writer.close });
  await writer.write(pattern(5));
  await writer.close();
  await assertFile(dir.file("file"), pattern(5));
});

testDirectAndCached(
  "A locked stream refuses what would go past the lock, and loses nothing",
  async (dir) => {
    const stream = await create(dir);
    const writer = stream.getWriter();
    await assertRejects(() => stream.write(pattern(5)), TypeError, "locked");
    await assertRejects(() => stream.close(), TypeError, "locked");
    await assertRejects(() => stream.seal(), TypeError, "locked");
    await assertRejects(() => stream.abort(), TypeError, "locked");
    await assertRejects(
      () => stream.writeBuffer(stream.file.allocBuffer(512)),
      TypeError,
      "locked",
    );
    await writer.write(pattern(5));
    writer.releaseLock();
    await assertRejects(() => writer.write(pattern(5)), TypeError);
    await stream.write(pattern(5, 5));
    await stream.close();
    await assertFile(dir.file("file"), pattern(10));
  },
);

testDirectAndCached(
  "A chunk after the close of a lock is refused and not written",
  async (dir) => {
    for (const options of [{ append: true }, { bufferSize: 4096, writeBehind: 1 }]) {
      const stream = await create(dir, options);
      const before = stream.write(pattern(50_001));
      const writer = stream.getWriter();
      const closing = writer.close();
      writer.releaseLock();
      await assertRejects(() => stream.write(filled(20_000, 1)), TypeError, "closed");
      await assertRejects(
        () => stream.writeBuffer(stream.file.allocBuffer(4096)),
        TypeError,
        "closed",
      );
      await Promise.all([before, closing]);
      await assertFile(dir.file("file"), pattern(50_001));
    }
  },
);

// ---- pipes ----------------------------------------------------------------------------------------------------

testDirectAndCached("pipeTo writes all of a stream, and closes", async (dir) => {
  for (const size of [0, 1, 65_536, 5_000_001]) {
    const stream = await create(dir);
    await ReadableStream.from(chunksOf(pattern(size), 65_536)).pipeTo(stream);
    assertEquals(stream.currentFlushedPos, size);
    await assertFile(dir.file("file"), pattern(size));
    assertEquals(descriptorsOf(dir.file("file")), 0);
  }
});

testDirectAndCached("pipeThrough and Response bodies end in a file", async (dir) => {
  const bytes = pattern(1_000_003);
  const compressed = new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"));
  await new Response(compressed).body!.pipeThrough(new DecompressionStream("gzip"))
    .pipeTo(await create(dir));
  await assertFile(dir.file("file"), bytes);
});

testDirectAndCached(
  "A source that fails has the file cut to what is flushed, and closed",
  async (dir) => {
    const stream = await create(dir, { bufferSize: 4096, writeBehind: 2 });
    const broken = new Error("The source is broken");
    const source = ReadableStream.from((async function* () {
      yield pattern(100_001);
      await stream.flushAligned();
      throw broken;
    })());
    const error = await assertRejects(() => source.pipeTo(stream));
    assertStrictEquals(error, broken);
    assertEquals(stream.currentFlushedPos, 98_304);
    await assertFile(dir.file("file"), pattern(98_304));
    assertEquals(descriptorsOf(dir.file("file")), 0);
    assertEquals(engine.pool.blocks, 0);
    for (
      const work of [() => stream.close(), () => stream.write(pattern(1)), () => stream.sync()]
    ) {
      assertStrictEquals(await assertRejects(work), broken);
    }
  },
);

testDirectAndCached("A pipe that brings no bytes fails, and everything is freed", async (dir) => {
  const stream = await create(dir);
  let cancelled: unknown;
  const source = new ReadableStream({
    start(controller) {
      controller.enqueue(pattern(100_000));
      controller.enqueue("text");
      controller.enqueue(pattern(100_000));
    },
    cancel: (reason) => void (cancelled = reason),
  });
  const error = await assertRejects(() => source.pipeTo(stream), TypeError, '"text"');
  assertStrictEquals(cancelled, error);
  await eventually(() => descriptorsOf(dir.file("file")) === 0);
  assertEquals(engine.pool.blocks, 0);
  assertStrictEquals(await assertRejects(() => stream.close()), error);
  await assertFile(dir.file("file"), pattern(stream.currentFlushedPos));
});

// ---- backpressure ---------------------------------------------------------------------------------------------

testDirectAndCached(
  "A stuck disk stops the source: one buffer more than write-behind, and one chunk",
  async (dir) => {
    const stream = await create(dir, { bufferSize: 65_536, writeBehind: 3 });
    const chunk = 10_000;
    let pulled = 0;
    const source = new ReadableStream<Uint8Array<ArrayBuffer>>({
      pull(controller) {
        controller.enqueue(pattern(chunk, pulled));
        pulled += chunk;
        if (pulled >= 3_000_000) controller.close();
      },
    }, { highWaterMark: 0 });
    using disk = hold("write");
    const piped = source.pipeTo(stream);
    await disk.reach(3);
    // Long enough for whatever would still be taken.
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setTimeout(resolve, 1));
    const buffers = 4 * 65_536;
    assertEquals(stream.currentPos, buffers);
    assertEquals(stream.currentFlushedPos, 0);
    assert(pulled <= buffers + 2 * chunk, `${pulled} pulled`);
    assert(engine.pool.used <= buffers, `${engine.pool.used} bytes held`);
    assertEquals(disk.count, 3);
    disk.letGo();
    await piped;
    await assertFile(dir.file("file"), pattern(3_000_000));
  },
);
