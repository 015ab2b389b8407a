// The ends of a DmaStreamReader: reads in flight are awaited, buffers are freed, the file is closed, and memory is
// bounded until then.

import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { DmaFile, DmaStreamReader, type DmaStreamReaderOptions, ioStats } from "../../mod.ts";
import { Errno } from "../../src/engine/linux.ts";
import { joined, pattern } from "../support/bytes.ts";
import { descriptorsIn, descriptorsOf } from "../support/descriptors.ts";
import { testDirectAndCached, testInOneDirectory } from "../support/dirs.ts";
import "../support/engine.ts";
import { fail } from "../support/interpose.ts";
import { untilCollected } from "../support/collected.ts";
import { collectGarbage } from "../support/leaks.ts";
import { allOf, openPattern } from "../support/patterned.ts";
import { open } from "./create.ts";

const { BadResource } = Deno.errors;
const SIZE = 300_001;

/** Registers a test of a reader that leaves no resource behind. */
function testEnd(
  name: string,
  fn: (stream: DmaStreamReader) => Promise<void>,
  options: DmaStreamReaderOptions = {},
): void {
  testDirectAndCached(name, async (dir) => {
    const { poolBuffers, inFlight } = ioStats();
    const stream = await open(dir, SIZE, { bufferSize: 4096, ...options });
    await fn(stream);
    const now = ioStats();
    const descriptors = descriptorsOf(stream.file.path);
    assertEquals([now.poolBuffers, now.inFlight, descriptors], [poolBuffers, inFlight, 0]);
  });
}

testEnd("A for await that is left early closes the file", async (stream) => {
  for await (const chunk of stream) {
    assertEquals(chunk, pattern(chunk.length));
    break;
  }
});

testEnd("A for await that throws closes the file", async (stream) => {
  const loop = async () => {
    for await (const _ of stream) throw new Error("enough");
  };
  await assertRejects(loop, Error, "enough");
});

testEnd("cancel() frees everything before it resolves", (stream) => stream.cancel());

testEnd("cancel() frees everything under a lock", async (stream) => {
  const reader = stream.getReader();
  await reader.read();
  await reader.cancel("enough");
  assertEquals((await reader.read()).done, true);
});

testEnd("cancel() frees everything under a read", async (stream) => {
  const reader = stream.getReader();
  const read = reader.read();
  await reader.cancel();
  assertEquals((await read).done, true);
  await stream.close();
});

testEnd("cancel() leaves the file open if closeFile is false", async (stream) => {
  const reader = stream.getReader();
  await reader.read();
  await reader.cancel();
  assertEquals(await stream.file.readAt(1, 2), pattern(2, 1));
  await stream.file.close();
}, { closeFile: false });

for (const readAhead of [0, 4]) {
  testEnd(
    `close() ends a stream under a lock and a read, readAhead ${readAhead}`,
    async (stream) => {
      const reader = stream.getReader();
      await reader.read();
      const read = reader.read();
      await stream.close();
      const { done, value } = await read;
      if (!done) assertEquals(value, pattern(value.length, 4096));
      assertEquals((await reader.read()).done, true);
      await reader.closed;
    },
    { readAhead },
  );
}

testEnd("close() ends a stream under a read into a view", async (stream) => {
  const reader = stream.getReader({ mode: "byob" });
  const read = reader.read(new Uint8Array(100));
  await stream.close();
  const { done, value } = await read;
  assertEquals(value!.byteLength, done ? 0 : 100);
});

testEnd("close() may be called any number of times", async (stream) => {
  await stream.getReader().read();
  await Promise.all([stream.close(), stream.close()]);
  await stream.close();
  await stream[Symbol.asyncDispose]();
});

testEnd("close() may be called at the end", async (stream) => {
  await allOf(stream);
  await stream.close();
});

testEnd("await using closes a reader", async (stream) => {
  await using disposed = stream;
  await disposed.getReader().read();
});

testEnd("close() rejects if closing the file fails", async (stream) => {
  const reader = stream.getReader();
  await reader.read();
  using _ = fail("close", Errno.EIO);
  const closed = reader.closed.catch((reason) => reason);
  const error = await assertRejects(() => stream.close(), Error, "os error 5");
  assertStrictEquals(await closed, error);
  await assertRejects(() => stream.close(), Error, "os error 5");
});

testEnd("A reader whose file is closed gives the error, not the end", async (stream) => {
  const reader = stream.getReader();
  await reader.read();
  await stream.file.close();
  const rest = async () => {
    while (!(await reader.read()).done);
  };
  await assertRejects(rest, BadResource, "the file is closed");
  await assertRejects(() => reader.read(), BadResource);
  await stream.close();
});

testInOneDirectory("Readers that are dropped leak nothing", async (dir) => {
  const { poolBuffers } = ioStats();
  const drop = async (reads: number) => {
    const stream = await open(dir, SIZE, { bufferSize: 4096 });
    const reader = stream.getReader();
    for (let count = 0; count < reads; count++) await reader.read();
    if (reads === 2) reader.read().catch(() => {});
    if (reads === 3) (await DmaFile.open(stream.file.path)).readable.tee();
  };
  for (let count = 0; count < 40; count++) await drop(count % 4);
  await untilCollected(() =>
    descriptorsIn(dir.path) === 0 && ioStats().poolBuffers === poolBuffers
  );
});

testInOneDirectory("A reader that is dropped leaves its holder the file", async (dir) => {
  const { poolBuffers } = ioStats();
  await using file = await openPattern(dir.file("file"), SIZE);
  await (async () => {
    await new DmaStreamReader(file, { bufferSize: 4096 }).getReader().read();
  })();
  await untilCollected(() => ioStats().poolBuffers === poolBuffers);
  assertEquals(await file.readAt(0, 10), pattern(10));
});

testInOneDirectory("A reader that is in use is not dropped", async (dir) => {
  const start = async () => (await openPattern(dir.file("one"), SIZE)).readable.getReader();
  const pipe = async () =>
    (await openPattern(dir.file("two"), SIZE)).readable
      .pipeThrough(new TransformStream<Uint8Array, Uint8Array>());
  const reader = await start();
  const through = await pipe();
  const parts = [];
  for (;;) {
    await collectGarbage();
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
  }
  assertEquals(joined(...parts), pattern(SIZE));
  assertEquals(await allOf(through), pattern(SIZE));
});
