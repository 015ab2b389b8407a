// DmaFile.copyRangeTo: any range to any position, in the kernel if possible.

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { type DmaError, DmaFile, DmaStreamWriter } from "../../mod.ts";
import { descriptorNumber } from "../../src/dma_file.ts";
import { Errno } from "../../src/engine/linux.ts";
import { cachedBytes, eventually, pause, runOrThrow } from "../setup/command.ts";
import { assertFile, filled, joined, overlaid, pattern } from "../support/bytes.ts";
import { openPattern, openWith } from "../support/bytes.ts";
import { isOnDisk, type TestDirectory, testInEachDirectory, testPairs } from "../support/dirs.ts";
import { fail, hold, interpose } from "../support/engine.ts";

const { BadResource, NotFound } = Deno.errors;
const SIZE = 50_001;

type Place = readonly [position: number, length: number, at: number];

function testCopy(name: string, fn: (from: DmaFile, dir: TestDirectory) => Promise<void>): void {
  testInEachDirectory(`copyRangeTo() ${name}`, async (dir) => {
    await using from = await openPattern(dir.file("from"), SIZE);
    await fn(from, dir);
  });
}

/** A kernel that cannot copy: the bytes are read and written. */
const byHand = (errno: number = Errno.EXDEV) => fail("copyRange", errno);

/** Kernels: the most bytes that each copies at once, the first position that it refuses, and its error. */
const kernels: [name: string, most: number, refusedFrom: number, errno: number][] = [
  ["copies all", Infinity, Infinity, 0],
  ["may not copy", Infinity, 0, Errno.EPERM],
  ["copies parts of blocks", 5000, Infinity, 0],
  ["stops half-way", 8192, 16_384, Errno.EINVAL],
];

for (const [name, most, refusedFrom, errno] of kernels) {
  testInEachDirectory(`copyRangeTo() copies a whole file if the kernel ${name}`, async (dir) => {
    using _ = interpose("copyRange", ({ operation: { position, length }, pass, end }) => {
      if (position >= refusedFrom) end(-errno);
      else pass({ length: Math.min(most, length) });
    });
    // By hand the last one takes several pieces.
    for (const size of [0, SIZE, 5_000_001]) {
      await using from = await openPattern(dir.file("from"), size);
      await using to = await DmaFile.create(dir.file("to"));
      assertEquals(await from.copyRangeTo(to, 0, size, 0), size);
      await assertFile(to.path, pattern(size));
    }
  });
}

testCopy("copies any range to any place, and touches nothing else", async (from, dir) => {
  const before = filled(20_001, 7);
  for (const position of [0, 1, 4096, 33_333, SIZE, 2 ** 40]) {
    for (const length of [0, 1, 511, 4096, 8191, 100_000]) {
      for (const at of [0, 7, 4096, 19_999, 20_001, 40_960]) {
        await using to = await openWith(dir.file("to"), before);
        const there = Math.max(0, Math.min(length, SIZE - position));
        const what = `${length} bytes from ${position} to ${at}`;
        assertEquals(await from.copyRangeTo(to, position, length, at), there, what);
        await assertFile(to.path, overlaid(before, pattern(there, position), at), what);
      }
    }
  }
  // Space that the target has reserved stays, whatever its length.
  for (const [position, at] of [[0, 0], [1, 3]] as const) {
    await using to = await DmaFile.create(dir.file("to"));
    for (const size of [1 << 20, 12_288, 8192, 6000]) {
      await to.truncate();
      await to.preallocate(size);
      await from.copyRangeTo(to, position, 5000, at);
      assertEquals(await to.size(), size);
    }
  }
});

testCopy("ends with its last byte for a writer that opens meanwhile", async (from, dir) => {
  using _ = byHand();
  for (const blocks of [false, true]) {
    await using to = await openWith(dir.file("to"), pattern(8192));
    using writes = hold("write");
    const copying = from.copyRangeTo(to, 8193, 100, 8192);
    await writes.reach();
    const options = blocks ? {} : { append: true };
    const writer = new DmaStreamWriter(to, { ...options, closeFile: false });
    writes.letGo();
    const writing = writer.write(pattern(10));
    if (blocks) writer.flushSync();
    await Promise.all([copying, writing, writer.close()]);
    const appended = blocks ? [] : [pattern(10)];
    await assertFile(to.path, joined(pattern(8192), pattern(100, 8193), ...appended));
  }
});

