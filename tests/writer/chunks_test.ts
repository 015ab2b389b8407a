// What may be given to a DmaStreamWriter, what is refused alone, and whose the bytes are.

import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { runInNewContext } from "node:vm";
import { DmaFile, type DmaStreamWriter } from "../../mod.ts";
import { filled, joined, pattern } from "../support/bytes.ts";
import { testDirectAndCached, testInOneDirectory } from "../support/dirs.ts";
import { engine, interpose, watch } from "../support/engine.ts";
import { assertClosed, closeWith, create, narrow, small, testWriter } from "./create.ts";

/** Each way to give a chunk to a stream, which is free afterwards. */
const ways: Record<string, (stream: DmaStreamWriter, chunk: BufferSource) => Promise<void>> = {
  write: (stream, chunk) => stream.write(chunk),
  getWriter: async (stream, chunk) => {
    const writer = stream.getWriter();
    try {
      await writer.write(chunk);
    } finally {
      writer.releaseLock();
    }
  },
  pipeTo: (stream, chunk) => ReadableStream.from([chunk]).pipeTo(stream, { preventClose: true }),
};
const { write, getWriter, pipeTo } = ways;

const revocable = Proxy.revocable({}, {});
revocable.revoke();

const untraceable = new Proxy({}, {
  getPrototypeOf() {
    throw new Error("The trap of a proxy");
  },
});

/** What this text evaluates to in another realm, whose classes are not those of this one. */
const elsewhere = (text: string) => runInNewContext(text);

const detached = new ArrayBuffer(3);
detached.transfer();

/** Memory that was shrunk below these views of it. */
const shrunk = new ArrayBuffer(100, { maxByteLength: 100 });
const views = [
  new Uint8Array(shrunk, 50, 50),
  new Uint32Array(shrunk, 64),
  new DataView(shrunk, 50, 50),
];
shrunk.resize(60);

/** What tests/faults/bad_input_test.ts does not have: values that seem to be bytes, and what an error says of them. */
const bad: [chunk: unknown, says: string][] = [
  ["text", "TextEncoder"],
  [Object.create(Uint8Array.prototype), "view"],
  [new Proxy(new Uint8Array(3), {}), "view"],
  [revocable.proxy, "revoked"],
  [untraceable, "object"],
  [elsewhere("bytes = new Uint8Array(3); bytes.buffer.transfer(); bytes"), "detached"],
  [detached, "detached"],
  [elsewhere("({})"), "object"],
  ...views.map((view): [unknown, string] => [view, "shrunk"]),
];

testWriter("A chunk that is not bytes is rejected and named", small, async (stream) => {
  let position = 0;
  for (const [chunk, says] of bad) {
    for (const give of [write!, getWriter!]) {
      const before = stream.write(pattern(3000, position));
      await assertRejects(() => give(stream, chunk as BufferSource), TypeError, says);
      await before;
      assertEquals(stream.currentPos, position += 3000);
    }
  }
  const writer = stream.getWriter();
  await writer.ready;
  assertEquals(writer.desiredSize, 1);
  writer.releaseLock();
  await stream.flushAligned({ tail: true });
  // A pipe fails as a whole.
  const piped = pipeTo!(stream, "text" as unknown as BufferSource);
  const error = await assertRejects(() => piped, TypeError, '"text"');
  assertStrictEquals(await assertRejects(() => stream.close()), error);
  await assertClosed(stream, pattern(position));
});

