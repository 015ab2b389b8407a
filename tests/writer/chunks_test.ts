// What may be given to a DmaStreamWriter, what is refused alone, and whose the bytes are.

import { assert, assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import { DmaBuffer, DmaFile, DmaStreamWriter } from "../../mod.ts";
import { assertFile, filled, joined, pattern } from "../support/bytes.ts";
import { descriptorsOf, eventually } from "../support/descriptors.ts";
import { testDirectAndCached } from "../support/dirs.ts";
import { engine } from "../support/engine.ts";
import { interpose } from "../support/interpose.ts";
import { create } from "./create.ts";

/** A chunk whose memory was given away. */
function detached(): Uint8Array<ArrayBuffer> {
  const chunk = filled(100, 1);
  structuredClone(chunk, { transfer: [chunk.buffer] });
  return chunk;
}

/** Memory that was shrunk below the view that `make` returns of it. */
function shrunk<View>(make: (memory: ArrayBuffer) => View): View {
  const memory = new ArrayBuffer(100, { maxByteLength: 100 });
  const view = make(memory);
  memory.resize(60);
  return view;
}

const bad: [name: string, chunk: () => unknown, says: string][] = [
  ["text", () => "text", "TextEncoder"],
  ["null", () => null, "null"],
  ["undefined", () => undefined, "undefined"],
  ["a number", () => 42, "42"],
  ["a bigint", () => 42n, "42n"],
  ["a boolean", () => true, "true"],
  ["an array", () => [1, 2, 3], "Array"],
  ["an object", () => ({ length: 3 }), "Object"],
  ["a Blob", () => new Blob(["x"]), "Blob"],
  ["an object that inherits from Uint8Array", () => Object.create(Uint8Array.prototype), "view"],
  ["a proxy of a Uint8Array", () => new Proxy(new Uint8Array(3), {}), "view"],
  ["a detached view", detached, "detached"],
  ["a detached buffer", () => detached().buffer, "detached"],
  ["a view of a shrunk buffer", () => shrunk((memory) => new Uint8Array(memory, 50, 50)), "shrunk"],
  ["numbers in a shrunk buffer", () => shrunk((memory) => new Uint32Array(memory, 64)), "shrunk"],
  [
    "a DataView of a shrunk buffer",
    () => shrunk((memory) => new DataView(memory, 50, 50)),
    "shrunk",
  ],
];

testDirectAndCached(
  "A chunk that is not bytes is rejected and named, and the stream goes on",
  async (dir) => {
    const stream = await create(dir, { bufferSize: 4096, writeBehind: 2 });
    let position = 0;
    for (const [name, chunk, says] of bad) {
      const before = stream.write(pattern(3000, position));
      const error = await assertRejects(
        () => stream.write(chunk() as BufferSource),
        TypeError,
        says,
      );
      assertInstanceOf(error, TypeError, name);
      await before;
      const writer = stream.getWriter();
      await assertRejects(() => writer.write(chunk() as BufferSource), TypeError, says);
      await writer.write(pattern(3000, position + 3000));
      await writer.ready;
      assertEquals(writer.desiredSize, 1);
      writer.releaseLock();
      position += 6000;
      assertEquals(stream.currentPos, position);
    }
    await stream.close();
    await assertFile(dir.file("file"), pattern(position));
  },
);

testDirectAndCached("Every view of bytes is written as its bytes", async (dir) => {
  const stream = await create(dir);
  const bytes = pattern(64);
  const shared = new SharedArrayBuffer(64);
  new Uint8Array(shared).set(bytes);
  const resizable = new ArrayBuffer(64, { maxByteLength: 128 });
  new Uint8Array(resizable).set(bytes);
  const views = [
    bytes,
    bytes.buffer,
    new DataView(bytes.buffer, 8, 16),
    new Float64Array(bytes.buffer, 8, 2),
    new Uint16Array(bytes.buffer, 2, 3),
    new BigInt64Array(bytes.buffer),
    new Uint8ClampedArray(bytes.buffer, 5, 7),
    bytes.subarray(3, 10),
    shared,
    new Uint8Array(shared, 1, 5),
    new Uint8Array(resizable),
    new Uint8Array(resizable, 10, 5),
    new Uint8Array(),
    new ArrayBuffer(0),
  ];
  const parts: Uint8Array[] = [];
  for (const view of views) {
    await stream.write(view);
    const writer = stream.getWriter();
    await writer.write(view);
    writer.releaseLock();
    const part = ArrayBuffer.isView(view)
      ? new Uint8Array(view.buffer, view.byteOffset, view.byteLength).slice()
      : new Uint8Array(view).slice();
    parts.push(part, part);
  }
  await stream.close();
  await assertFile(dir.file("file"), joined(...parts));
});

/** A view that says that it is longer, or elsewhere, than it is, and calls whatever is asked of it. */
function liar(bytes: Uint8Array): Uint8Array {
  class Liar extends Uint8Array {
    override subarray(): Uint8Array<ArrayBuffer> {
      return new Uint8Array(1);
    }
  }
  const chunk = new Liar(bytes);
  for (const name of ["length", "byteLength", "byteOffset"]) {
    Object.defineProperty(chunk, name, { value: 5000 });
  }
  Object.defineProperty(chunk, "buffer", { value: new ArrayBuffer(1 << 20) });
  return chunk;
}

testDirectAndCached("A length getter of the program's own is not trusted", async (dir) => {
  const secret = await create(dir);
  await secret.write(filled(3_000_000, 9));
  await secret.close();
  const path = dir.file("file");
  const bytes = filled(12_288, 1);
  const typedArray = Object.getPrototypeOf(Uint8Array.prototype);
  const real = Object.getOwnPropertyDescriptor(typedArray, "length")!.get!;
  const lie = () =>
    Object.defineProperty(Uint8Array.prototype, "length", {
      configurable: true,
      get(): number {
        const length = real.call(this);
        return length === bytes.byteLength && this[0] === 1 ? 2 * length : length;
      },
    });
  const stop = () => Reflect.deleteProperty(Uint8Array.prototype, "length");
  const stream = await create(dir, { bufferSize: 4096, writeBehind: 1 });
  lie();
  try {
    // The first is taken at once, the others wait.
    await Promise.all([stream.write(bytes), stream.write(bytes), stream.write(bytes)]);
    const writer = stream.getWriter();
    await writer.write(bytes);
    await writer.close();
  } finally {
    stop();
  }
  await assertFile(path, filled(4 * 12_288, 1));
  await using file = await DmaFile.create(path);
  lie();
  try {
    assertEquals(await file.writeAt(bytes, 0), 12_288);
  } finally {
    stop();
  }
  assertEquals(await file.readAt(0, 30_000), filled(12_288, 1));
});

testDirectAndCached("A chunk's own length property is not trusted", async (dir) => {
  const secret = await create(dir);
  await secret.write(filled(60_000, 9));
  await secret.close();
  const bytes = pattern(100);
  const path = dir.file("file");
  for (const bufferSize of [4096, 1 << 20]) {
    const stream = await create(dir, { bufferSize, writeBehind: 1 });
    const parts: Uint8Array[] = [];
    for (let round = 0; round < 200; round++) {
      await stream.write(liar(bytes));
      const writer = stream.getWriter();
      await writer.write(liar(bytes));
      writer.releaseLock();
      await ReadableStream.from([liar(bytes)]).pipeTo(stream, { preventClose: true });
      parts.push(bytes, bytes, bytes);
    }
    assertEquals([stream.currentPos, stream.nextPos], [60_000, 60_000]);
    await stream.close();
    await assertFile(path, joined(...parts));
  }
  await using file = await DmaFile.create(path);
  await assertRejects(() => file.writeAt(liar(bytes), 0), RangeError, "data.length 100");
  assertEquals(await file.writeAt(liar(pattern(4096)), 0), 4096);
  assertEquals(await file.readAt(0, 10_000), pattern(4096));
  const buffer = file.allocBuffer(4096);
  assertThrows(() => Object.assign(buffer, { length: 1 << 20 }), TypeError);
  Object.defineProperty(buffer, "length", { value: 1 << 20, configurable: true });
  assertEquals(await file.writeAt(buffer, 0), 4096);
});

testDirectAndCached(
  "A chunk that is changed after write has resolved changes nothing",
  async (dir) => {
    const stream = await create(dir, { bufferSize: 8192, writeBehind: 2 });
    const chunk = new Uint8Array(5000);
    const writer = stream.getWriter();
    for (let round = 0; round < 20; round++) {
      chunk.set(pattern(5000, round * 10_000));
      await writer.write(chunk);
      chunk.set(pattern(5000, round * 10_000 + 5000));
      await writer.write(chunk);
      chunk.fill(0xff);
    }
    writer.releaseLock();
    for (let round = 0; round < 20; round++) {
      chunk.set(pattern(5000, 200_000 + round * 5000));
      await stream.write(chunk);
      chunk.fill(0xff);
    }
    structuredClone(chunk, { transfer: [chunk.buffer] });
    await stream.close();
    await assertFile(dir.file("file"), pattern(300_000));
  },
);

testDirectAndCached(
  "A chunk that is detached while it is being taken is not lost in silence",
  async (dir) => {
    const stream = await create(dir, { bufferSize: 4096, writeBehind: 1 });
    const chunk = pattern(100_000);
    const written = stream.write(chunk);
    structuredClone(chunk, { transfer: [chunk.buffer] });
    const error = await assertRejects(() => written, TypeError, "detached");
    // A part of it is there: what would follow would stand in the wrong place.
    assertEquals(await assertRejects(() => stream.write(pattern(5))), error);
    assertEquals(await assertRejects(() => stream.close()), error);
    assertEquals(descriptorsOf(dir.file("file")), 0);
    await assertFile(dir.file("file"), pattern(stream.currentFlushedPos));
  },
);

testDirectAndCached(
  "A chunk that changes its length while it waits behind another is not lost in silence",
  async (dir) => {
    const ways: Record<string, (chunk: Uint8Array<ArrayBuffer>) => void> = {
      detached: (chunk) => void chunk.buffer.transfer(),
      shrunk: (chunk) => chunk.buffer.resize(10),
    };
    for (const [name, change] of Object.entries(ways)) {
      for (const locked of [false, true]) {
        const stream = await create(dir, { bufferSize: 4096, writeBehind: 1 });
        const before = stream.write(pattern(100_000));
        const chunk = new Uint8Array(new ArrayBuffer(5000, { maxByteLength: 6000 }));
        const written = (locked ? stream.getWriter() : stream).write(chunk);
        // Under a lock the stream passes it on in a microtask.
        await Promise.resolve();
        change(chunk);
        await before;
        const error = await assertRejects(() => written, TypeError, "before it is taken", name);
        assertEquals(await assertRejects(() => stream.sync()), error);
        await eventually(() => descriptorsOf(dir.file("file")) === 0);
        await assertFile(dir.file("file"), pattern(stream.currentFlushedPos));
      }
    }
  },
);

testDirectAndCached("A chunk that grows while it waits is taken as it was given", async (dir) => {
  for (const locked of [false, true]) {
    const stream = await create(dir, { bufferSize: 4096, writeBehind: 1 });
    const before = stream.write(pattern(100_000));
    const chunk = new Uint8Array(new ArrayBuffer(5000, { maxByteLength: 6000 }));
    chunk.set(pattern(5000, 100_000));
    const writer = locked ? stream.getWriter() : stream;
    const written = writer.write(chunk);
    chunk.buffer.resize(6000);
    await Promise.all([before, written]);
    await writer.close();
    await assertFile(dir.file("file"), pattern(105_000));
  }
});

testDirectAndCached("Bytes of a class that derives from Uint8Array are its own", async (dir) => {
  /** Its constructor takes other arguments than Uint8Array's: so `subarray` of it is no part of it. */
  class Text extends Uint8Array<ArrayBuffer> {
    constructor(text: string) {
      super(new TextEncoder().encode(text).buffer);
    }
  }
  const ways: Record<string, (stream: DmaStreamWriter, chunk: Text) => Promise<void>> = {
    write: (stream, chunk) => stream.write(chunk),
    getWriter: async (stream, chunk) => {
      const writer = stream.getWriter();
      await writer.write(chunk);
      writer.releaseLock();
    },
    pipeTo: (stream, chunk) => ReadableStream.from([chunk]).pipeTo(stream, { preventClose: true }),
  };
  for (const [name, put] of Object.entries(ways)) {
    const stream = await create(dir, { bufferSize: 4096, writeBehind: 1 });
    await put(stream, new Text("a".repeat(3000)));
    await put(stream, new Text("b".repeat(30_000)));
    await stream.close();
    await assertFile(dir.file("file"), joined(filled(3000, 97), filled(30_000, 98)), name);
  }
  await using file = await DmaFile.create(dir.file("file"));
  await file.writeAt(new Text("c".repeat(8192)), 0);
  assertEquals(await file.readAt(0, 8192), filled(8192, 99));
});

// ---- buffers that are handed over -----------------------------------------------------------------------------

testDirectAndCached("writeBuffer writes a buffer, and keeps it", async (dir) => {
  const stream = await create(dir, { bufferSize: 8192, writeBehind: 2 });
  const buffer = stream.file.allocBuffer(20_480);
  const view = buffer.bytes;
  view.set(pattern(20_480));
  await stream.writeBuffer(buffer);
  assertEquals(view.length, 0);
  assertEquals(buffer.bytes.length, 0);
  assertEquals(stream.currentPos, 20_480);
  await assertRejects(() => stream.writeBuffer(buffer), TypeError, "given away");
  await assertRejects(() => stream.file.writeAt(buffer, 0), TypeError, "given away");
  await stream.close();
  assertEquals(buffer.bytes.length, 0);
  await assertFile(dir.file("file"), pattern(20_480));
});

testDirectAndCached("writeBuffer makes no copy if the position is aligned", async (dir) => {
  const stream = await create(dir, { bufferSize: 65_536, writeBehind: 4, syncOnClose: false });
  const lengths: number[] = [];
  let pooled = 0;
  {
    using _ = interpose("write", ({ operation, pass }) => {
      lengths.push(operation.length);
      pooled = Math.max(pooled, engine.pool.used);
      pass();
    });
    for (let index = 0; index < 10; index++) {
      const buffer = stream.file.allocBuffer(262_144);
      buffer.bytes.set(pattern(262_144, index * 262_144));
      await stream.writeBuffer(buffer);
    }
    await stream.flushAligned();
  }
  // Each went as it was, larger than the writer's own buffers, and none of those was used.
  assertEquals(lengths, Array(10).fill(262_144));
  assertEquals(pooled, 0);
  assertEquals(stream.currentFlushedPos, 2_621_440);
  await stream.close();
  await assertFile(dir.file("file"), pattern(2_621_440));
});

testDirectAndCached(
  "writeBuffer takes the buffer of a file with another alignment",
  async (dir) => {
    await using other = await DmaFile.create(dir.file("other"));
    const file = await DmaFile.create(dir.file("file"), { direct: "off" });
    const stream = new DmaStreamWriter(file, { bufferSize: 8192 });
    let position = 0;
    for (let round = 0; round < 3; round++) {
      const buffer = other.allocBuffer(1);
      buffer.bytes.set(pattern(buffer.length, position));
      position += buffer.length;
      await stream.writeBuffer(buffer);
      await stream.write(pattern(4096, position));
      position += 4096;
    }
    await stream.close();
    await assertFile(dir.file("file"), pattern(position));
  },
);

testDirectAndCached(
  "writeBuffer rejects what is not a buffer, and the stream goes on",
  async (dir) => {
    const stream = await create(dir);
    for (const wrong of [undefined, null, 5, "text", filled(4096, 1), {}]) {
      await assertRejects(() => stream.writeBuffer(wrong as DmaBuffer), TypeError, "DmaBuffer");
    }
    const buffer = stream.file.allocBuffer(512);
    structuredClone(buffer.bytes, { transfer: [buffer.bytes.buffer as ArrayBuffer] });
    await assertRejects(() => stream.writeBuffer(buffer), TypeError, "transferred away");
    await stream.write(pattern(5));
    await stream.close();
    const last = stream.file.allocBuffer(512);
    await assertRejects(() => stream.writeBuffer(last), TypeError, "closed");
    assertEquals(last.bytes.length, last.length);
    await assertFile(dir.file("file"), pattern(5));
    assert(last instanceof DmaBuffer);
  },
);
