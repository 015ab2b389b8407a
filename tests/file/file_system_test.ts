// What is known of a file system, and a disk that becomes full while a file is cut.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { DmaFile, DmaStreamWriter } from "../../mod.ts";
import { Errno } from "../../src/engine/linux.ts";
import { descriptorNumber } from "../../src/dma_file.ts";
import { fileSystemOf } from "../../src/file/file_system.ts";
import { knownFacts } from "../../src/file/stat.ts";
import { assertFile, joined, namesIn, openPattern, pattern } from "../support/bytes.ts";
import { testInOneDirectory } from "../support/dirs.ts";
import { alter, engine, fail, hold, interpose, replaceMethod } from "../support/engine.ts";

testInOneDirectory("An unknown file system is trusted with nothing; 9p is known", async (dir) => {
  await using file = await openPattern(dir.file("file"), 10);
  const handle = { engine, fd: descriptorNumber(file), path: file.path };
  // Neither the device nor the type is known.
  const device = { deviceMajor: 0, deviceMinor: 77, uniqueMountId: undefined };
  const facts = { ...knownFacts(handle)!, ...device };
  const find = (hasBirthTime: boolean) => fileSystemOf(handle, { ...facts, hasBirthTime });
  using _type = alter("statfs", ({ memory }) => void memory.bytes.fill(0, 0, 8));
  const { closeWaits, statWaits, isLocal, cutsDirty, reserves } = await find(true);
  const expected = [true, true, false, false, "never"];
  assertEquals([closeWaits, statWaits, isLocal, cutsDirty, reserves], expected);
  {
    // Without blocks it is a view of the kernel, but an overlay is not: its tmpfs may have no limit.
    let type: number[] = [];
    using _ = alter("statfs", ({ memory: { bytes } }) => bytes.fill(0, 0, 24).set(type));
    await assertRejects(() => find(true), Deno.errors.NotSupported, "a kernel file");
    type = [0x30, 0x76, 0x4c, 0x79];
    assertEquals((await find(true)).name, "overlay");
  }
  // 9p is known by the list of mounts, whatever its disk is.
  using _mounts = interpose("read", ({ operation: { memory, position }, end }) => {
    const mounts = position === 0 ? "31 1 0:77 / /mnt rw - 9p tag rw,trans=virtio\n" : "";
    end(new TextEncoder().encodeInto(mounts, memory.bytes).written);
  });
  assertEquals((await find(false)).name, "9p");
  using _lack = fail("open", 24);
  await assertRejects(() => find(false), Error, "Too many open files");
});

testInOneDirectory("No server is asked for a length in vain or by a blocking call", async (dir) => {
  // The file system is taken for 9p, which sends each statx(2) to its server.
  const pretend = ({ memory: { bytes } }: { memory: { bytes: Uint8Array } }) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    view.setUint32(136, 0, true);
    view.setBigUint64(144, 2n ** 60n, true);
  };
  using stat = alter("stat", pretend);
  using _statfs = alter("statfs", ({ memory: { bytes } }) => void bytes.set([0x97, 0x19, 2, 1]));
  const runNow = engine.runNow.bind(engine);
  const asked = new Set<number>();
  using _now = replaceMethod("runNow", (operation) => {
    const result = runNow(operation);
    if (operation.op === "stat") {
      asked.add(operation.fd);
      pretend(operation);
    }
    return result;
  });
  const file = await openPattern(dir.file("file"), 5000, { write: true });
  const descriptor = descriptorNumber(file);
  asked.delete(descriptor);
  const before = stat.count;
  await file.truncate(5000);
  assertEquals(stat.count, before);
  {
    using _ = fail("allocate", Errno.EOPNOTSUPP);
    await assertRejects(() => file.preallocate(70_000), Deno.errors.NotSupported);
  }
  {
    using _ = interpose("write", ({ end }) => {
      // The failed write has extended the file.
      Deno.truncateSync(file.path, 9000);
      end(-Errno.ENOSPC);
    });
    const writer = new DmaStreamWriter(file, { append: true });
    const writing = writer.write(pattern(4000)).then(() => writer.close());
    await assertRejects(() => writing, Error, "No space left");
  }
  assertEquals(asked.has(descriptor), false);
  await assertFile(file.path, pattern(5000));
  // A server may lose the name that a file without one gets, as JuiceFS does.
  await using _atomic = await DmaFile.create(dir.file("atomic"), { atomic: true });
  assert((await namesIn(dir.path)).some((name) => name.startsWith(".")));
});

