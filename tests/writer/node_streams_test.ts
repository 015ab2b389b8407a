// toNodeWritable and toNodeReadable: as Node.js libraries expect, and nothing half-done published. An example has pipelines.

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { finished } from "node:stream/promises";
import { type DmaError, DmaFile, DmaStreamWriter } from "../../mod.ts";
import { Errno } from "../../src/engine/linux.ts";
import { toNodeReadable, toNodeWritable } from "../../node.ts";
import { eventually, pause } from "../setup/command.ts";
import { assertFile, joined, namesIn, openPattern, pattern } from "../support/bytes.ts";
import { descriptorsIn, descriptorsOf } from "../support/leaks.ts";
import { testDirectAndCached, type TestDirectory } from "../support/dirs.ts";
import { fail, hold, interpose } from "../support/engine.ts";
import { assertClosed, create, small, testWriter } from "./create.ts";

async function openAtomic(dir: TestDirectory): Promise<ReturnType<typeof toNodeWritable>> {
  const file = await DmaFile.create(dir.file("file"), { atomic: true });
  return toNodeWritable(new DmaStreamWriter(file, small));
}

testDirectAndCached("destroy() publishes nothing, with an error or without one", async (dir) => {
  using _ = interpose("close", ({ pass }) => void setTimeout(pass, 5));
  for (const error of [undefined, new Error("The source is broken")]) {
    for (const wrote of [false, true]) {
      const stream = await openAtomic(dir);
      const ended = assertRejects(() => finished(stream)) as Promise<DmaError>;
      if (wrote) {
        stream.write(pattern(50_000));
        await pause(5);
        stream.write(pattern(50_000));
      }
      stream.destroy(error);
      // As a pipe whose source ends now.
      const late = new Promise((resolve) => stream.end(resolve)) as Promise<DmaError>;
      const told = await ended;
      assertEquals((await late).code, "ERR_STREAM_DESTROYED");
      assertEquals(error ? told : told.code, error ?? "ERR_STREAM_PREMATURE_CLOSE");
      assertEquals([descriptorsIn(dir.path), await namesIn(dir.path)], [0, []]);
    }
  }
});

testDirectAndCached("destroy() does not undo a close that has begun", async (dir) => {
  const stream = await openAtomic(dir);
  stream.end(pattern(50_000));
  stream.flushSync();
  stream.destroy();
  await once(stream, "close");
  await assertFile(dir.file("file"), pattern(50_000));
});

testWriter("Chunks come in order, and finish when all is durable", small, async (writer) => {
  const stream = toNodeWritable(writer);
  stream.write("ä");
  stream.write("e4", "hex");
  stream.cork();
  const numbers = Array.from({ length: 100 }, (_, index) => Buffer.from(`${index},`));
  for (const number of numbers) stream.write(number);
  stream.uncork();
  stream.write(new Uint8Array([1, 2]));
  using syncs = interpose("sync", ({ pass }) => void setTimeout(pass, 20));
  stream.end("end", "latin1");
  await once(stream, "finish");
  assert(syncs.count > 0);
  const [before, after] = [Buffer.of(0xc3, 0xa4, 0xe4), Buffer.of(1, 2)];
  const whole = joined(before, ...numbers, after, Buffer.from("end"));
  await assertClosed(writer, whole);
  // It destroys itself afterwards, which undoes nothing.
  await finished(stream);
  assertEquals([stream.destroyed, stream.errored], [true, null]);
  await assertClosed(writer, whole);
});

for (const caller of ["stream", "writer"] as const) {
  const name = `flushSync() of the ${caller} writes what waits in the stream`;
  testWriter(name, small, async (writer) => {
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
      // Padding and reserve follow.
      const { path } = writer.file;
      assertEquals(Deno.readFileSync(path).subarray(0, length), pattern(length));
    }
    // It is held back afterwards as before.
    assertEquals(stream.write(pattern(70_000, length)), false);
    length += 70_000;
    await once(stream, "drain");
    assertEquals(writer.currentPos, length);
    stream.end();
    await finished(stream);
    assertEquals(calls, 15);
    await assertClosed(writer, pattern(length));
  });
}

testDirectAndCached("A failure of the disk is the stream's error", async (dir) => {
  for (const [operation, length] of [["write", 5000], ["write", 50_000], ["sync", 5000]] as const) {
    const stream = toNodeWritable(await create(dir, small));
    using _ = fail(operation, Errno.ENOSPC);
    const failed = assertRejects(() => finished(stream), Error, "No space left");
    let told: unknown;
    stream.write(pattern(length), (error) => told = error);
    // A write fails by itself, also when nothing waits for it.
    if (operation === "write") {
      await eventually(() => stream.errored !== null);
      assertThrows(() => stream.flushSync(), Error, "No space left");
    } else stream.end();
    const { code } = await failed as DmaError;
    assertEquals([code, descriptorsOf(dir.file("file"))], ["ENOSPC", 0]);
    // The buffers take the short chunk before the disk fails.
    assertEquals((told as DmaError | undefined)?.code, length > 5000 ? code : undefined);
  }
});

testDirectAndCached("A reader that is left, destroyed or fails closes its file", async (dir) => {
  const path = dir.file("file");
  const open = async () => toNodeReadable((await openPattern(path, 3_000_000)).readable);
  for await (const _ of await open()) break;
  // Leaving a loop does not wait for the end.
  await eventually(() => descriptorsOf(path) === 0);
  const destroyed = await open();
  using reads = hold("read");
  const ended = assertRejects(() => finished(destroyed)) as Promise<DmaError>;
  destroyed.resume();
  await reads.reach();
  destroyed.destroy();
  reads.letGo();
  // With an end, pipeline() would take the bytes so far for the whole file.
  assertEquals((await ended).code, "ERR_STREAM_PREMATURE_CLOSE");
  assertEquals(descriptorsOf(path), 0);
  const failed = await open();
  using _ = fail("read", Errno.EIO);
  await assertRejects(() => Array.fromAsync(failed), Error, "Input/output error");
  assertEquals(descriptorsOf(path), 0);
});