testCopy("does not lengthen a file that another program cuts", async (from, dir) => {
  await using to = await DmaFile.create(dir.file("to"));
  // It cuts off a write that has not ended.
  using later = hold("write", { only: ({ position }) => position > 0, results: true });
  const writing = to.writeAt(pattern(4096), 8192);
  await later.reach();
  await Deno.truncate(to.path);
  const copying = from.copyRangeTo(to, 0, 100, 0);
  await eventually(() => Deno.statSync(to.path).size > 0);
  later.letGo();
  await Promise.all([writing, copying]);
  assert(await to.size() <= to.alignUp(100));
  // It cuts off the block that the copy is about to read. Without Direct I/O there are no blocks.
  if (!to.direct) return;
  await to.writeAt(pattern(8192), 0);
  using reads = hold("read", { only: ({ fd }) => fd === descriptorNumber(to) });
  const again = from.copyRangeTo(to, 0, 100, 4096);
  await reads.reach();
  await Deno.truncate(to.path);
  reads.letGo();
  await again;
  assertEquals(await to.size(), 4196);
});

testInEachDirectory("copyRangeTo() copies within a file what does not overlap", async (dir) => {
  const cases: Place[] = [[0, 8192, 8192], [40_960, 4096, 0], [3, 5000, 9999], [200, 50, 7]];
  for (const [position, length, at] of cases) {
    await using file = await openWith(dir.file("same"), pattern(SIZE));
    assertEquals(await file.copyRangeTo(file, position, length, at), length);
    await assertFile(file.path, overlaid(pattern(SIZE), pattern(length, position), at));
  }
  await using file = await openWith(dir.file("same"), pattern(SIZE));
  await using other = await DmaFile.open(file.path, { write: true });
  const refused: Place[] = [[0, 8192, 4096], [4096, 8192, 0], [5, 10, 5], [0, 9, 8]];
  for (const [position, length, at] of refused) {
    for (const to of [file, other]) {
      const copying = () => file.copyRangeTo(to, position, length, at);
      await assertRejects(copying, RangeError, "of the same file: the ranges overlap");
    }
  }
  // Ranges behind the end of the file do not overlap.
  assertEquals(await file.copyRangeTo(other, SIZE - 1, 100_000, SIZE), 1);
  await assertFile(file.path, joined(pattern(SIZE), pattern(1, SIZE - 1)));
});

testInEachDirectory("copyRangeTo() copies by reference if the file system can", async (dir) => {
  await using source = await openPattern(dir.file("from"), 8 << 20);
  await source.sync();
  await using to = await DmaFile.create(dir.file("to"));
  await source.copyRangeTo(to, 0, 8 << 20, 0);
  await assertFile(to.path, pattern(8 << 20));
  assertMatch(await runOrThrow("filefrag", ["-v", to.path]), /shared/);
}, { where: ({ fileSystem }) => /^(xfs|btrfs)$/.test(fileSystem), needs: ["filefrag"] });

// xfs writes parts of shared blocks through the page cache, where they collide with direct writes.
testInEachDirectory("A file that shares blocks bypasses the page cache", async (dir) => {
  await using file = await DmaFile.create(dir.file("shared"));
  const first = new DmaStreamWriter(file, { closeFile: false });
  await first.write(pattern(SIZE));
  await first.close();
  await using copy = await DmaFile.create(dir.file("copy"));
  assertEquals(await file.copyRangeTo(copy, 0, 49_152, 0), 49_152);
  // The kernel could copy sectors.
  await file.copyRangeTo(copy, 512, 1024, 8704);
  assertEquals(await cachedBytes(copy.path) ?? 0, 0);
  await assertFile(copy.path, overlaid(pattern(49_152), pattern(1024, 512), 8704));
  const writer = new DmaStreamWriter(file, { append: true, closeFile: false });
  for (let chunk = 0; chunk < 10; chunk++) {
    writer.write(pattern(700, SIZE + chunk * 700));
    await writer.flushAligned({ tail: true });
    // fincore(1) may be missing.
    assertEquals(await cachedBytes(file.path) ?? 0, 0);
  }
  await writer.close();
  await assertFile(file.path, pattern(SIZE + 7000));
}, { where: isOnDisk });

testPairs("copyRangeTo() copies", async (from, to) => {
  await using source = await openPattern(from.file("from"), SIZE);
  for (const [position, length, at] of [[0, SIZE, 0], [512, 512, 512], [3, 9999, 5]] as const) {
    await using file = await openWith(to.file("to"), filled(6000, 7));
    assertEquals(await source.copyRangeTo(file, position, length, at), length);
    await assertFile(file.path, overlaid(filled(6000, 7), pattern(length, position), at));
  }
});