testInOneDirectory("A failed reservation is cut to the length when it began", async (dir) => {
  await using file = await openPattern(dir.file("file"), 20_000, { write: true });
  using _ = interpose("allocate", ({ end }) => {
    // As on ext4 when the disk is full: a part of the space was reserved.
    Deno.truncateSync(file.path, 70_000);
    end(-Errno.ENOSPC);
  });
  using truncates = hold("truncate");
  const truncating = file.truncate(100);
  await truncates.reach();
  const reserving = assertRejects(() => file.preallocate(2 ** 30), Error, "No space left");
  truncates.letGo();
  await Promise.all([truncating, reserving]);
  assertEquals((await Deno.stat(file.path)).size, 100);
  // Nor does a writer take the space for content that opens meanwhile.
  const again = assertRejects(() => file.preallocate(2 ** 30), Error, "No space left");
  const writer = new DmaStreamWriter(file, { closeFile: false });
  await again;
  await writer.close();
  assertEquals((await Deno.stat(file.path)).size, 100);
  // Nor does content come back as zeros that another program has cut off.
  Deno.truncateSync(file.path, 50);
  await assertRejects(() => file.preallocate(2 ** 30), Error, "No space left");
  assertEquals((await Deno.stat(file.path)).size, 50);
});

testInOneDirectory("preallocate keeps its zeros if it is not awaited", async (dir) => {
  await using source = await openPattern(dir.file("source"), 100);
  const keepsZeros = async (beside: (file: DmaFile) => Promise<unknown>) => {
    await using file = await openPattern(dir.file("file"), 4096, { write: true });
    await beside(file);
    assertEquals(Deno.statSync(file.path).size, 12_288);
  };
  // A copy pads the same block: a truncate has taken the zeros of the second one.
  await keepsZeros(async (file) => {
    using writes = hold("write");
    const copying = source.copyRangeTo(file, 0, 100, 8192);
    await writes.reach();
    await file.preallocate(12_288);
    writes.letGo();
    await copying;
    await file.truncate(4096);
    await source.copyRangeTo(file, 0, 100, 8192);
    assertEquals(Deno.statSync(file.path).size, 8292);
    await file.preallocate(12_288);
  });
  // Another reservation fails.
  await keepsZeros(async (file) => {
    using _ = interpose("allocate", ({ index, pass, end }) => index ? pass() : end(-Errno.ENOSPC));
    await Promise.allSettled([file.preallocate(2 ** 30), file.preallocate(12_288)]);
  });
  // A writer opens after the call, and blocks.
  await keepsZeros(async (file) => {
    const reserving = file.preallocate(12_288);
    const writer = new DmaStreamWriter(file, { closeFile: false });
    const writing = writer.write(pattern(10));
    writer.flushSync();
    await Promise.all([reserving, writing, writer.close()]);
  });
});

testInOneDirectory("A failed reservation gives back nothing but its own space", async (dir) => {
  await using file = await openPattern(dir.file("file"), 4096, { write: true });
  // A writer that has not written has no content before its position.
  const writer = new DmaStreamWriter(file, { position: 1 << 20, closeFile: false });
  await writer.flushAligned();
  await file.preallocate(70_000);
  // Another program cuts off a part of it.
  Deno.truncateSync(file.path, 8192);
  const meanwhile: [act: () => Promise<unknown>, keepSize: boolean, size: number][] = [
    [() => Deno.truncate(file.path, 70_000), false, 8192],
    [() => file.writeAt(pattern(4096, 8192), 8192), false, 12_288],
    // Another program appends.
    [() => Deno.writeFile(file.path, pattern(100, 12_288), { append: true }), true, 12_388],
  ];
  for (const [act, keepSize, size] of meanwhile) {
    using _ = interpose("allocate", ({ end }) => void act().then(() => end(-Errno.ENOSPC)));
    const reserving = () => file.preallocate(2 ** 30, { keepSize });
    await assertRejects(reserving, Error, "No space left");
    assertEquals(Deno.statSync(file.path).size, size);
  }
  await assertFile(file.path, joined(pattern(4096), new Uint8Array(4096), pattern(4196, 8192)));
  await writer.abort();
});
