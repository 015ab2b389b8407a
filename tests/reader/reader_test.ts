// DmaStreamReader as a ReadableStream: each way to consume it gives the bytes of the file, with few reads; views; skip().

import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { type DmaFile, DmaStreamReader, type DmaStreamReaderOptions, ioStats } from "../../mod.ts";
import { Errno } from "../../src/engine/linux.ts";
import { eventually, pause } from "../setup/command.ts";
import { allOf, joined, openPattern, pattern, readPattern } from "../support/bytes.ts";
import { descriptorsOf } from "../support/leaks.ts";
import { testDirectAndCached, testInEachDirectory } from "../support/dirs.ts";
import { engine, fail, hold, watch } from "../support/engine.ts";

/** Makes a reader of the test's file, which the reader leaves open. */
type Read = (options?: DmaStreamReaderOptions) => DmaStreamReader;

/** Registers a test of readers of a file of so many bytes, once with Direct I/O and once without it. */
function testReaders(name: string, size: number, fn: (read: Read, file: DmaFile) => Promise<void>) {
  testDirectAndCached(name, async (dir) => {
    await using file = await openPattern(dir.file("file"), size);
    const read: Read = (options) => new DmaStreamReader(file, { closeFile: false, ...options });
    await fn(read, file);
  });
}

/** A view of `length` bytes whose memory suits Direct I/O. */
function alignedView(file: DmaFile, length: number): Uint8Array<ArrayBuffer> {
  return file.allocBuffer(length).bytes as Uint8Array<ArrayBuffer>;
}

testInEachDirectory("for await gives the whole file, and the position in it", async (dir) => {
  for (const size of [0, 1, 511, 512, 513, 4095, 4096, 4097, 65_536, 131_074, 3_000_001]) {
    const reader = await readPattern(dir.file("file"), size);
    assertEquals(reader.currentPos, 0);
    const chunks: Uint8Array[] = [];
    for await (const chunk of reader) {
      assert(chunk instanceof Uint8Array && chunk.length > 0);
      chunks.push(chunk);
      assertEquals(reader.currentPos, joined(...chunks).length);
    }
    assertEquals(joined(...chunks), pattern(size));
    assertEquals([reader.currentPos, descriptorsOf(reader.file.path)], [size, 0]);
  }
});

const SIZE = 300_001;

testReaders("A file is closed at the end, unless closeFile is false", 5000, async (read, file) => {
  await allOf(read());
  assertEquals(descriptorsOf(file.path), 1);
  // DmaFile.readable is the same reader each time, with defaults.
  const { readable } = file;
  assertStrictEquals(readable.file, file);
  assertEquals(await allOf(readable), pattern(5000));
  assertEquals(descriptorsOf(file.path), 0);
  assertStrictEquals(file.readable, readable);
  assertThrows(() => read(), Deno.errors.BadResource, "the file is closed");
});

testReaders("A far range is empty, and a reversed one is refused", 5000, async (read) => {
  const make = (options: DmaStreamReaderOptions) => () => read(options);
  assertEquals(await allOf(read({ start: Number.MAX_SAFE_INTEGER - 1 })), new Uint8Array());
  const says = "Invalid end 9: it must not be before start 10";
  assertThrows(make({ start: 10, end: 9 }), RangeError, says);
  assertThrows(make({ bufferSize: 2 ** 31 }), RangeError, "Invalid bufferSize 2147483648");
});

testReaders("The next read starts when a chunk is given out", 200_000, async (read) => {
  for (const readAhead of [0, 3]) {
    using reads = watch("read");
    const reader = read({ bufferSize: 4096, readAhead }).getReader();
    for (let chunks = 1; chunks < 20; chunks++) {
      assertEquals((await reader.read()).value, pattern(4096, (chunks - 1) * 4096));
      if (readAhead === 0) await pause(1);
      assertEquals(reads.count, chunks + readAhead);
    }
    await reader.cancel();
  }
});

testDirectAndCached("No block is read twice, or behind the end", async (dir) => {
  // The length of the file is asked for once, and not at all if a read will show it.
  const cases: [size: number, reads: number, range?: DmaStreamReaderOptions][] = [
    [0, 1],
    [1, 1],
    [4096, 2],
    [4097, 2],
    [16_384, 5],
    [20_000, 5],
    [400_000, 2, { start: 100, end: 12_000, bufferSize: 8192 }],
  ];
  for (const [size, reads, range] of cases) {
    const before = ioStats();
    const options = { bufferSize: 4096, readAhead: 8, ...range };
    const reader = await readPattern(dir.file("file"), size, options);
    const { start = 0, end = size } = range ?? {};
    assertEquals(await allOf(reader), pattern(end - start, start));
    const now = ioStats();
    assertEquals(now.reads - before.reads, reads, `${size} bytes`);
    assert(now.bytesRead - before.bytesRead <= Math.ceil(end / 4096) * 4096);
  }
});

