// Disks that really are full: every call rejects with the first error, flushed bytes are right, and the rest is cut off.

import "../support/engine.ts";
import { assert, assertEquals } from "@std/assert";
import { DmaFile, DmaStreamWriter, ioStats } from "../../mod.ts";
import { runOrThrow } from "../setup/command.ts";
import { assertFile, MIB, pattern } from "../support/bytes.ts";
import { eventually } from "../support/descriptors.ts";
import { type Disk, diskTest } from "./disks.ts";
import { assertFails, assertSticky, finish, writeContent } from "./failed_writer.ts";

/** More bytes than any disk here has. */
const TOO_MUCH = 512 * MIB;

/** Registers a test with disks that have only 24 MiB of room. */
function roomTest(name: string, fn: (path: string, disk: Disk) => Promise<void>): void {
  diskTest(name, async (disk) => {
    await runOrThrow("fallocate", ["-l", `${disk.free - 24 * MIB}`, disk.file("filler")]);
    await runOrThrow("sync", ["-f", disk.path]);
    await fn(disk.file("file"), disk);
  });
}

for (const preallocate of [true, false]) {
  const how = `preallocate ${preallocate ? "on" : "off"}`;
  roomTest(`a disk that fills up fails a writer for good, ${how}`, async (path) => {
    const writer = new DmaStreamWriter(await DmaFile.create(path), { preallocate });
    const full = { code: "ENOSPC", op: "write", path };
    await assertSticky(writer, await assertFails(() => finish(writer, TOO_MUCH), full));
    assert(writer.currentFlushedPos > 4 * MIB, "Most of the room was used");
    await assertFile(path, pattern(writer.currentFlushedPos));
    // The control: the disk is full, not broken. With room again there are no errors.
    await Deno.remove(path);
    await finish(new DmaStreamWriter(await DmaFile.create(path), { preallocate }), MIB);
    await assertFile(path, pattern(MIB));
  });
}

roomTest("a size hint larger than the disk fails nothing", async (path, disk) => {
  const { failed } = ioStats();
  const writer = new DmaStreamWriter(await DmaFile.create(path), { sizeHint: TOO_MUCH });
  await writeContent(writer, 3 * MIB + 1);
  await writer.flushAligned();
  // The writer does not keep space that other programs need.
  await eventually(() => disk.free > 16 * MIB);
  await finish(writer, 3 * MIB + 6);
  // On btrfs nothing is reserved.
  assertEquals(ioStats().failed > failed, disk.type !== "btrfs", "Whether a reservation failed");
  const blocks = (await Deno.stat(path)).blocks!;
  assert(blocks * 512 < 5 * MIB, `Not given back: ${blocks * 512} bytes`);
  await assertFile(path, pattern(3 * MIB + 6));
});
