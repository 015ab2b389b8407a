// Positions and lengths beyond 2^32 in every call that takes one, in sparse files: none is truncated to 32 bits, and no
// byte at the truncated position changes.

import { assert, assertEquals } from "@std/assert";
import { DmaFile, DmaStreamReader, DmaStreamWriter } from "../../mod.ts";
import { filled, joined, pattern } from "../support/bytes.ts";
import { testInEachDirectory, type TestInEachDirectoryOptions } from "../support/dirs.ts";
import "../support/engine.ts";
import { allOf } from "../support/patterned.ts";

/** Only the first one exceeds a signed 32-bit number. All end in the same 32 bits. */
const LOW = 65_536;
const far = [2 ** 31, 2 ** 32, 2 ** 33, 2 ** 40, 2 ** 43].map((base) => base + LOW);
/** The bytes at the position truncated to 32 bits. */
const near = filled(LOW * 2, 7);

/** Registers a test that runs with a fresh file for each far position, whose beginning must stay as it was. */
function testFar(
  name: string,
  fn: (path: string, position: number, other: string) => Promise<void>,
  options?: TestInEachDirectoryOptions,
): void {
  testInEachDirectory(name, async (dir) => {
    for (const position of far) {
      const path = dir.file(`${position}`);
      await Deno.writeFile(path, near);
      await fn(path, position, dir.file(`other ${position}`));
      assertEquals(await got(path, 0, near.length), near, `The beginning, at ${position}`);
    }
  }, options);
}

/** Writes bytes without this module. */
async function put(path: string, position: number, bytes: Uint8Array): Promise<void> {
  using file = await Deno.open(path, { write: true });
  await file.seek(position, Deno.SeekMode.Start);
  assertEquals(await file.write(bytes), bytes.length);
}

/** Reads bytes without this module. */
async function got(path: string, position: number, length: number): Promise<Uint8Array> {
  using file = await Deno.open(path);
  await file.seek(position, Deno.SeekMode.Start);
  const bytes = new Uint8Array(length);
  const count = await file.read(bytes);
  return bytes.subarray(0, count ?? 0);
}

testFar("Reads and writes at positions reach far ones", async (path, position) => {
  await using file = await DmaFile.open(path, { write: true });
  await file.writeAt(pattern(8192), position);
  const buffer = file.allocBuffer(4096);
  buffer.bytes.set(pattern(4096, 8192));
  await file.writeAt(buffer, position + 8192);
  assertEquals(await file.size(), position + 12_288);
  assertEquals(await got(path, position, 20_000), pattern(12_288));
  assertEquals(await file.readAt(position - 3, 10), joined(new Uint8Array(3), pattern(7)));
  assertEquals(await file.readAt(position + 12_000, 5000), pattern(288, 12_000));
  assertEquals(await file.readAtAligned(position + 4096, 4096), pattern(4096, 4096));
  const ranges = [position + 5000, 5, position + 5, position + 12_280].map((position) => ({
    position,
    length: 100,
  }));
  const found = await Array.fromAsync(file.readMany(ranges));
  const expected = [pattern(100, 5000), near.subarray(0, 100), pattern(100, 5), pattern(8, 12_280)];
  assertEquals(found, ranges.map((range, index) => ({ ...range, bytes: expected[index]! })));
});

testFar("truncate and deallocate reach far lengths and positions", async (path, position) => {
  await using file = await DmaFile.open(path, { write: true });
  await file.truncate(position + 5);
  assertEquals(await file.readAt(position, 100), new Uint8Array(5));
  await put(path, position, pattern(3 * LOW));
  await file.deallocate(position + LOW, LOW);
  const expected = pattern(3 * LOW).fill(0, LOW, 2 * LOW);
  assertEquals(await file.readAt(position, 3 * LOW + 1), expected);
  await file.truncate(position + 4097);
  assertEquals(await got(path, position, 10_000), expected.subarray(0, 4097));
});

testFar("preallocate takes a far length for what it is", async (path, position) => {
  if (position > 2 ** 33) return;
  const length = position + 4096;
  for (const keepSize of [true, false]) {
    await using file = await DmaFile.open(path, { write: true });
    // Truncated to 32 bits it would fit on any disk. Large disks have enough room.
    const error = await file.preallocate(length, { keepSize }).catch((reason) => reason);
    if (error) assertEquals(error.code, "ENOSPC");
    else {
      assertEquals(await file.size(), keepSize ? near.length : length);
      assert((await file.stat()).blocks! * 512 >= length);
    }
    await file.truncate(near.length);
  }
  // Reserving takes memory there.
}, { where: ({ fileSystem }) => !/^(tmpfs|ramfs)$/.test(fileSystem) });

