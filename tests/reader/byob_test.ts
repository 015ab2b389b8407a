// DmaStreamReader with readers that bring their own buffer.

import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { type DmaFile, DmaStreamReader, ioStats } from "../../mod.ts";
import { joined, pattern } from "../support/bytes.ts";
import { descriptorsOf } from "../support/descriptors.ts";
import { testDirectAndCached } from "../support/dirs.ts";
import { engine } from "../support/engine.ts";
import { hold, interpose } from "../support/interpose.ts";
import { openPattern } from "../support/patterned.ts";

/** A view of `length` bytes whose memory suits Direct I/O. */
function alignedView(file: DmaFile, length: number): Uint8Array<ArrayBuffer> {
  return file.allocBuffer(length).bytes as Uint8Array<ArrayBuffer>;
}

/** Everything a reader gives, through views that `next` makes. */
async function allByView<View extends ArrayBufferView<ArrayBuffer>>(
  stream: DmaStreamReader,
  next: () => View,
): Promise<Uint8Array<ArrayBuffer>> {
  const reader = stream.getReader({ mode: "byob" });
  const parts = [];
  for (;;) {
    const { done, value } = await reader.read(next());
    if (done) break;
    const { buffer, byteOffset, byteLength } = value!;
    assert(byteLength > 0);
    parts.push(new Uint8Array(buffer, byteOffset, byteLength).slice());
  }
  reader.releaseLock();
  return joined(...parts);
}

testDirectAndCached("DmaStreamReader fills an aligned view in place", async (dir) => {
  const size = 300_001;
  const path = dir.file("in-place");
  const file = await openPattern(path, size);
  const stream = new DmaStreamReader(file, { readAhead: 0 });
  const reader = stream.getReader({ mode: "byob" });
  const before = ioStats();
  let view = alignedView(file, 65_536);
  const { buffer } = view;
  const place = Deno.UnsafePointer.value(Deno.UnsafePointer.of(buffer));
  const parts: Uint8Array[] = [];
  for (let blocks = 0;; blocks += ioStats().poolBuffers - before.poolBuffers) {
    const { done, value } = await reader.read(view);
    if (done) break;
    parts.push(value.slice());
    // The same memory comes back, in another ArrayBuffer, and only the tail of the file went through the pool.
    assertEquals(Deno.UnsafePointer.value(Deno.UnsafePointer.of(value.buffer)), place);
    assert(view.byteLength === 0 && buffer.detached);
    assertEquals(blocks, 0);
    view = new Uint8Array(value.buffer, value.byteOffset, 65_536);
  }
  assertEquals(joined(...parts), pattern(size));
  assertEquals([stream.currentPos, descriptorsOf(path)], [size, 0]);
});

testDirectAndCached("DmaStreamReader fills a large aligned view at once", async (dir) => {
  const size = 4 << 20;
  await using file = await openPattern(dir.file("large"), size);
  const stream = new DmaStreamReader(file, { closeFile: false, bufferSize: 65_536 });
  const reader = stream.getReader({ mode: "byob" });
  const before = ioStats().reads;
  const { value } = await reader.read(alignedView(file, 2 << 20));
  assertEquals(value, pattern(2 << 20));
  assertEquals(ioStats().reads - before, 1);
  await reader.cancel();
});

testDirectAndCached("DmaStreamReader fills views of any place and length", async (dir) => {
  const size = 100_001;
  await using file = await openPattern(dir.file("views"), size);
  for (const readAhead of [0, 2]) {
    for (
      const [offset, length] of [[0, 1000], [1, 4096], [3, 20_000], [512, 65_536], [7, 200_000]]
    ) {
      const options = { readAhead, bufferSize: 4096, start: 5, closeFile: false };
      const stream = new DmaStreamReader(file, options);
      const next = () => new Uint8Array(new ArrayBuffer(offset! + length! + 9), offset, length);
      assertEquals(await allByView(stream, next), pattern(size - 5, 5), `${offset} ${length}`);
    }
  }
});

