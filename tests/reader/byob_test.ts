// DmaStreamReader with BYOB readers.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { ioStats } from "../../mod.ts";
import { pause } from "../setup/command.ts";
import { pattern } from "../support/bytes.ts";
import { engine } from "../support/engine.ts";
import { hold } from "../support/interpose.ts";
import { alignedView, allByView, testReaders } from "./create.ts";

/** Options of readers that read ahead, and of those that do not. */
const ways = [{ readAhead: 0, bufferSize: 4096 }, { readAhead: 2, bufferSize: 4096 }];

/** The address of an ArrayBuffer. */
function placeOf(buffer: ArrayBuffer): bigint {
  return Deno.UnsafePointer.value(Deno.UnsafePointer.of(buffer));
}

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

testReaders("Views of any kind, place and length are filled", 40_000, async (read, file) => {
  const views = [
    () => alignedView(file, 16_384),
    ...places.map(([offset, length]) => () =>
      new Uint8Array(new ArrayBuffer(offset + length + 9), offset, length)
    ),
    ...(types as unknown as (typeof DataView)[]).map((View) => () =>
      new View(new ArrayBuffer(8000))
    ),
  ];
  for (const options of ways) {
    for (const [index, next] of views.entries()) {
      for (const [start, end] of ranges) {
        const got = await allByView<ArrayBufferView<ArrayBuffer>>(
          read({ ...options, start, end }),
          next,
        );
        assertEquals(got, pattern(end - start, start), `view ${index}, ${start} to ${end}`);
      }
    }
  }
});

testReaders("A view gets at least the requested minimum", 50_000, async (read, file) => {
  for (const options of ways) {
    const reader = read(options).getReader({ mode: "byob" });
    const { value } = await reader.read(new Uint8Array(30_000), { min: 30_000 });
    assertEquals(value, pattern(30_000));
    const rest = await reader.read(alignedView(file, 30_720), { min: 30_000 });
    // The Standard's result for a stream that ends below the minimum.
    assertEquals([rest.done, rest.value], [true, pattern(20_000, 30_000)]);
    // At the end a view is given back, empty.
    const { done, value: empty } = await reader.read(new Uint8Array(64));
    assertEquals([done, empty?.byteLength, empty?.buffer.byteLength], [true, 0, 64]);
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