testReaders("A file that grows is read to its end, in whole buffers", 8192, async (read, file) => {
  // While its last bytes are read, and after its end was read.
  for (const [step, skipped] of [[0, 0], [1, 0], [2, 100_000]] as const) {
    const size = 8192 + step * 204_800;
    const stream = read({ start: size - 8192, bufferSize: 8192 });
    const reader = stream.getReader();
    using held = hold("read", { results: true });
    const first = reader.read();
    await held.reach();
    if (step > 0) held.letGo();
    await eventually(() => step === 0 || stream.currentPos === size && ioStats().inFlight === 0);
    await Deno.writeFile(file.path, pattern(204_800, size), { append: true });
    const { reads } = ioStats();
    held.letGo();
    assertEquals((await first).value, pattern(8192, size - 8192));
    reader.releaseLock();
    stream.skip(skipped);
    assertEquals(await allOf(stream), pattern(204_800 - skipped, size + skipped));
    assert(ioStats().reads - reads < 35, `${ioStats().reads - reads} reads`);
  }
});

testReaders("Bytes before a failure are given, and no read follows it", 100_000, async (read) => {
  using failing = fail("read", Errno.EIO, ({ position }) => position >= 8192);
  const reader = read({ bufferSize: 4096, readAhead: 3 }).getReader();
  assertEquals((await reader.read()).value, pattern(4096));
  // Those in flight fail.
  await pause(20);
  const { count } = failing;
  assertEquals((await reader.read()).value, pattern(4096, 4096));
  await assertRejects(() => reader.read(), Error, "os error 5");
  assertEquals(failing.count, count);
});

testReaders("Bytes before a failure are given to a large view", 65_536, async (read, file) => {
  for (const readAhead of [0, 3]) {
    using _ = fail("read", Errno.EIO, ({ position, length }) => position + length > 20_000);
    const reader = read({ bufferSize: 4096, readAhead }).getReader({ mode: "byob" });
    for (let at = 0; at < 16_384; at += 4096) {
      const { value } = await reader.read(alignedView(file, 65_536));
      assertEquals(value, pattern(4096, at));
    }
    await assertRejects(() => reader.read(alignedView(file, 65_536)), Error, "os error 5");
  }
});

const placeOf = (buffer: ArrayBuffer) => Deno.UnsafePointer.value(Deno.UnsafePointer.of(buffer));

testReaders("An aligned view is filled in place", 4 << 20, async (read, file) => {
  // A view that is larger than a buffer is filled at once, though buffers are read ahead.
  for (const options of [{ readAhead: 0 }, { bufferSize: 65_536 }]) {
    const reader = read(options).getReader({ mode: "byob" });
    const view = alignedView(file, 2 << 20);
    const { buffer } = view;
    const place = placeOf(buffer);
    const { poolBuffers, reads } = ioStats();
    const { value } = await reader.read(view);
    assertEquals(value, pattern(2 << 20));
    // The same memory comes back, in another ArrayBuffer.
    assertEquals([placeOf(value!.buffer), buffer.detached], [place, true]);
    assertEquals([ioStats().poolBuffers, ioStats().reads], [poolBuffers, reads + 1]);
    await reader.cancel();
  }
});

const places = [[0, 1000], [1, 4096], [3, 20_000], [512, 65_536], [7, 200_000]] as const;
const types = [Int8Array, Uint8ClampedArray, Uint16Array, Float32Array, BigInt64Array, DataView];
const ranges = [[0, 40_000], [0, 5000], [512, 8192], [4096, 4104], [5, 39_997]] as const;

/** All bytes of a stream, read into views from `next`. */
async function allByView(stream: DmaStreamReader, next: () => ArrayBufferView<ArrayBuffer>) {
  const reader = stream.getReader({ mode: "byob" });
  const parts = [];
  for (;;) {
    const { done, value } = await reader.read(next());
    if (done) return joined(...parts);
    const { buffer, byteOffset, byteLength } = value;
    assert(byteLength > 0, "A view came back empty before the end");
    parts.push(new Uint8Array(buffer, byteOffset, byteLength).slice());
  }
}

