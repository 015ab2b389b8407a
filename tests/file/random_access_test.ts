// DmaFile.readAt, readAtAligned and writeAt: any position, the end of the file, alignment, and what a kernel may
// do to a request.

import { assertEquals, assertInstanceOf, assertNotStrictEquals, assertRejects } from "@std/assert";
import { DmaFile } from "../../mod.ts";
import { assertFile, filled, joined, pattern } from "../support/bytes.ts";
import { testInEachDirectory } from "../support/dirs.ts";
import { engine } from "../support/engine.ts";
import { interpose } from "../support/interpose.ts";
import { openPattern as open } from "../support/patterned.ts";

const { BadResource } = Deno.errors;

testInEachDirectory("readAt gives any range of the file", async (dir) => {
  const size = 20_001;
  await using file = await open(dir.file("odd"), size);
  const whole = pattern(size);
  const edges = [0, 1, 511, 512, 513, 4095, 4096, 4097, 8191, 12_288, 19_999, size];
  for (const position of edges) {
    for (const length of [0, 1, 2, 511, 512, 4096, 4097, 9999]) {
      const got = await file.readAt(position, length);
      assertEquals(got, whole.slice(position, position + length), `readAt(${position}, ${length})`);
    }
  }
});

testInEachDirectory("readAt gives what is there at an end inside a block", async (dir) => {
  await using file = await open(dir.file("600"), 600);
  assertEquals(await file.readAt(100, 1000), pattern(500, 100));
  assertEquals(await file.readAt(599, 10), pattern(1, 599));
  assertEquals(await file.readAt(600, 10), new Uint8Array());
  assertEquals(await file.readAt(601, 10), new Uint8Array());
  assertEquals(await file.readAt(5000, 10), new Uint8Array());
  assertEquals(await file.readAt(0, 5_000_000), pattern(600));
  assertEquals(await file.readAt(100, 5_000_000), pattern(500, 100));
  assertEquals(await file.readAt(601, 5_000_000), new Uint8Array());
  assertEquals(await file.readAt(2 ** 52, 100), new Uint8Array());
  assertEquals(await file.readAt(0, Number.MAX_SAFE_INTEGER), pattern(600));
  const past = () => file.readAt(Number.MAX_SAFE_INTEGER, 1);
  await assertRejects(past, RangeError, "position + length");
  // 2^32 + 5 in 32 bits is 5, also in a call that was optimized.
  for (let round = 0; round < 2000; round++) {
    assertEquals((await file.readAt(2 ** 32 + 5, 10)).length, 0);
  }
});

testInEachDirectory("readAt gives bytes that belong to the caller", async (dir) => {
  await using file = await open(dir.file("own"), 5000);
  const first = await file.readAt(10, 100);
  const second = await file.readAt(10, 100);
  assertNotStrictEquals(first.buffer, second.buffer);
  first.fill(0);
  assertEquals(second, pattern(100, 10));
  assertEquals(await file.readAt(10, 100), pattern(100, 10));
  // Theirs to give away, too.
  assertEquals(structuredClone(second, { transfer: [second.buffer] }), pattern(100, 10));
});

testInEachDirectory("readAtAligned gives aligned ranges, shorter at the end", async (dir) => {
  await using file = await open(dir.file("aligned"), 10_000);
  const { offset } = file.alignment;
  assertEquals(await file.readAtAligned(0, 2 * offset), pattern(2 * offset));
  assertEquals(await file.readAtAligned(offset, 4096), pattern(4096, offset));
  assertEquals(await file.readAtAligned(8192, 4096), pattern(10_000 - 8192, 8192));
  assertEquals(await file.readAtAligned(12_288, 4096), new Uint8Array());
  assertEquals(await file.readAtAligned(0, 0), new Uint8Array());
  await assertRejects(() => file.readAtAligned(1, offset), RangeError, `multiple of ${offset}`);
  await assertRejects(() => file.readAtAligned(0, 1), RangeError, `multiple of ${offset}`);
  await assertRejects(() => file.readAtAligned(offset + 1, 0), RangeError, String(offset + 1));
});

testInEachDirectory("writeAt writes a DmaBuffer and a Uint8Array alike", async (dir) => {
  const path = dir.file("both");
  const file = await DmaFile.create(path);
  const buffer = file.allocBuffer(8192);
  buffer.bytes.set(pattern(8192));
  assertEquals(await file.writeAt(buffer, 0), 8192);
  assertEquals(await file.writeAt(pattern(4096, 8192), 8192), 4096);
  const odd = new Uint8Array(4097 + 4096);
  odd.set(pattern(4096, 12_288), 4097);
  assertEquals(await file.writeAt(odd.subarray(4097), 12_288), 4096);
  assertEquals(await file.writeAt(new Uint8Array(), 4096), 0);
  assertEquals(await file.readAt(0, 16_384), pattern(16_384));
  await file.close();
  await assertFile(path, pattern(16_384));
});