testDirectAndCached("DmaStreamReader fills views of every type", async (dir) => {
  const size = 40_000;
  await using file = await openPattern(dir.file("types"), size);
  for (const readAhead of [0, 2]) {
    for (
      const View of [
        Int8Array,
        Uint8ClampedArray,
        Uint16Array,
        Float32Array,
        BigInt64Array,
        DataView,
      ]
    ) {
      for (const count of [8, 1000, 8192]) {
        const stream = new DmaStreamReader(file, { readAhead, bufferSize: 4096, closeFile: false });
        const next = () => new (View as typeof DataView)(new ArrayBuffer(count * 8));
        assertEquals(await allByView(stream, next), pattern(size), `${View.name} ${count}`);
      }
    }
  }
});

testDirectAndCached("DmaStreamReader fills at least as much as is asked for", async (dir) => {
  const size = 50_000;
  await using file = await openPattern(dir.file("min"), size);
  for (const readAhead of [0, 2]) {
    const stream = new DmaStreamReader(file, { readAhead, bufferSize: 4096, closeFile: false });
    const reader = stream.getReader({ mode: "byob" });
    const { value } = await reader.read(new Uint8Array(30_000), { min: 30_000 });
    assertEquals(value, pattern(30_000));
    const rest = await reader.read(alignedView(file, 30_720), { min: 30_000 });
    // As the standard has it for a stream that ends below the minimum.
    assertEquals([rest.done, rest.value], [true, pattern(20_000, 30_000)]);
  }
});

testDirectAndCached("DmaStreamReader gives the view back, empty, at the end", async (dir) => {
  await using file = await openPattern(dir.file("end"), 0);
  const stream = new DmaStreamReader(file, { closeFile: false });
  const reader = stream.getReader({ mode: "byob" });
  const view = new Uint8Array(64);
  const { done, value } = await reader.read(view);
  assertEquals([done, value?.byteLength, value?.buffer.byteLength], [true, 0, 64]);
});

testDirectAndCached("DmaStreamReader keeps to the end of its range in views", async (dir) => {
  await using file = await openPattern(dir.file("range"), 100_000);
  for (const readAhead of [0, 2]) {
    for (const [start, end] of [[0, 5000], [512, 8192], [4096, 4097], [1, 70_000]]) {
      const options = { readAhead, start: start!, end: end!, closeFile: false };
      const got = await allByView(
        new DmaStreamReader(file, options),
        () => alignedView(file, 16_384),
      );
      assertEquals(got, pattern(end! - start!, start));
    }
  }
});

testDirectAndCached("DmaStreamReader goes from one kind of reader to the other", async (dir) => {
  const size = 200_000;
  await using file = await openPattern(dir.file("kinds"), size);
  for (const readAhead of [0, 2]) {
    const stream = new DmaStreamReader(file, { readAhead, bufferSize: 4096, closeFile: false });
    const parts: Uint8Array[] = [];
    for (let turn = 0, over = false; !over; turn++) {
      const byob = stream.getReader({ mode: "byob" });
      const first = await byob.read(alignedView(file, 8192));
      byob.releaseLock();
      const plain = stream.getReader();
      const second = await plain.read();
      plain.releaseLock();
      if (!first.done) parts.push(first.value);
      if (!second.done) parts.push(second.value);
      over = second.done;
    }
    assertEquals(joined(...parts), pattern(size));
  }
});

testDirectAndCached(
  "DmaStreamReader loses nothing when a lock is released over a read",
  async (dir) => {
    const size = 200_000;
    await using file = await openPattern(dir.file("released"), size);
    for (const readAhead of [0, 2]) {
      const stream = new DmaStreamReader(file, { readAhead, bufferSize: 8192, closeFile: false });
      const byob = stream.getReader({ mode: "byob" });
      const one = byob.read(alignedView(file, 8192));
      byob.releaseLock();
      await assertRejects(() => one, TypeError);
      const plain = stream.getReader();
      const two = plain.read();
      plain.releaseLock();
      await assertRejects(() => two, TypeError);
      assertEquals(await allByView(stream, () => new Uint8Array(3000)), pattern(size));
    }
  },
);

