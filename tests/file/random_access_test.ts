// DmaFile.readAt, readAtAligned, readInto and writeAt: any position, the end of the file, alignment, and errors.

import { assertEquals, assertRejects } from "@std/assert";
import { type DmaBuffer, type DmaError, DmaFile } from "../../mod.ts";
import { Errno, RWF_ATOMIC, Statx } from "../../src/engine/linux.ts";
import { assertFile, filled, joined, openPattern, overlaid, pattern } from "../support/bytes.ts";
import { isOnDisk, testDirectAndCached, testInEachDirectory } from "../support/dirs.ts";
import { alter, engine, interpose, replaceMethod } from "../support/engine.ts";

const { BadResource, NotSupported } = Deno.errors;
const nothing = new Uint8Array();
const SIZE = 20_001;

testInEachDirectory("readAt gives any range, and what of it is before the end", async (dir) => {
  await using file = await openPattern(dir.file("odd"), SIZE);
  const inside = [0, 1, 511, 512, 513, 4095, 4096, 4097, 8191, 12_288, 19_999];
  const most = Number.MAX_SAFE_INTEGER;
  for (const position of [...inside, SIZE, SIZE + 1, 65_536, 2 ** 52]) {
    for (const length of [0, 1, 2, 511, 512, 4096, 4097, 9999, 5_000_000]) {
      const there = Math.max(0, Math.min(length, SIZE - position));
      const got = await file.readAt(position, length);
      assertEquals(got, pattern(there, position), `readAt(${position}, ${length})`);
      assertEquals(await file.readAt(most - length, length), nothing);
    }
  }
  assertEquals(await file.readAt(0, most), pattern(SIZE));
  await assertRejects(() => file.readAt(most, 1), RangeError, "position + length");
  // 2^32 + 5 in 32 bits is 5, also in a call that was optimized.
  for (let round = 0; round < 2000; round++) {
    assertEquals((await file.readAt(2 ** 32 + 5, 10)).length, 0);
  }
});

testInEachDirectory("readAtAligned and readInto give aligned ranges", async (dir) => {
  await using file = await openPattern(dir.file("aligned"), SIZE);
  const { offset } = file.alignment;
  const buffer = file.allocBuffer(2 * offset);
  for (const block of [0, 1, 4, 0, 99, 2 ** 30]) {
    const position = block * offset;
    const expected = pattern(Math.max(0, Math.min(2 * offset, SIZE - position)), position);
    assertEquals(await file.readAtAligned(position, 2 * offset), expected);
    // The buffer is hidden meanwhile.
    const before = buffer.bytes;
    const reading = file.readInto(buffer, position);
    assertEquals([before.length, buffer.bytes.length], [0, 0]);
    await assertRejects(() => file.readInto(buffer, 0), TypeError, "in use");
    assertEquals(await reading, expected.length);
    assertEquals(buffer.bytes.subarray(0, expected.length), expected);
  }
  assertEquals(await file.readAtAligned(0, 0), nothing);
});

testInEachDirectory("writeAt writes a DmaBuffer and a Uint8Array alike", async (dir) => {
  await using one = await DmaFile.create(dir.file("one"));
  const buffer = one.allocBuffer(8192);
  buffer.bytes.set(pattern(8192));
  assertEquals(await one.writeAt(buffer, 0), 8192);
  assertEquals(await one.writeAt(nothing, 4096), 0);
  // Memory that is not aligned, in more than one piece.
  const odd = joined(new Uint8Array(4097), pattern(7 * (1 << 20) + 4096, 8192));
  assertEquals(await one.writeAt(odd.subarray(4097), 8192), odd.length - 4097);
  await assertFile(one.path, pattern(odd.length + 4095));
  // The same buffer again, into another file.
  await using two = await DmaFile.create(dir.file("two"));
  await two.writeAt(buffer, 8192);
  assertEquals(await two.readAt(0, 20_000), joined(new Uint8Array(8192), pattern(8192)));
});

