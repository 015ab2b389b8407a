// What is known of a file system, and a disk that becomes full while a file is cut.

import { assertEquals, assertRejects } from "@std/assert";
import { DmaStreamWriter } from "../../mod.ts";
import { Errno } from "../../src/engine/linux.ts";
import { descriptorNumber } from "../../src/dma_file.ts";
import { fileSystemOf } from "../../src/file/file_system.ts";
import { statNow } from "../../src/file/stat.ts";
import { assertFile, joined, pattern } from "../support/bytes.ts";
import { testInOneDirectory } from "../support/dirs.ts";
import { engine } from "../support/engine.ts";
import { alter, hold, interpose } from "../support/interpose.ts";
import { openPattern } from "../support/patterned.ts";

testInOneDirectory("An unknown file system is trusted with nothing", async (dir) => {
  await using file = await openPattern(dir.file("file"), 10);
  const handle = { engine, fd: descriptorNumber(file), path: file.path };
  // Neither the device nor the type is known.
  const facts = { ...statNow(handle), deviceMajor: 0, mountIdIsUnique: false };
  using _ = alter("statfs", ({ memory }) => void memory.bytes.fill(0, 0, 8));
  const found = await fileSystemOf(handle, facts);
  for (const trust of ["keepsUnnamed", "cutsDirty", "reserves", "syncsWrites"] as const) {
    assertEquals(found[trust], false, trust);
  }
  assertEquals(found.onThreads, true);
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
});

testInOneDirectory("A failed reservation gives back nothing but its own space", async (dir) => {
  await using file = await openPattern(dir.file("file"), 4096, { write: true });
  // A writer that has not written has no content before its position.
  const writer = new DmaStreamWriter(file, { position: 1 << 20, closeFile: false });
  await writer.flushAligned();
  await file.preallocate(8192);
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
