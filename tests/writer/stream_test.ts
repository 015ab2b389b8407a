// DmaStreamWriter as any other WritableStream: locks, queues, pipes, backpressure.

import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import type { DmaStreamReader, DmaStreamWriter } from "../../mod.ts";
import { pause } from "../setup/command.ts";
import { chunksOf, pattern } from "../support/bytes.ts";
import { engine } from "../support/engine.ts";
import { hold } from "../support/interpose.ts";
import { assertClosed, closeWith, small, testWriter } from "./create.ts";

// ---- getWriter ------------------------------------------------------------------------------------------------

testWriter("getWriter writes and closes as any stream's", small, async (stream) => {
  const writer = stream.getWriter();
  assert(stream.locked);
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

testWriter("Methods of getWriter can be replaced as any stream's", {}, async (stream) => {
  const writer = stream.getWriter();
  const { write } = writer;
  // As a test does that looks at what its subject writes.
  writer.write = (chunk) => write.call(writer, chunk);
  Object.defineProperty(writer, "close", { value: writer.close });
  await writer.write(pattern(5));
  await writer.close();
  await assertClosed(stream, pattern(5));
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

// ---- pipes ----------------------------------------------------------------------------------------------------

testWriter("pipeThrough and Response bodies end in a file", {}, async (stream) => {
  const bytes = pattern(1_000_003);
  const compressed = new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"));
  const body = new Response(compressed).body!;
  await body.pipeThrough(new DecompressionStream("gzip")).pipeTo(stream);
  await assertClosed(stream, bytes);
});

testWriter("A source that fails has the file cut to what is flushed", small, async (stream) => {
  const broken = new Error("The source is broken");
  const source = ReadableStream.from((async function* () {
    yield pattern(100_001);
    await stream.flushAligned();
    throw broken;
  })());
  assertStrictEquals(await assertRejects(() => source.pipeTo(stream)), broken);
  assertEquals(stream.currentFlushedPos, 98_304);
  await assertClosed(stream, pattern(98_304));
  assertEquals(engine.pool.blocks, 0);
  for (const work of [() => stream.close(), () => stream.write(pattern(1)), () => stream.sync()]) {
    assertStrictEquals(await assertRejects(work), broken);
  }
});

testWriter("A pipe of something else than bytes fails", {}, async (stream) => {
  let cancelled: unknown;
  const source = new ReadableStream({
    start(controller) {
      for (const chunk of [pattern(100_000), "text", pattern(100_000)]) controller.enqueue(chunk);
    },
    cancel: (reason) => void (cancelled = reason),
  });
  const error = await assertRejects(() => source.pipeTo(stream), TypeError, '"text"');
  assertStrictEquals(cancelled, error);
  assertEquals(engine.pool.blocks, 0);
  assertStrictEquals(await assertRejects(() => stream.close()), error);
  await assertClosed(stream, pattern(stream.currentFlushedPos));
});

// ---- backpressure ---------------------------------------------------------------------------------------------

const three = { bufferSize: 65_536, writeBehind: 3 };

testWriter("A stuck disk stops the source within the buffers", three, async (stream) => {
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
  for (let turn = 0; turn < 20; turn++) await pause(1);
  const buffers = 4 * 65_536;
  assertEquals([stream.currentPos, stream.currentFlushedPos, disk.count], [buffers, 0, 3]);
  assert(pulled <= buffers + 2 * chunk, `${pulled} pulled`);
  assert(engine.pool.used <= buffers, `${engine.pool.used} bytes held`);
  disk.letGo();
  await piped;
  await assertClosed(stream, pattern(3_000_000));
});

// ---- types: `deno task check` is what fails here ----------------------------------------------------------------

// @ts-expect-error Text is no bytes.
export const asTextWriter = (writer: DmaStreamWriter): WritableStream<string> => writer;
// @ts-expect-error A reader gives bytes.
export const asTextReader = (reader: DmaStreamReader): ReadableStream<string> => reader;

export const asSink = (
  writer: DmaStreamWriter,
): WritableStream<BufferSource> & WritableStream<Uint8Array> => writer;
export const asSource = (reader: DmaStreamReader): ReadableStream<Uint8Array> => reader;
export const ends = (bytes: ReadableStream<Uint8Array>, blob: Blob, writer: DmaStreamWriter) => [
  () => bytes.pipeTo(writer),
  () => blob.stream().pipeTo(writer),
];