testWriter("Every view of bytes is written as its bytes", {}, async (stream) => {
  const bytes = pattern(64);
  const shared = new SharedArrayBuffer(64);
  const resizable = new ArrayBuffer(64, { maxByteLength: 128 });
  for (const memory of [shared, resizable]) new Uint8Array(memory).set(bytes);
  const views = [
    bytes,
    bytes.buffer,
    new DataView(bytes.buffer, 8, 16),
    new Float64Array(bytes.buffer, 8, 2),
    Object.setPrototypeOf(new Float64Array(bytes.buffer, 8, 2), Uint8Array.prototype),
    new BigInt64Array(bytes.buffer),
    bytes.subarray(3, 10),
    shared,
    new Uint8Array(shared, 1, 5),
    new Uint8Array(resizable, 10, 5),
    new Uint8Array(),
    new ArrayBuffer(0),
    ...["Uint8Array.of(1, 2)", "new DataView(new ArrayBuffer(2))", "new SharedArrayBuffer(1)"]
      .map(elsewhere),
  ];
  const parts: Uint8Array[] = [];
  for (const view of views as (ArrayBufferView & ArrayBuffer)[]) {
    for (const give of [write!, getWriter!]) {
      await give(stream, view);
      parts.push(new Uint8Array(view.buffer ?? view, view.byteOffset, view.byteLength));
    }
  }
  await closeWith(stream, joined(...parts));
});

testWriter("A getter of Uint8Array.prototype is not trusted", narrow, async (stream) => {
  // Memory of the pool that has other bytes.
  await stream.write(filled(12_288, 9));
  const bytes = filled(12_288, 1);
  Object.defineProperty(Uint8Array.prototype, "length", {
    configurable: true,
    get(this: Uint8Array): number {
      return this.byteLength === 12_288 && this[0] === 1 ? 24_576 : this.byteLength;
    },
  });
  try {
    // The first is taken at once, the others wait.
    await Promise.all([stream.write(bytes), stream.write(bytes), stream.write(bytes)]);
    await getWriter!(stream, bytes);
    await stream.flushAligned();
    assertEquals(await stream.file.writeAt(bytes, 0), 12_288);
  } finally {
    Reflect.deleteProperty(Uint8Array.prototype, "length");
  }
  await closeWith(stream, filled(5 * 12_288, 1));
});

/** A view that says that it is longer, or elsewhere, than it is, and calls whatever is asked of it. */
class Liar extends Uint8Array<ArrayBuffer> {
  override subarray(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(1);
  }
}

for (const name of ["length", "byteLength", "byteOffset"]) {
  Object.defineProperty(Liar.prototype, name, { value: 5000 });
}
Object.defineProperty(Liar.prototype, "buffer", { value: new ArrayBuffer(1 << 20) });

testDirectAndCached("Bytes of a class that derives from Uint8Array are its own", async (dir) => {
  const liar = (length: number) => new Liar(filled(length, 97).buffer);
  for (const bufferSize of [4096, 1 << 20]) {
    const stream = await create(dir, { bufferSize, writeBehind: 1 });
    // Memory of the pool that has other bytes.
    await stream.write(filled(60_000, 9));
    for (const give of Object.values(ways)) {
      for (const length of [100, 3000, 30_000]) await give(stream, liar(length));
    }
    assertEquals([stream.currentPos, stream.nextPos], [159_300, 159_300]);
    await closeWith(stream, joined(filled(60_000, 9), filled(99_300, 97)));
  }
  await using file = await DmaFile.create(dir.file("file"));
  await assertRejects(() => file.writeAt(liar(100), 0), RangeError, "data.length 100");
  assertEquals(await file.writeAt(liar(8192), 0), 8192);
  assertEquals(await file.readAt(0, 10_000), filled(8192, 97));
  const buffer = file.allocBuffer(4096);
  assertThrows(() => Object.assign(buffer, { length: 1 << 20 }), TypeError);
  Object.defineProperty(buffer, "length", { value: 1 << 20, configurable: true });
  assertEquals(await file.writeAt(buffer, 0), 4096);
});

const changes: Record<string, (buffer: ArrayBuffer) => void> = {
  "is detached": (buffer) => buffer.transfer(),
  shrinks: (buffer) => buffer.resize(10),
  grows: (buffer) => buffer.resize(30_000),
};