testInEachDirectory("writeAt writes more than one piece", async (dir) => {
  const path = dir.file("pieces");
  const bytes = pattern(7 * (1 << 20) + 4096);
  const file = await DmaFile.create(path);
  assertEquals(await file.writeAt(bytes, 4096), bytes.length);
  await file.close();
  await assertFile(path, joined(new Uint8Array(4096), bytes));
});

testInEachDirectory("writeAt rejects what is not aligned, and writes nothing", async (dir) => {
  const path = dir.file("checked");
  await using file = await open(path, 10_000, { write: true });
  const { offset } = file.alignment;
  const buffer = file.allocBuffer(offset);
  const multiple = `multiple of ${offset}`;
  await assertRejects(() => file.writeAt(buffer, 1), RangeError, multiple);
  await assertRejects(() => file.writeAt(buffer, offset - 1), RangeError, multiple);
  await assertRejects(() => file.writeAt(filled(offset + 1, 1), 0), RangeError, multiple);
  await assertRejects(() => file.writeAt(filled(1, 1), 0), RangeError, "data.length 1");
  const last = file.alignDown(Number.MAX_SAFE_INTEGER);
  await assertRejects(() => file.writeAt(buffer, last), RangeError, "position + length");
  const memory = new ArrayBuffer(4096) as unknown as Uint8Array;
  await assertRejects(() => file.writeAt(memory, 0), TypeError, "data");
  // None of them cost the buffer.
  assertEquals(buffer.bytes.length, offset);
  await assertFile(path, pattern(10_000));
});

testInEachDirectory("One buffer goes into two files, one after the other", async (dir) => {
  await using one = await DmaFile.create(dir.file("one"));
  await using two = await DmaFile.create(dir.file("two"));
  const buffer = one.allocBuffer(8192);
  buffer.bytes.set(pattern(8192));
  await one.writeAt(buffer, 0);
  await two.writeAt(buffer, 8192);
  assertEquals(await one.readAt(0, 9000), pattern(8192));
  assertEquals(await two.readAt(0, 20_000), joined(new Uint8Array(8192), pattern(8192)));
});

// ---- what a kernel may do to a request ------------------------------------------------------------------------

testInEachDirectory("An error of the disk names the operation and the file", async (dir) => {
  const path = dir.file("bad");
  await using file = await open(path, 50_000, { write: true });
  {
    using _ = interpose("read", ({ end }) => end(-5));
    const error = await assertRejects(() => file.readAt(0, 10), Error) as Error & { op: string };
    assertEquals(error.message, `Input/output error (os error 5): read '${path}'`);
    assertEquals(error.op, "read");
  }
  {
    using _ = interpose(
      "write",
      ({ operation, index: n, end }) => end(n === 2 ? -5 : operation.length),
    );
    // The other pieces are waited for: nothing is in flight when the error is given on.
    await assertRejects(() => file.writeAt(pattern(8 << 20), 0), Error, "Input/output error");
    assertEquals(engine.counters.inFlight, 0);
  }
  assertEquals(engine.pool.blocks, 0);
});

testInEachDirectory("Every operation rejects after close, and names the file", async (dir) => {
  const path = dir.file("closed");
  const file = await open(path, 5000, { write: true });
  const buffer = file.allocBuffer(4096);
  await file.close();
  const operations: [string, () => Promise<unknown>][] = [
    ["read", () => file.readAt(0, 10)],
    ["read", () => file.readAt(0, 0)],
    ["read", () => file.readAtAligned(0, 4096)],
    ["write", () => file.writeAt(buffer, 0)],
    ["write", () => file.writeAt(new Uint8Array(), 0)],
    ["stat", () => file.size()],
    ["stat", () => file.stat()],
    ["truncate", () => file.truncate()],
    ["allocate", () => file.preallocate(4096)],
    ["allocate", () => file.deallocate(0, 4096)],
    ["sync", () => file.sync()],
    ["sync", () => file.syncData()],
    ["rename", () => file.rename(dir.file("other"))],
    ["remove", () => file.remove()],
    ["lock", () => file.lock()],
    ["lock", () => file.tryLock(true)],
    ["unlock", () => file.unlock()],
  ];
  for (const [op, work] of operations) {
    const error = await assertRejects(work, BadResource);
    assertEquals(
      error.message,
      `Bad file descriptor (os error 9): ${op} '${path}': the file is closed`,
    );
    assertInstanceOf(error, BadResource);
  }
  assertEquals(buffer.bytes.length, 4096);
  assertEquals(file.path, path);
  await assertFile(path, pattern(5000));
});