testInEachDirectory("What is not aligned is rejected, and changes nothing", async (dir) => {
  await using file = await openPattern(dir.file("checked"), 10_000, { write: true });
  await using writeOnly = await DmaFile.open(file.path, { read: false, write: true });
  const { offset } = file.alignment;
  const buffer = file.allocBuffer(offset);
  const last = file.alignDown(Number.MAX_SAFE_INTEGER);
  const multiple = `multiple of ${offset}`;
  const memory = new ArrayBuffer(4096) as unknown as Uint8Array;
  const bytes = new Uint8Array(4096) as unknown as DmaBuffer;
  const cases: [() => Promise<unknown>, new (message: string) => Error, string][] = [
    [() => file.readAtAligned(1, offset), RangeError, multiple],
    [() => file.readAtAligned(0, 1), RangeError, multiple],
    [() => file.readAtAligned(offset + 1, 0), RangeError, multiple],
    [() => file.readInto(buffer, 1), RangeError, multiple],
    [() => file.readInto(buffer, -4096), RangeError, "position"],
    [() => file.readInto(bytes, 0), TypeError, "buffer must be a DmaBuffer"],
    [() => writeOnly.readInto(buffer, 0), BadResource, "opened with read: false"],
    [() => file.writeAt(buffer, offset - 1), RangeError, multiple],
    [() => file.writeAt(filled(offset + 1, 1), 0), RangeError, multiple],
    [() => file.writeAt(filled(1, 1), 0), RangeError, "data.length 1"],
    [() => file.writeAt(buffer, last), RangeError, "position + length"],
    [() => file.writeAt(memory, 0), TypeError, "data must be a DmaBuffer or a Uint8Array"],
  ];
  for (const [call, type, message] of cases) await assertRejects(call, type, message);
  // None of them has consumed the buffer.
  assertEquals(buffer.bytes.length, offset);
  await assertFile(file.path, pattern(10_000));
});

/** A file system that reports atomic writes of 512 bytes to 64 KiB, and blocks of that size. */
const withAtomicWrites = (blockSize: number) =>
  alter("stat", ({ memory: { bytes } }) => {
    const facts = new DataView(bytes.buffer, bytes.byteOffset);
    const mask = facts.getUint32(0, true) | Statx.WRITE_ATOMIC | Statx.DIOALIGN;
    const fields = [[0, mask], [4, blockSize], [152, 4096], [156, 512], [168, 512], [172, 65_536]];
    for (const [at, value] of fields) facts.setUint32(at!, value!, true);
  });

testInEachDirectory("An atomic write is there, or is refused by name", async (dir) => {
  await using plain = await DmaFile.create(dir.file("file"), { direct: "off" });
  const refused = () => plain.writeAt(filled(4096, 7), 0, { atomic: true });
  await assertRejects(refused, NotSupported, "no atomic writes");
  assertEquals(await plain.size(), 0);
  await using found = await DmaFile.open(plain.path, { write: true });
  if (!found.direct) return;
  // Few disks have them. On others they are reported, and the kernel gets plain writes.
  const lacks = found.atomicWrite.max === 0;
  using _isUnknown = lacks ? replaceMethod("deviceOf", () => undefined) : undefined;
  using _facts = lacks ? withAtomicWrites(4096) : undefined;
  const lengths: number[] = [];
  using _writes = interpose("write", ({ operation: { flags, length }, pass }) => {
    if (flags & RWF_ATOMIC) lengths.push(length);
    pass(lacks ? { flags: flags & ~RWF_ATOMIC } : {});
  });
  await using file = await DmaFile.create(dir.file("file"));
  const { min, max } = file.atomicWrite;
  const length = Math.min(max, 65_536);
  await file.writeAt(pattern(4 * length), 0);
  const write = (data: Uint8Array | DmaBuffer, position: number) => () =>
    file.writeAt(data, position, { atomic: true });
  // Other lengths or positions are rejected.
  const shape = `a power of two from ${min} to ${max}`;
  for (const wrong of [2 * max, 3 * min, 0]) {
    await assertRejects(write(new Uint8Array(wrong), 0), RangeError, shape);
  }
  const unaligned = write(new Uint8Array(2 * min), min);
  if (max > min) await assertRejects(unaligned, RangeError, `a multiple of ${2 * min}`);
  // Now the memory is registered with the ring, and the kernel refuses atomic writes from registered memory.
  for (let round = 0; round < 520; round++) await file.writeAt(pattern(length), 0);
  assertEquals(await write(filled(length, 7), length)(), length);
  const buffer = file.allocBuffer(length);
  buffer.bytes.fill(8);
  assertEquals(await write(buffer, 3 * length)(), length);
  // Each was one write.
  assertEquals(lengths, [length, length]);
  const expected = overlaid(pattern(4 * length), filled(length, 7), length);
  assertEquals(await file.readAt(0, 5 * length), overlaid(expected, filled(length, 8), 3 * length));
  assertEquals(buffer.bytes[0], 8);
});