testReaders("Views of any kind, place and length are filled", 40_000, async (read, file) => {
  const views = [
    () => alignedView(file, 16_384),
    ...places.map(([at, length]) => () => new Uint8Array(new ArrayBuffer(300_000), at, length)),
    ...(types as unknown as (typeof DataView)[]).map((View) => () =>
      new View(new ArrayBuffer(8000))
    ),
  ];
  for (const readAhead of [0, 2]) {
    for (const [index, next] of views.entries()) {
      for (const [start, end] of ranges) {
        const got = await allByView(read({ readAhead, bufferSize: 4096, start, end }), next);
        assertEquals(got, pattern(end - start, start), `view ${index}, ${start} to ${end}`);
      }
    }
  }
});

testReaders("currentPos counts no part of an element that the stream holds", 9, async (read) => {
  const stream = read({ start: 0 });
  const reader = stream.getReader({ mode: "byob" });
  assertEquals((await reader.read(new Uint32Array(4))).value?.byteLength, 8);
  assertEquals(stream.currentPos, 8);
  reader.releaseLock();
  assertEquals((await stream.getReader().read()).value, pattern(1, 8));
  assertEquals(stream.currentPos, 9);
});

for (const end of ["close", "cancel"] as const) {
  testReaders(`No view is given back by ${end} while it is filled`, 100_000, async (read, file) => {
    const stream = read({ readAhead: 0 });
    const reader = stream.getReader({ mode: "byob" });
    using reads = hold("read");
    const reading = reader.read(alignedView(file, 8192));
    await reads.reach();
    const ended = end === "close" ? stream.close() : reader.cancel();
    let over = "";
    ended.then(() => over += "ended");
    if (end === "close") reading.then(() => over += "read");
    await pause(10);
    assertEquals(over, "");
    reads.letGo();
    await ended;
    const { done, value } = await reading;
    assertEquals([done, value?.byteLength], [true, end === "close" ? 0 : undefined]);
    // The memory belongs to the caller again, and is not written any more.
    if (value) {
      const again = new Uint8Array(value.buffer).fill(1);
      await file.size();
      assert(again.every((byte) => byte === 1));
    }
    assertEquals(engine.counters.inFlight, 0);
  });
}

testReaders("The buffers of skipped reads count until the reads end", SIZE, async (read) => {
  const stream = read({ bufferSize: 4096, readAhead: 2 });
  const reader = stream.getReader();
  using reads = hold("read");
  const first = reader.read();
  for (let skips = 0; skips < 5; skips++) {
    await pause(1);
    assert(reads.count <= 3, `${reads.count} buffers`);
    stream.skip(8192);
  }
  reads.letGo();
  assertEquals((await first).value, pattern(4096, 40_960));
  await reader.cancel();
});

/** Read-ahead, and the views into which is read, if any. */
const skippers: Record<string, [readAhead: number, next?: (file: DmaFile) => Uint8Array]> = {
  "a read": [1],
  "a read into a view": [1, () => new Uint8Array(1000)],
  "a read directly into a view": [0, (file) => alignedView(file, 16_384)],
};

for (const [name, [readAhead, next]] of Object.entries(skippers)) {
  testReaders(`skip() at any moment around ${name} loses nothing`, 100_000, async (open, file) => {
    for (let turns = 0; turns < 20; turns++) {
      const stream = open({ bufferSize: 16_384, readAhead });
      const reader = next ? stream.getReader({ mode: "byob" }) : stream.getReader();
      const read = async () => {
        // A reader without a mode ignores the view.
        const { value } = await (reader as ReadableStreamBYOBReader).read(next?.(file)!);
        return value ?? new Uint8Array(0);
      };
      using reads = hold("read", { results: true });
      const first = read();
      await reads.reach();
      reads.letGo();
      for (let turn = 0; turn < turns; turn++) await undefined;
      const skipped = stream.currentPos;
      stream.skip(50_000);
      let at = skipped > 0 ? 0 : 50_000;
      for (let bytes = await first; bytes.length > 0; bytes = await read()) {
        assertEquals(bytes, pattern(bytes.length, at), `${turns} turns`);
        at += bytes.length;
        if (at === skipped) at += 50_000;
      }
      assertEquals(at, 100_000, `${turns} turns`);
    }
  });
}
