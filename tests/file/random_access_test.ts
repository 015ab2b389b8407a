// DmaFile.readAt, readAtAligned and writeAt: any position, the end of the file, alignment, and what a kernel may
// do to a request.

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertNotStrictEquals,
  assertRejects,
} from "@std/assert";
import { type DmaBuffer, DmaFile, ioStats } from "../../mod.ts";
import { assertFile, filled, joined, pattern } from "../support/bytes.ts";
import { testInEachDirectory } from "../support/dirs.ts";
import { engine } from "../support/engine.ts";
import { interpose } from "../support/interpose.ts";

const { BadResource } = Deno.errors;

/** A file with the pattern in it, made without this module. */
async function open(path: string, length: number, options = {}): Promise<DmaFile> {
  await Deno.writeFile(path, pattern(length));
  return await DmaFile.open(path, options);
}

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
});

testInEachDirectory("Reads and writes are counted, once each", async (dir) => {
  await using file = await DmaFile.create(dir.file("counted"));
  const before = ioStats();
  await file.writeAt(pattern(4096), 0);
  await file.readAt(0, 4096);
  await assertRejects(() => file.writeAt(pattern(1), 0), RangeError);
  const after = ioStats();
  assertEquals(after.writes - before.writes, 1);
  assertEquals(after.bytesWritten - before.bytesWritten, 4096);
  assertEquals(after.reads - before.reads, 1);
  assertEquals(after.bytesRead - before.bytesRead, 4096);
  assertEquals(after.failed, before.failed);
  assertEquals(after.inFlight, 0);
  assertEquals(after.poolBuffers, 0);
});