testCopy("refuses what cannot be, without an effect", async (from, dir) => {
  await using to = await DmaFile.create(dir.file("to"));
  await using readOnly = await DmaFile.open(to.path);
  await using writeOnly = await DmaFile.open(from.path, { read: false, write: true });
  const far = () => from.copyRangeTo(to, 0, 2 ** 52, 2 ** 53 - 1);
  await assertRejects(far, RangeError, "targetPosition + length");
  const copy = (from: DmaFile, to: DmaFile) => () => from.copyRangeTo(to, 0, 1, 0);
  await assertRejects(copy(from, readOnly), BadResource, "opened without write");
  await assertRejects(copy(writeOnly, to), BadResource, "opened with read: false");
  await readOnly.close();
  for (const [source, target] of [[readOnly, to], [from, readOnly]] as const) {
    await assertRejects(copy(source, target), BadResource, "the file is closed");
  }
  await assertFile(to.path, new Uint8Array());
});

testCopy("rejects with the kernel's error, and discards an atomic target", async (from, dir) => {
  const to = await DmaFile.create(dir.file("to"), { atomic: true });
  using _ = byHand(Errno.ENOSPC);
  // The error of a copy within one file names it twice, as that of Deno.rename does.
  await using same = await openWith(dir.file("same"), pattern(SIZE));
  for (const [source, target] of [[from, to], [same, same]] as const) {
    const copying = source.copyRangeTo(target, 0, 4096, 65_536);
    const { code, message, op, path } = await assertRejects(() => copying) as DmaError;
    assertEquals([code, op, path], ["ENOSPC", "copy", source.path]);
    const says = `No space left on device (os error 28): copy '${path}' -> '${target.path}'`;
    assertEquals(message, says);
  }
  await assertRejects(() => to.writable.close(), Error, "No space left");
  await assertRejects(() => Deno.stat(dir.file("to")), NotFound);
});

testCopy("of parts of one block at once keeps them all", async (from, dir) => {
  await using to = await DmaFile.create(dir.file("to"));
  await to.writeAt(filled(4096, 7), 0);
  // Each copy writes the whole block. The kernel would copy whole sectors beside them.
  using writes = hold("write");
  const byHand = from.copyRangeTo(to, 2003, 3, 2003);
  if (to.direct) await writes.reach();
  const sectors = from.copyRangeTo(to, 512, 512, 512);
  await pause(20);
  writes.letGo();
  assertEquals(await Promise.all([byHand, sectors]), [3, 512]);
  const both = overlaid(overlaid(filled(4096, 7), pattern(512, 512), 512), pattern(3, 2003), 2003);
  await assertFile(to.path, both);
});

testCopy("by hand cuts off nothing that another program appends", async (from, dir) => {
  await using to = await DmaFile.create(dir.file("to"));
  using _ = byHand();
  // The padding is cut off when no write is in flight.
  using writes = hold("write", { only: ({ position }) => position === 0 });
  const writing = to.writeAt(pattern(4096), 0);
  const copying = from.copyRangeTo(to, 0, 5000, 8192);
  const size = to.direct ? 16_384 : 13_192;
  await eventually(async () => await to.size() === size);
  await Deno.writeFile(to.path, filled(300, 7), { append: true });
  writes.letGo();
  assertEquals(await Promise.all([writing, copying]), [4096, 5000]);
  const copied = overlaid(new Uint8Array(size), pattern(5000), 8192);
  await assertFile(to.path, joined(overlaid(copied, pattern(4096), 0), filled(300, 7)));
});

testCopy("keeps what others append behind it, and the end where others cut", async (from, dir) => {
  await using to = await DmaFile.create(dir.file("to"));
  {
    // The copy cannot read the rest of its block in the target.
    using _ = fail("read", Errno.EIO, ({ position }) => position === 1 << 20);
    const copying = () => from.copyRangeTo(to, 0, 100, (1 << 20) + 5);
    if (to.direct) await assertRejects(copying, Error, "(os error 5): read");
  }
  await Deno.writeFile(to.path, pattern(300), { append: true });
  await new DmaStreamWriter(to, { closeFile: false }).close();
  await assertFile(to.path, pattern(300));
  await to.writeAt(pattern(20_480), 0);
  for (const length of [4000, 0]) {
    await Deno.truncate(to.path, length);
    await from.copyRangeTo(to, 5000, 975, 5000);
    await assertFile(to.path, overlaid(pattern(length), pattern(975, 5000), 5000));
  }
});

testInEachDirectory("copyRangeTo() ends early if its files are closed", async (dir) => {
  await using from = await openPattern(dir.file("from"), 10_000_001);
  // An atomic target is not published.
  const atomic = await DmaFile.create(dir.file("long"), { atomic: true });
  using _ = byHand();
  using writes = hold("write");
  const copying = [0, 1].map((at) => from.copyRangeTo(atomic, at, 10_000_000, at));
  const refused = Promise.all(copying.map((copy) => assertRejects(() => copy, BadResource)));
  await writes.reach();
  const closed = assertRejects(() => atomic.close(), BadResource, "the file is closed");
  writes.letGo();
  await Promise.all([refused, closed]);
  await assertRejects(() => Deno.stat(dir.file("long")), NotFound);
});