testDirectAndCached("DmaStreamReader gives no view back while the kernel fills it", async (dir) => {
  await using file = await openPattern(dir.file("held"), 100_000);
  for (const end of ["close", "cancel"] as const) {
    const stream = new DmaStreamReader(file, { readAhead: 0, closeFile: false });
    const reader = stream.getReader({ mode: "byob" });
    using reads = hold("read");
    const read = reader.read(alignedView(file, 8192));
    await reads.reach();
    const ended = end === "close" ? stream.close() : reader.cancel();
    let over = "";
    ended.then(() => over += "ended");
    if (end === "close") read.then(() => over += "read");
    await new Promise((resolve) => setTimeout(resolve, 10));
    assertEquals(over, "");
    reads.letGo();
    await ended;
    const { done, value } = await read;
    assertEquals([done, value?.byteLength], [true, end === "close" ? 0 : undefined]);
    // The memory is the caller's again, and nothing writes to it any more.
    if (value) {
      const again = new Uint8Array(value.buffer).fill(1);
      await file.size();
      assert(again.every((byte) => byte === 1));
    }
  }
  assertEquals(engine.counters.inFlight, 0);
});

testDirectAndCached("DmaStreamReader skips under a view that is being filled", async (dir) => {
  const size = 100_000;
  await using file = await openPattern(dir.file("skipped"), size);
  const stream = new DmaStreamReader(file, { readAhead: 0, closeFile: false });
  const reader = stream.getReader({ mode: "byob" });
  using reads = hold("read");
  const read = reader.read(alignedView(file, 8192));
  await reads.reach();
  stream.skip(20_480);
  reads.letGo();
  // What is given out stands where the reader went: the bytes before it were not asked for any more.
  assertEquals((await read).value, pattern(8192, 20_480));
  assertEquals(stream.currentPos, 28_672);
  reader.releaseLock();
  const got = await allByView(stream, () => alignedView(file, 8192));
  assertEquals(got, pattern(size - 28_672, 28_672));
});

testDirectAndCached("DmaStreamReader refuses views that are no use, and goes on", async (dir) => {
  await using file = await openPattern(dir.file("refused"), 5000);
  const stream = new DmaStreamReader(file, { closeFile: false });
  const reader = stream.getReader({ mode: "byob" });
  await assertRejects(() => reader.read(new Uint8Array(0)), TypeError);
  const detached = new Uint8Array(8);
  detached.buffer.transfer();
  await assertRejects(() => reader.read(detached), TypeError);
  const shared = new Uint8Array(new SharedArrayBuffer(8)) as unknown as Uint8Array<ArrayBuffer>;
  await assertRejects(() => reader.read(shared), TypeError);
  const { value } = await reader.read(new Uint8Array(9000));
  assertEquals(value, pattern(5000));
  await reader.cancel();
});

testDirectAndCached("DmaStreamReader fails a view with the error of its read", async (dir) => {
  const path = dir.file("fails");
  const file = await openPattern(path, 100_000);
  const stream = new DmaStreamReader(file, { readAhead: 0 });
  const reader = stream.getReader({ mode: "byob" });
  using _ = interpose("read", ({ operation: { position }, completion, pass }) => {
    if (position < 8192) pass();
    else queueMicrotask(() => completion.complete(-5));
  });
  assertEquals((await reader.read(alignedView(file, 8192))).value, pattern(8192));
  const error = await assertRejects(
    () => reader.read(alignedView(file, 8192)),
    Error,
    "os error 5",
  );
  assertStrictEquals(await reader.closed.catch((reason) => reason), error);
  await stream.close();
  assertEquals(descriptorsOf(path), 0);
});

testDirectAndCached("Reads that bring a little more each time are continued", async (dir) => {
  // As of a file that somebody else appends to without a pause.
  await using file = await openPattern(dir.file("little"), 5000);
  for (const readAhead of [0, 2]) {
    let most = 0;
    using _ = interpose("read", ({ completion, pass }) => {
      pass({}, {
        complete: (result) => completion.complete(Math.min(result, most += 40)),
      });
    });
    const stream = new DmaStreamReader(file, { readAhead, closeFile: false });
    assertEquals(await allByView(stream, () => alignedView(file, 8192)), pattern(5000));
    most = 0;
    assertEquals(await file.readAt(0, 5000), pattern(5000));
  }
});