testDirectAndCached("A chunk that is lost before it is taken fails the stream", async (dir) => {
  for (const [change, apply] of Object.entries(changes)) {
    // The first chunk may be taken in part: what would follow would stand in the wrong place.
    for (const before of [0, 100_000]) {
      for (const locked of [false, true]) {
        const stream = await create(dir, narrow);
        const first = stream.write(pattern(before));
        const chunk = new Uint8Array(new ArrayBuffer(20_000, { maxByteLength: 30_000 }));
        chunk.set(pattern(20_000, before));
        const target = locked ? stream.getWriter() : stream;
        const written = target.write(locked ? chunk : chunk.buffer);
        // Under a lock the stream passes it on in a microtask.
        await Promise.resolve();
        apply(chunk.buffer);
        await first;
        if (change === "grows") {
          // It is taken as given.
          await written;
          await target.close();
          await assertClosed(stream, pattern(before + 20_000));
        } else {
          const error = await assertRejects(() => written, TypeError, "before it is taken");
          assertEquals(await assertRejects(() => stream.sync()), error);
          await assertClosed(stream, pattern(stream.currentFlushedPos));
        }
      }
    }
  }
});

const unsynced = { bufferSize: 65_536, writeBehind: 4, syncOnClose: false };

testWriter("writeBuffer keeps buffers, and copies none if aligned", unsynced, async (stream) => {
  const lengths: number[] = [];
  let pooled = 0;
  const buffers = Array.from({ length: 10 }, () => stream.file.allocBuffer(262_144));
  {
    using _ = watch("write", ({ length }) => {
      lengths.push(length);
      pooled = Math.max(pooled, engine.pool.used);
    });
    for (const [index, buffer] of buffers.entries()) {
      const view = buffer.bytes;
      view.set(pattern(262_144, index * 262_144));
      await stream.writeBuffer(buffer);
      assertEquals([view.length, buffer.bytes.length], [0, 0]);
      await assertRejects(() => stream.writeBuffer(buffer), TypeError, "passed to a writer");
      await assertRejects(() => stream.file.writeAt(buffer, 0), TypeError, "passed to a writer");
    }
    await stream.flushAligned();
  }
  // Each went as it was, larger than the writer's own buffers, and none of those was used.
  assertEquals([lengths, pooled], [Array(10).fill(262_144), 0]);
  assertEquals([stream.currentPos, stream.currentFlushedPos], [2_621_440, 2_621_440]);
  await closeWith(stream, pattern(2_621_440));
  assert(buffers.every(({ bytes }) => bytes.length === 0));
  const last = stream.file.allocBuffer(512);
  await assertRejects(() => stream.writeBuffer(last), TypeError, "closed");
  assert(last.bytes.length === last.length, "The buffer is the caller's again");
});

const GIB = 1 << 30;
const HUGE = 2 * GIB + 4096;

testInOneDirectory("Chunks of 2 GiB are taken whole, one after the other", async (dir) => {
  let bytes = 0;
  // The kernel is spared the bytes.
  using _writes = interpose("write", ({ operation, end }) => {
    bytes += operation.length;
    end(operation.length);
  });
  using _truncates = interpose("truncate", ({ end }) => end(0));
  using _allocations = interpose("allocate", ({ end }) => end(0));
  const chunk = new Uint8Array(HUGE);
  const writer = await create(dir, { syncOnClose: false, closeFile: false });
  for (const give of [write!, write!, getWriter!]) await give(writer, chunk);
  await getWriter!(writer, new DataView(chunk.buffer, 4096));
  await writer.close();
  assertEquals([writer.currentFlushedPos, bytes], Array(2).fill(4 * HUGE - 4096));
  for (const total of [5, 6]) {
    assertEquals(await writer.file.writeAt(chunk, 0), HUGE);
    assertEquals(bytes, total * HUGE - 4096);
  }
  await writer.file.close();
}, { bothEngines: false, ignore: Deno.systemMemoryInfo().available < 5 * GIB });
