// DmaStreamReader with BYOB readers.

import { assert, assertEquals } from "@std/assert";
import { type DmaStreamReader, ioStats } from "../../mod.ts";
import { pause } from "../setup/command.ts";
import { joined, pattern } from "../support/bytes.ts";
import { engine } from "../support/engine.ts";
import { hold } from "../support/interpose.ts";
import { alignedView, testReaders } from "./create.ts";

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

/** All bytes of a stream, read into views from `next`. */
async function allByView(
  stream: DmaStreamReader,
  next: () => ArrayBufferView<ArrayBuffer>,
): Promise<Uint8Array> {
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
    ...places.map(([offset, length]) => () =>
      new Uint8Array(new ArrayBuffer(offset + length + 9), offset, length)
    ),
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