testInEachDirectory("An atomic write has a block at least, and a page", async (dir) => {
  using _isUnknown = replaceMethod("deviceOf", () => undefined);
  // As on xfs: with su=16k,sw=3 and the mount option largeio it reports the width of the stripe.
  for (const [blockSize, unit] of [[1024, 4096], [49_152, 16_384]] as const) {
    using _facts = withAtomicWrites(blockSize);
    await using file = await DmaFile.create(dir.file("file"));
    const expected = file.direct ? { min: unit, max: 65_536 } : { min: 0, max: 0 };
    assertEquals([file.atomicWrite, file.alignment.offset], [expected, file.direct ? unit : 4096]);
  }
});

testDirectAndCached("A write in pieces that fails has ended when it rejects", async (dir) => {
  await using file = await DmaFile.create(dir.file("file"));
  using _ = interpose("write", ({ operation: { length }, index, end }) => {
    end(index === 2 ? -Errno.EIO : length);
  });
  const message = `Input/output error (os error 5): write '${file.path}'`;
  await assertRejects(() => file.writeAt(pattern(8 << 20), 0), Error, message);
  assertEquals([engine.counters.inFlight, engine.pool.blocks], [0, 0]);
});

testDirectAndCached("A temporary error is tried again, and at last reported", async (dir) => {
  await using file = await openPattern(dir.file("file"), SIZE, { write: true });
  const works = { read: () => file.readAt(0, 8192), write: () => file.writeAt(pattern(8192), 0) };
  for (const errno of [Errno.EINTR, Errno.EAGAIN, Errno.ENOMEM, Errno.ECANCELED]) {
    for (const kind of ["read", "write"] as const) {
      /** Moves a block at these attempts. */
      const moveAt = (isTurn: (index: number) => boolean) =>
        interpose(kind, ({ index, pass, end }) => {
          if (isTurn(index)) pass({ length: 4096 });
          else end(-errno);
        });
      {
        // Progress gives it all attempts again.
        using _ = moveAt((index) => index % 6 === 5);
        await works[kind]();
      }
      using failing = moveAt((index) => index === 0);
      const error = await assertRejects(works[kind], Error, `the ${kind} stops at 4096`);
      assertEquals([(error as DmaError).errno, failing.count], [errno, 9]);
    }
  }
  await assertFile(file.path, pattern(SIZE));
});

testInEachDirectory("Direct I/O that a transfer refuses is given up if it may be", async (dir) => {
  for (const direct of ["prefer", "require"] as const) {
    await using file = await DmaFile.create(dir.file("file"), { direct });
    // Both are in flight when the first one is refused.
    using refused = interpose("write", ({ index, pass, end }) => {
      if (index < 2) end(-Errno.EINVAL);
      else pass();
    });
    const works = [0, 4096].map((at) => file.writeAt(pattern(4096, at), at));
    if (direct === "require") {
      const says = "Direct I/O is required, and refused";
      for (const work of works) await assertRejects(() => work, Error, says);
      assertEquals([file.direct, refused.count], [true, 2]);
    } else {
      await Promise.all(works);
      assertEquals([file.direct, refused.count], [false, 4]);
      await assertFile(file.path, pattern(8192));
    }
  }
}, { where: isOnDisk });

testDirectAndCached("A read of a file that is cut meanwhile returns what remains", async (dir) => {
  await using file = await openPattern(dir.file("file"), SIZE);
  using _ = alter("read", () => {
    Deno.truncateSync(file.path, 700);
    return 3000;
  });
  assertEquals(await file.readAt(0, 8192), pattern(700));
});

testDirectAndCached("Every operation rejects after close, and names the file", async (dir) => {
  const file = await openPattern(dir.file("closed"), 5000, { write: true });
  const buffer = file.allocBuffer(4096);
  await file.close();
  const { path } = file;
  const calls: Record<string, (() => Promise<unknown>)[]> = {
    read: [
      () => file.readAt(0, 0),
      () => file.readAtAligned(0, 4096),
      () => file.readInto(buffer, 0),
      () => Array.fromAsync(file.readMany([{ position: 0, length: 1 }])),
    ],
    write: [() => file.writeAt(buffer, 0)],
    stat: [() => file.size(), () => file.stat()],
    truncate: [() => file.truncate()],
    allocate: [() => file.preallocate(4096), () => file.deallocate(0, 4096)],
    sync: [() => file.sync(), () => file.syncData()],
    rename: [() => file.rename(dir.file("other"))],
    remove: [() => file.remove()],
    lock: [() => file.lock(), () => file.tryLock(true)],
    unlock: [() => file.unlock()],
  };
  for (const [op, each] of Object.entries(calls)) {
    const message = `Bad file descriptor (os error 9): ${op} '${path}': the file is closed`;
    for (const call of each) await assertRejects(call, BadResource, message);
  }
  assertEquals(buffer.bytes.length, 4096);
  await assertFile(dir.file("closed"), pattern(5000));
});