testFar("copyRangeTo copies from and to far positions", async (path, position, other) => {
  await put(path, position, pattern(100_001));
  await Deno.writeFile(other, near);
  await using source = await DmaFile.open(path);
  await using target = await DmaFile.open(other, { write: true });
  const to = position + 2 * LOW;
  assertEquals(await source.copyRangeTo(target, position, 200_000, to), 100_001);
  assertEquals(await got(other, to, 200_000), pattern(100_001));
  assertEquals(await source.copyRangeTo(target, position + 3, 9000, 4096), 9000);
  assertEquals(await got(other, 0, 13_096), joined(near.subarray(0, 4096), pattern(9000, 3)));
});

testFar("A writer that appends at a far position reports it", async (path, position) => {
  const start = position + 77;
  await put(path, start - 10, pattern(10));
  const file = await DmaFile.open(path, { write: true });
  const options = { bufferSize: 8192, writeBehind: 3, append: true };
  const writer = new DmaStreamWriter(file, options);
  await writer.write(pattern(20_000));
  assertEquals(writer.currentPos, start + 20_000);
  // Without alignment buffers begin at the start of the writer.
  const base = file.direct ? position : start;
  const full = Math.floor((start + 20_000 - base) / 8192) * 8192;
  assertEquals(await writer.flushAligned(), base + full);
  assertEquals(await writer.sync({ tail: true }), start + 20_000);
  await writer.write(pattern(100_000, 20_000));
  await writer.close();
  assertEquals(writer.currentFlushedPos, start + 120_000);
  assertEquals(await got(path, start - 10, 200_000), joined(pattern(10), pattern(120_000)));
});

testFar("A reader starts, ends and skips at far positions", async (path, position, other) => {
  await put(path, position, pattern(100_001));
  await using file = await DmaFile.open(path);
  const read = (options: object) =>
    new DmaStreamReader(file, { bufferSize: 8192, closeFile: false, ...options });
  assertEquals(await allOf(read({ start: position + 1 })), pattern(100_000, 1));
  const part = read({ start: position - 5, end: position + 50_000 });
  assertEquals(await allOf(part), joined(new Uint8Array(5), pattern(50_000)));
  const skipping = read({ start: 100 });
  skipping.skip(position - 100 + 4097);
  assertEquals(skipping.currentPos, position + 4097);
  assertEquals(await allOf(skipping), pattern(100_001 - 4097, 4097));
  // Whole buffers are piped from file to file without a copy.
  const target = new DmaStreamWriter(await DmaFile.create(other), { position });
  await read({ start: position }).pipeTo(target);
  assertEquals(target.currentFlushedPos, position + 100_001);
  assertEquals(await got(other, position, 200_000), pattern(100_001));
});

testInEachDirectory("Up to the largest position nothing is read", async (dir) => {
  await Deno.writeFile(dir.file("file"), near);
  await using file = await DmaFile.open(dir.file("file"));
  const { direct } = file;
  const most = Number.MAX_SAFE_INTEGER;
  for (const length of [0, 1, 4096, 100_000, 4 << 20]) {
    const range = { position: most - length, length };
    assertEquals(await file.readAt(range.position, length), new Uint8Array());
    const [read] = await Array.fromAsync(file.readMany([range]));
    assertEquals(read, { ...range, bytes: new Uint8Array() });
    const reader = new DmaStreamReader(file, { start: range.position, closeFile: false });
    assertEquals(await allOf(reader), new Uint8Array());
  }
  assertEquals([file.direct, await file.readAt(0, most)], [direct, near]);
});

testInEachDirectory("A position beyond the longest possible file is too large", async (dir) => {
  await using file = await DmaFile.create(dir.file("far"));
  const position = 2 ** 52;
  const codeOf = (work: Promise<unknown>) => work.then(() => "", (error) => error.code);
  const code = await codeOf(file.writeAt(pattern(4096), position));
  if (code === "") {
    assertEquals(await file.size(), position + 4096);
    assertEquals(await file.readAt(position + 1, 5000), pattern(4095, 1));
    return;
  }
  const other = await DmaFile.open(file.path, { write: true });
  const writer = new DmaStreamWriter(other, { position });
  await writer.write(pattern(10_000));
  const codes = [code, await codeOf(file.truncate(position)), await codeOf(writer.close())];
  assertEquals([...codes, await file.size()], ["EFBIG", "EFBIG", "EFBIG", 0]);
});
