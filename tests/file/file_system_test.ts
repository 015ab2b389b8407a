// What is known of a file system, and a disk that becomes full while a file is cut.

import { assertEquals, assertRejects } from "@std/assert";
import { Errno } from "../../src/engine/linux.ts";
import { descriptorNumber } from "../../src/dma_file.ts";
import { fileSystemOf } from "../../src/file/file_system.ts";
import { statNow } from "../../src/file/stat.ts";
import { testInOneDirectory } from "../support/dirs.ts";
import { engine } from "../support/engine.ts";
import { hold, interpose } from "../support/interpose.ts";
import { openPattern } from "../support/patterned.ts";

testInOneDirectory("An unknown file system is trusted with nothing", async (dir) => {
  await using file = await openPattern(dir.file("file"), 10);
  const handle = { engine, fd: descriptorNumber(file), path: file.path };
  // Neither the device nor the type is known.
  const facts = { ...statNow(handle), deviceMajor: 0, mountIdIsUnique: false };
  using _ = interpose("statfs", ({ operation, completion, pass }) => {
    const complete = (result: number) => {
      operation.memory.bytes.fill(0, 0, 8);
      completion.complete(result);
    };
    pass({}, { complete });
  });
  const { keepsUnnamed, cutsDirty, reserves, syncsWrites, onThreads } = await fileSystemOf(
    handle,
    facts,
  );
  assertEquals([keepsUnnamed, cutsDirty, reserves, syncsWrites], [false, false, false, false]);
  assertEquals(onThreads, true);
});

testInOneDirectory(
  "A reservation that fails is cut to the length from when it began",
  async (dir) => {
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
  },
);
