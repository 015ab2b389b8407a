// DmaStreamWriter as any other WritableStream: locks, queues, pipes, backpressure, transfer to a Worker.

import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { DmaFile, type DmaStreamReader, DmaStreamWriter } from "../../mod.ts";
import { Errno } from "../../src/engine/linux.ts";
import { pause } from "../setup/command.ts";
import { chunksOf, namesIn, pattern } from "../support/bytes.ts";
import { testDirectAndCached } from "../support/dirs.ts";
import { engine, fail, hold } from "../support/engine.ts";
import { assertClosed, closeWith, small, testWriter } from "./create.ts";

testWriter("getWriter writes and closes as any stream's", small, async (stream) => {
  const writer = stream.getWriter();
  assert(stream.locked);
  // A test may replace a method, to look at what its subject writes.
  const { write } = writer;
  writer.write = (chunk) => write.call(writer, chunk);
  Object.defineProperty(writer, "close", { value: writer.close });
  await writer.ready;
  assertEquals(writer.desiredSize, 1);
  const written = chunksOf(pattern(100_001), 9999).map((chunk) => writer.write(chunk));
  assert(writer.desiredSize! < 1);
  await Promise.all(written);
  await writer.ready;
  assertEquals([writer.desiredSize, stream.currentPos], [1, 100_001]);
  await writer.close();
  await writer.closed;
  assertEquals([writer.desiredSize, stream.currentFlushedPos], [0, 100_001]);
  await assertClosed(stream, pattern(100_001));
});

testWriter("The writes of a lock resolve in the order of the calls", small, async (stream) => {
  const writer = stream.getWriter();
  const resolved: number[] = [];
  const write = (length: number) => {
    return writer.write(new Uint8Array(length)).then(() => resolved.push(length));
  };
  // The stream has passed a chunk on some microtasks before the promise resolves.
  for (let microtasks = 0; microtasks < 10; microtasks++) {
    const before = write(0);
    for (let each = 0; each < microtasks; each++) await undefined;
    await Promise.all([before, write(1)]);
    assertEquals(resolved.splice(0), [0, 1]);
  }
  await writer.close();
  assertEquals(stream.currentFlushedPos, 10);
});

testWriter("A locked stream refuses what would go past the lock", {}, async (stream) => {
  const writer = stream.getWriter();
  const past = [
    () => stream.write(pattern(5)),
    () => stream.writeBuffer(stream.file.allocBuffer(512)),
    () => stream.close(),
    () => stream.seal(),
    () => stream.abort(),
  ];
  for (const call of past) await assertRejects(call, TypeError, "locked");
  await writer.write(pattern(5));
  writer.releaseLock();
  await assertRejects(() => writer.write(pattern(5)), TypeError);
  await stream.write(pattern(5, 5));
  await closeWith(stream, pattern(10));
});

testWriter("Methods that are taken off their objects reject", {}, async (stream) => {
  const { abort, close, flushAligned, seal, sync, write, writeBuffer } = stream;
  const lock = stream.getWriter();
  const ofStream = [abort, close, flushAligned, seal, sync, write, writeBuffer];
  for (const method of [...ofStream, lock.abort, lock.close, lock.write]) {
    await assertRejects(() => (method as () => Promise<unknown>)(), TypeError);
  }
  for (const object of [stream, lock]) {
    for (const other of [Object.create(object), new Proxy(object, {})]) {
      await assertRejects(() => other.write(pattern(5)), TypeError);
    }
  }
  // As a lock that the platform's own method has released.
  await lock.write(pattern(5));
  WritableStreamDefaultWriter.prototype.releaseLock.call(lock);
  await assertRejects(() => lock.write(pattern(5)), TypeError);
  await closeWith(stream, pattern(5));
});

const three = { bufferSize: 65_536, writeBehind: 3 };

testWriter("A stuck disk stops the source within the buffers", three, async (stream) => {
  const chunk = 10_000;
  let pulled = 0;
  const source = ReadableStream.from((function* () {
    for (; pulled < 3_000_000; pulled += chunk) yield pattern(chunk, pulled);
  })());
  using disk = hold("write");
  const piped = source.pipeTo(stream);
  await disk.reach(3);
  // Long enough for whatever would still be taken.
  for (let turn = 0; turn < 20; turn++) await pause(1);
  const buffers = 4 * 65_536;
  assertEquals([stream.currentPos, stream.currentFlushedPos, disk.count], [buffers, 0, 3]);
  assert(pulled <= buffers + chunk, `${pulled} pulled`);
  assert(engine.pool.used <= buffers, `${engine.pool.used} bytes held`);
  disk.letGo();
  await piped;
  await assertClosed(stream, pattern(3_000_000));
});

const program = `self.onmessage = async ({ data: { stream, bytes, end } }) => {
  const writer = stream.getWriter();
  const written = [writer.write(bytes.slice(0, 1000)), writer.write(bytes.slice(1000))];
  await Promise.all([...written, writer[end]("given up")]).catch(() => {});
  self.postMessage("ended");
};`;

/** Has a Worker write `bytes` to the stream and end it. Resolves when the Worker has done so. */
async function writeInWorker(stream: DmaStreamWriter, bytes: Uint8Array, end: string) {
  const url = `data:text/javascript,${encodeURIComponent(program)}`;
  const worker = new Worker(url, { type: "module" });
  worker.postMessage({ stream, bytes, end }, [stream as unknown as Transferable]);
  await new Promise((resolve) => worker.onmessage = resolve);
  worker.terminate();
}

testDirectAndCached("The owner of a transferred writer learns of its end", async (dir) => {
  const create = async () => {
    const file = await DmaFile.create(dir.file("file"), { atomic: true });
    return new DmaStreamWriter(file, { bufferSize: 65_536 });
  };
  const bytes = pattern(500_000);
  const aborted = await create();
  const aborting = writeInWorker(aborted, bytes, "abort");
  assertStrictEquals(await aborted.closed.catch((reason) => reason), "given up");
  await aborting;
  const failed = await create();
  {
    using _ = fail("write", Errno.ENOSPC);
    const failing = writeInWorker(failed, bytes, "close");
    await assertRejects(() => failed.closed, Error, "No space left");
    await failing;
  }
  assertEquals(await namesIn(dir.path), []);
  const whole = await create();
  assertStrictEquals(whole.closed, whole.closed, "Each promise would take memory until the end");
  using syncs = hold("sync");
  let over = false;
  const closed = whole.closed.then(() => over = true);
  await writeInWorker(whole, bytes, "close");
  await syncs.reach();
  assertEquals(over, false);
  syncs.letGo();
  await closed;
  await assertClosed(whole, bytes);
});

// @ts-expect-error Text is no bytes.
export const asTextWriter = (writer: DmaStreamWriter): WritableStream<string> => writer;
// @ts-expect-error A reader gives bytes.
export const asTextReader = (reader: DmaStreamReader): ReadableStream<string> => reader;
