// Disks that really are full, or become read-only: every call rejects with the first error, flushed bytes are right, and
// the rest is cut off.

import "../support/engine.ts";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { DmaFile, DmaStreamWriter, ioStats } from "../../mod.ts";
import { runOrThrow } from "../setup/command.ts";
import { eventually } from "../support/descriptors.ts";
import { allOf } from "../support/patterned.ts";
import { content, firstWrongInFile } from "./content.ts";
import { type Disk, diskTest } from "./disks.ts";
import {
  assertContent,
  assertFails,
  assertFailsForGood,
  finish,
  MiB,
  writeContent,
} from "./failed_writer.ts";

/** More bytes than any disk here has. */
const TOO_MUCH = 512 * MiB;

/** Registers a test with disks that have only so many free megabytes. */
function roomTest(
  name: string,
  megabytes: number,
  fn: (path: string, disk: Disk) => Promise<void>,
): void {
  diskTest(name, async (disk) => {
    const filler = String(disk.free - megabytes * MiB);
    await runOrThrow("fallocate", ["-l", filler, disk.file("filler")]);
    await runOrThrow("sync", []);
    await fn(disk.file("file"), disk);
  });
}

for (const preallocate of [true, false]) {
  const how = `preallocate ${preallocate ? "on" : "off"}`;
  roomTest(`a disk that fills up fails a writer for good, ${how}`, 24, async (path) => {
    const writer = new DmaStreamWriter(await DmaFile.create(path), { preallocate });
    const full = { code: "ENOSPC", op: "write", path };
    await assertFailsForGood(writer, () => finish(writer, TOO_MUCH), full);
    assert(writer.currentFlushedPos > 4 * MiB, "Most of the room was used");
    await assertContent(path, writer.currentFlushedPos);
    // The control: the disk is full, not broken. With room again there are no errors.
    await Deno.remove(path);
    await finish(new DmaStreamWriter(await DmaFile.create(path), { preallocate }), MiB);
    await assertContent(path, MiB);
  });
}

roomTest("a size hint larger than the disk fails nothing", 24, async (path, disk) => {
  const { failed } = ioStats();
  const writer = new DmaStreamWriter(await DmaFile.create(path), { sizeHint: TOO_MUCH });
  await writeContent(writer, 3 * MiB + 1);
  await writer.flushAligned();
  // The writer does not keep space that other programs need.
  await eventually(() => disk.free > 16 * MiB);
  await finish(writer, 3 * MiB + 6);
  // On btrfs nothing is reserved.
  const reserves = disk.type !== "btrfs";
  assertEquals(ioStats().failed > failed, reserves, "Whether a reservation has failed");
  const blocks = (await Deno.stat(path)).blocks!;
  assert(blocks * 512 < 5 * MiB, `Not given back: ${blocks * 512} bytes`);
  await assertContent(path, 3 * MiB + 6);
});

roomTest("on a full disk calls of DmaFile reject, and it stays usable", 24, async (path, disk) => {
  await using file = await DmaFile.create(path);
  await file.preallocate(MiB);
  for (const keepSize of [true, false]) {
    const reserving = () => file.preallocate(TOO_MUCH, { keepSize });
    await assertFails(reserving, { code: "ENOSPC", op: "allocate", path });
    assert(disk.free > 16 * MiB, `${disk.free} bytes are free`);
    assertEquals(await file.size(), MiB);
  }
  const full = { code: "ENOSPC", op: "write", path };
  let at = 0;
  await assertFails(async () => {
    for (; at < TOO_MUCH; at += MiB) await file.writeAt(content(at, MiB), at);
  }, full);
  assert(at > 0);
  assertEquals(await firstWrongInFile(path, at), -1);
  await assertFails(() => file.writeAt(content(at, 32 * MiB), at), full);
  await file.truncate(MiB);
  await file.writeAt(content(MiB, 4096), MiB);
  await file.sync();
  await assertContent(path, MiB + 4096);
});

diskTest("a read-only file system is read, and says so to writers", async (disk) => {
  const [path, other] = [disk.file("file"), disk.file("other")];
  await finish((await DmaFile.create(path)).writable, MiB);
  await runOrThrow("mount", ["-o", "remount,ro", disk.path]);
  const calls = [
    () => DmaFile.create(path),
    () => DmaFile.create(other),
    () => DmaFile.open(path, { write: true }),
    () => DmaFile.open(path, { write: true, truncate: true }),
    () => DmaFile.create(path, { atomic: true }),
    () => DmaFile.temp({ dir: disk.path }),
  ];
  for (const call of calls) {
    const error = await assertRejects(call, Error);
    assertStringIncludes(error.message, `(os error 30): open '${disk.path}`);
  }
  await using file = await DmaFile.open(path);
  await assertRejects(() => file.rename(other));
  await assertRejects(() => file.remove());
  assertEquals(await allOf(file.readable), content(0, MiB));
});