testInEachDirectory("readAt of an empty file gives nothing", async (dir) => {
  await using file = await open(dir.file("empty"), 0);
  assertEquals(await file.readAt(0, 4096), new Uint8Array());
  assertEquals(await file.readAt(1, 1), new Uint8Array());
  assertEquals(await file.readAtAligned(0, 4096), new Uint8Array());
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

testInEachDirectory("Many reads at once each get their own range", async (dir) => {
  await using file = await open(dir.file("many"), 300_000);
  const reads = Array.from({ length: 600 }, (_, index) => {
    const position = (index * 7919) % 300_000;
    return file.readAt(position, 7).then((bytes) => {
      assertEquals(bytes, pattern(Math.min(7, 300_000 - position), position));
    });
  });
  await Promise.all(reads);
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

testInEachDirectory("Reads reject positions and lengths that are none", async (dir) => {
  await using file = await open(dir.file("checked"), 5000);
  for (const read of [file.readAt, file.readAtAligned].map((read) => read.bind(file))) {
    for (const bad of [-1, 0.5, NaN, Infinity, -Infinity, 2 ** 53]) {
      await assertRejects(() => read(bad, 512), RangeError, "position");
      await assertRejects(() => read(0, bad), RangeError, "length");
    }
    await assertRejects(() => read(Number.MAX_SAFE_INTEGER, 1), RangeError, "position + length");
    for (const bad of ["0", null, undefined, 0n, {}]) {
      await assertRejects(() => read(bad as number, 512), TypeError, "position");
      await assertRejects(() => read(0, bad as number), TypeError, "length");
    }
  }
  // 2^32 + 5 in 32 bits is 5, also in a call that was optimized.
  for (let round = 0; round < 2000; round++) {
    assertEquals((await file.readAt(2 ** 32 + 5, 10)).length, 0);
  }
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

testInEachDirectory("writeAt that was begun before close is whole", async (dir) => {
  const path = dir.file("begun");
  const bytes = pattern(9 << 20);
  const file = await DmaFile.create(path);
  const written = file.writeAt(bytes, 0);
  await file.close();
  assertEquals(await written, bytes.length);
  await assertFile(path, bytes);
});

testInEachDirectory("readAt that was begun before close is whole", async (dir) => {
  const file = await open(dir.file("begun"), 3_000_001);
  const read = file.readAt(1, 4_000_000);
  await file.close();
  assertEquals(await read, pattern(3_000_000, 1));
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
  for (const bad of [-1, -offset, 0.5, NaN, Infinity, 2 ** 53]) {
    await assertRejects(() => file.writeAt(buffer, bad), RangeError, "position");
  }
  const last = file.alignDown(Number.MAX_SAFE_INTEGER);
  await assertRejects(() => file.writeAt(buffer, last), RangeError, "position + length");
  for (const bad of ["text", null, undefined, 5, {}, [1], new ArrayBuffer(4096)]) {
    await assertRejects(() => file.writeAt(bad as Uint8Array, 0), TypeError, "data");
  }
  await assertRejects(() => file.writeAt(buffer, "0" as unknown as number), TypeError, "position");
  const gone = filled(offset, 1);
  structuredClone(gone, { transfer: [gone.buffer] });
  await assertRejects(() => file.writeAt(gone, 0), TypeError, "detached");
  // None of them cost the buffer.
  assertEquals(buffer.bytes.length, offset);
  await assertFile(path, pattern(10_000));
});

testInEachDirectory("A DmaBuffer is empty while the kernel has it", async (dir) => {
  await using file = await DmaFile.create(dir.file("taken"));
  const buffer: DmaBuffer = file.allocBuffer(4096);
  const before = buffer.bytes;
  before.set(pattern(4096));
  const written = file.writeAt(buffer, 0);
  assertEquals(before.length, 0);
  assertEquals(buffer.bytes.length, 0);
  assertEquals(buffer.length, 4096);
  assert(Deno.inspect(buffer).includes("in use"));
  await assertRejects(() => file.writeAt(buffer, 4096), TypeError, "in use");
  await written;
  assertEquals(buffer.bytes, pattern(4096));
  assertEquals(before.length, 0);
  // It can be used again, at once.
  buffer.bytes.fill(7);
  await file.writeAt(buffer, 0);
  assertEquals(await file.readAt(0, 4096), filled(4096, 7));
});

testInEachDirectory("A DmaBuffer comes back after a write that failed", async (dir) => {
  await using file = await DmaFile.create(dir.file("failed"));
  const buffer = file.allocBuffer(4096);
  buffer.bytes.set(pattern(4096));
  using _ = interpose("write", ({ end }) => end(-28));
  const error = await assertRejects(
    () => file.writeAt(buffer, 0),
    Error,
    "No space left on device",
  );
  assertEquals((error as Error & { code: string }).code, "ENOSPC");
  assertEquals(buffer.bytes, pattern(4096));
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

testInEachDirectory("Bytes behind the end of a write stay", async (dir) => {
  const path = dir.file("middle");
  const file = await open(path, 20_001, { write: true });
  await file.writeAt(filled(4096, 9), 4096);
  await file.close();
  const expected = pattern(20_001);
  expected.fill(9, 4096, 8192);
  await assertFile(path, expected);
});

testInEachDirectory("Writes past the end leave holes that read as zeros", async (dir) => {
  const path = dir.file("sparse");
  await using file = await DmaFile.create(path);
  await file.writeAt(pattern(4096), 1 << 20);
  assertEquals(await file.size(), (1 << 20) + 4096);
  assertEquals(await file.readAt(0, 1 << 20), new Uint8Array(1 << 20));
  assertEquals(await file.readAt((1 << 20) - 1, 2), joined(new Uint8Array(1), pattern(1)));
  // Sparse: a hole takes no space.
  assert((await file.stat()).blocks! * 512 < 1 << 19);
});

testInEachDirectory("A file as long as a number can say works, or is too large", async (dir) => {
  await using file = await DmaFile.create(dir.file("longest"));
  const end = file.alignDown(Number.MAX_SAFE_INTEGER);
  try {
    await file.writeAt(pattern(4096), end - 4096);
    assertEquals(await file.size(), end);
    assertEquals(await file.readAt(end - 4090, 100), pattern(100, 6));
    assertEquals(await file.readAt(end - 4096, 4096), pattern(4096));
  } catch (error) {
    assertEquals((error as { code?: string }).code, "EFBIG");
  }
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
