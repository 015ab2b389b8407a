// DmaStreamReader with BYOB readers.

import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { ioStats } from "../../mod.ts";
import { Errno } from "../../src/engine/linux.ts";
import { pause } from "../setup/command.ts";
import { joined, pattern } from "../support/bytes.ts";
import { descriptorsOf } from "../support/descriptors.ts";
import { testDirectAndCached } from "../support/dirs.ts";
import { engine } from "../support/engine.ts";
import { hold, interpose } from "../support/interpose.ts";
import { alignedView, allByView, open, testReaders } from "./create.ts";

/** Options of readers that read ahead, and of those that do not. */
const ways = [{ readAhead: 0, bufferSize: 4096 }, { readAhead: 2, bufferSize: 4096 }];

testDirectAndCached("An aligned view is filled in place", async (dir) => {
  const size = 300_001;
  const stream = await open(dir, size, { readAhead: 0 });
  const { file } = stream;
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
  assertEquals([stream.currentPos, descriptorsOf(file.path)], [size, 0]);
});

testReaders("A large aligned view is filled at once", 4 << 20, async (read, file) => {
  const reader = read({ bufferSize: 65_536 }).getReader({ mode: "byob" });
  const before = ioStats().reads;
  const { value } = await reader.read(alignedView(file, 2 << 20));
  assertEquals(value, pattern(2 << 20));
  assertEquals(ioStats().reads - before, 1);
  await reader.cancel();
});

testReaders("Views of any place and length are filled", 100_001, async (read) => {
  const places = [[0, 1000], [1, 4096], [3, 20_000], [512, 65_536], [7, 200_000]] as const;
  for (const options of ways) {
    for (const [offset, length] of places) {
      const next = () => new Uint8Array(new ArrayBuffer(offset + length + 9), offset, length);
      const got = await allByView(read({ ...options, start: 5 }), next);
      assertEquals(got, pattern(99_996, 5), `${offset} ${length}`);
    }
  }
});

const types = [Int8Array, Uint8ClampedArray, Uint16Array, Float32Array, BigInt64Array, DataView];

for (const View of types as unknown as (typeof DataView)[]) {
  testReaders(`A ${View.name} is filled`, 40_000, async (read) => {
    for (const options of ways) {
      for (const count of [8, 1000, 8192]) {
        const got = await allByView(read(options), () => new View(new ArrayBuffer(count * 8)));
        assertEquals(got, pattern(40_000), `${count}`);
      }
    }
  });
}

testReaders("A view gets at least the requested minimum", 50_000, async (read, file) => {
  for (const options of ways) {
    const reader = read(options).getReader({ mode: "byob" });
    const { value } = await reader.read(new Uint8Array(30_000), { min: 30_000 });
    assertEquals(value, pattern(30_000));
    const rest = await reader.read(alignedView(file, 30_720), { min: 30_000 });
    // The Standard's result for a stream that ends below the minimum.
    assertEquals([rest.done, rest.value], [true, pattern(20_000, 30_000)]);
  }
});

testReaders("A view is given back, empty, at the end", 0, async (read) => {
  const reader = read().getReader({ mode: "byob" });
  const { done, value } = await reader.read(new Uint8Array(64));
  assertEquals([done, value?.byteLength, value?.buffer.byteLength], [true, 0, 64]);
});

testReaders("Views are filled up to the end of the range", 100_000, async (read, file) => {
  for (const { readAhead } of ways) {
    for (const [start, end] of [[0, 5000], [512, 8192], [4096, 4097], [1, 70_000]] as const) {
      const stream = read({ readAhead, start, end });
      const got = await allByView(stream, () => alignedView(file, 16_384));
      assertEquals(got, pattern(end - start, start));
    }
  }
});

testReaders("A stream goes from one kind of reader to the other", 200_000, async (read, file) => {
  for (const options of ways) {
    const stream = read(options);
    const parts: Uint8Array[] = [];
    for (let over = false; !over;) {
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
    assertEquals(joined(...parts), pattern(200_000));
  }
});

testReaders("Nothing is lost when a lock is released over a read", 200_000, async (read, file) => {
  for (const { readAhead } of ways) {
    const stream = read({ readAhead, bufferSize: 8192 });
    const byob = stream.getReader({ mode: "byob" });
    const one = byob.read(alignedView(file, 8192));
    byob.releaseLock();
    await assertRejects(() => one, TypeError);
    const plain = stream.getReader();
    const two = plain.read();
    plain.releaseLock();
    await assertRejects(() => two, TypeError);
    assertEquals(await allByView(stream, () => new Uint8Array(3000)), pattern(200_000));
  }
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

testReaders("A reader skips under a view that is being filled", 100_000, async (read, file) => {
  const stream = read({ readAhead: 0 });
  const reader = stream.getReader({ mode: "byob" });
  using reads = hold("read");
  const reading = reader.read(alignedView(file, 8192));
  await reads.reach();
  stream.skip(20_480);
  reads.letGo();
  // The delivered bytes are those after the skip, and the skipped bytes are not delivered.
  assertEquals((await reading).value, pattern(8192, 20_480));
  assertEquals(stream.currentPos, 28_672);
  reader.releaseLock();
  const got = await allByView(stream, () => alignedView(file, 8192));
  assertEquals(got, pattern(71_328, 28_672));
});

testReaders("Unusable views are rejected, and the stream continues", 5000, async (read) => {
  const reader = read().getReader({ mode: "byob" });
  const detached = new Uint8Array(8);
  detached.buffer.transfer();
  const shared = new Uint8Array(new SharedArrayBuffer(8)) as unknown as Uint8Array<ArrayBuffer>;
  for (const view of [new Uint8Array(0), detached, shared]) {
    await assertRejects(() => reader.read(view), TypeError);
  }
  assertEquals((await reader.read(new Uint8Array(9000))).value, pattern(5000));
  await reader.cancel();
});

testDirectAndCached("A read that fails fails its view, and closes the file", async (dir) => {
  const stream = await open(dir, 100_000, { readAhead: 0 });
  const { file } = stream;
  const reader = stream.getReader({ mode: "byob" });
  using _ = interpose("read", ({ operation: { position }, completion, pass }) => {
    if (position < 8192) pass();
    else queueMicrotask(() => completion.complete(-Errno.EIO));
  });
  const read = () => reader.read(alignedView(file, 8192));
  assertEquals((await read()).value, pattern(8192));
  const error = await assertRejects(read, Error, "os error 5");
  assertStrictEquals(await reader.closed.catch((reason) => reason), error);
  await stream.close();
  assertEquals(descriptorsOf(file.path), 0);
});

testReaders("Reads that bring a little more each time are continued", 5000, async (read, file) => {
  // As for a file that another process appends to without a pause.
  let most = 0;
  using _ = interpose("read", ({ completion, pass }) => {
    pass({}, { complete: (result) => completion.complete(Math.min(result, most += 40)) });
  });
  for (const { readAhead } of ways) {
    most = 0;
    const got = await allByView(read({ readAhead }), () => alignedView(file, 8192));
    assertEquals(got, pattern(5000));
  }
  most = 0;
  assertEquals(await file.readAt(0, 5000), pattern(5000));
});
