// The ends of a DmaStreamReader: reads in flight are awaited, buffers freed, files closed, and memory bounded until then.

import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { DmaFile, DmaStreamReader, ioStats } from "../../mod.ts";
import { Errno } from "../../src/engine/linux.ts";
import { allOf, joined, openPattern, pattern, readPattern } from "../support/bytes.ts";
import { eventually } from "../setup/command.ts";
import { testDirectAndCached, testInOneDirectory } from "../support/dirs.ts";
import { fail } from "../support/engine.ts";
import { collectGarbage, descriptorsIn, descriptorsOf, untilCollected } from "../support/leaks.ts";

const SIZE = 300_001;

/** How a reader ends before its file does. */
const ends: Record<string, (stream: DmaStreamReader) => Promise<void>> = {
  "a for await that is left early": async (stream) => {
    for await (const chunk of stream) {
      assertEquals(chunk, pattern(chunk.length));
      break;
    }
  },
  "cancel() under a read": async (stream) => {
    const reader = stream.getReader();
    const read = reader.read();
    await reader.cancel();
    assertEquals((await read).done, true);
    await stream.close();
  },
  "close() under a lock and a read, any number of times": async (stream) => {
    const reader = stream.getReader();
    await reader.read();
    const read = reader.read();
    await Promise.all([stream.close(), stream.close()]);
    const { done, value } = await read;
    if (!done) assertEquals(value, pattern(value.length, 4096));
    assertEquals((await reader.read()).done, true);
    await reader.closed;
    await stream[Symbol.asyncDispose]();
  },
  "close() that rejects because closing the file fails": async (stream) => {
    const reader = stream.getReader();
    await reader.read();
    using _ = fail("close", Errno.EIO);
    const closed = reader.closed.catch((reason) => reason);
    const error = await assertRejects(() => stream.close(), Error, "os error 5");
    assertStrictEquals(await closed, error);
    await assertRejects(() => stream.close(), Error, "os error 5");
  },
};

testDirectAndCached("Nothing is left of a reader that ends early", async (dir) => {
  for (const [name, end] of Object.entries(ends)) {
    const cases = [[0, true], [4, true], [4, false]] as const;
    for (const [readAhead, closeFile] of cases.slice(0, name.includes("fails") ? 2 : 3)) {
      const options = { bufferSize: 4096, readAhead, closeFile };
      const stream = await readPattern(dir.file("file"), SIZE, options);
      await end(stream);
      const { poolBuffers, inFlight } = ioStats();
      const left = [poolBuffers, inFlight, descriptorsOf(stream.file.path)];
      assertEquals(left, [0, 0, closeFile ? 0 : 1], `${name}, ${readAhead}`);
      if (!closeFile) await stream.file.close();
    }
  }
});

testDirectAndCached("A reader of a file that is closed gives what it has", async (dir) => {
  const stream = await readPattern(dir.file("file"), SIZE, { bufferSize: 4096, readAhead: 2 });
  const reader = stream.getReader();
  await reader.read();
  await eventually(() => ioStats().inFlight === 0);
  await stream.file.close();
  for (const position of [4096, 8192]) {
    assertEquals((await reader.read()).value, pattern(4096, position));
  }
  await assertRejects(() => reader.read(), Deno.errors.BadResource, "the file is closed");
});

testInOneDirectory("Readers that are dropped leak nothing, and leave the file", async (dir) => {
  const { poolBuffers } = ioStats();
  await using held = await openPattern(dir.file("held"), SIZE);
  const drop = async (reads: number) => {
    const stream = await readPattern(dir.file("file"), SIZE, { bufferSize: 4096 });
    const reader = stream.getReader();
    for (let count = 0; count < reads; count++) await reader.read();
    if (reads === 2) reader.read().catch(() => {});
    if (reads === 3) (await DmaFile.open(stream.file.path)).readable.tee();
    await new DmaStreamReader(held, { bufferSize: 4096 }).getReader().read();
  };
  for (let count = 0; count < 40; count++) await drop(count % 4);
  const isFreed = () => descriptorsIn(dir.path) === 1 && ioStats().poolBuffers === poolBuffers;
  await untilCollected(isFreed);
  assertEquals(await held.readAt(0, 10), pattern(10));
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
