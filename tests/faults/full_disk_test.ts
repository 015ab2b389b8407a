// Disks that really fill up: every call rejects with the first error, flushed bytes are right, the rest is cut off, and
// other files are not disturbed. Also quotas that are used up, and disks that become read-only.

import "../support/engine.ts";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { DmaFile, DmaStreamWriter, ioStats } from "../../mod.ts";
import { hasProgram, run, runOrThrow } from "../setup/command.ts";
import { eventually } from "../support/descriptors.ts";
import { allOf } from "../support/patterned.ts";
import { content, firstForeign, firstWrong, firstWrongInFile } from "./content.ts";
import { type LoopMount, smallDiskTest } from "./disks.ts";
import {
  assertContent,
  assertFails,
  assertFailsForGood,
  bystander,
  MiB,
  ways,
  writeContent,
} from "./failed_writer.ts";

/** More bytes than any disk here has. */
const TOO_MUCH = 512 * MiB;

/** Registers a test with disks that have only so many free megabytes. */
function roomTest(
  name: string,
  megabytes: number,
  fn: (path: string, disk: LoopMount, directory: string) => Promise<void>,
): void {
  smallDiskTest(name, async (disk, directory) => {
    const filler = String(disk.free - megabytes * MiB);
    await runOrThrow("fallocate", ["-l", filler, `${disk.path}/filler`]);
    await runOrThrow("sync", []);
    await fn(`${disk.path}/file`, disk, directory);
  });
}

/** Throws unless the disk fills up during writes, and the writer fails permanently. */
async function fillUp(writer: DmaStreamWriter, path: string, write = ways["write()"]) {
  await assertFailsForGood(writer, () => write(writer, TOO_MUCH), {
    code: "ENOSPC",
    op: "write",
    path,
  });
}

for (const [way, write] of Object.entries(ways)) {
  for (const preallocate of [true, false]) {
    const how = `by ${way}${preallocate ? "" : ", preallocate off"}`;
    roomTest(`a disk that fills up ${how} fails for good`, 24, async (path, _, directory) => {
      {
        await using _ = bystander(directory);
        const writer = new DmaStreamWriter(await DmaFile.create(path), { preallocate });
        await fillUp(writer, path, write);
        assert(writer.currentFlushedPos > 4 * MiB, "Most of the room was used");
        await assertContent(path, writer.currentFlushedPos);
      }
      // The control: the disk is full, not broken. With room again there are no errors.
      await Deno.remove(path);
      await write(new DmaStreamWriter(await DmaFile.create(path), { preallocate }), MiB);
      await assertContent(path, MiB);
    });
  }
}

roomTest("a size hint larger than the disk fails nothing", 24, async (path, disk) => {
  const { failed } = ioStats();
  const writer = new DmaStreamWriter(await DmaFile.create(path), { sizeHint: TOO_MUCH });
  await writeContent(writer, 0, 3 * MiB + 1);
  await writer.flushAligned();
  // The writer does not keep space that other programs need.
  await eventually(() => disk.free > 16 * MiB);
  await ways["write()"](writer, 3 * MiB + 6);
  // On btrfs nothing is reserved.
  const reserves = disk.type !== "btrfs";
  assertEquals(ioStats().failed > failed, reserves, "Whether a reservation has failed");
  const blocks = (await Deno.stat(path)).blocks!;
  assert(blocks * 512 < 5 * MiB, `Not given back: ${blocks * 512} bytes`);
  await assertContent(path, 3 * MiB + 6);
});

roomTest("writeAt on a full disk rejects, and the file stays usable", 8, async (path) => {
  await using file = await DmaFile.create(path);
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

roomTest("preallocate() beyond the disk rejects, and reserves nothing", 24, async (path, disk) => {
  await using file = await DmaFile.create(path);
  await file.writeAt(content(0, 8192), 0);
  await file.preallocate(MiB);
  for (const keepSize of [true, false]) {
    const reserving = () => file.preallocate(TOO_MUCH, { keepSize });
    await assertFails(reserving, { code: "ENOSPC", op: "allocate", path });
    assert(disk.free > 16 * MiB, `${disk.free} bytes are free`);
    assertEquals(await file.size(), MiB);
  }
  assertEquals(await firstWrongInFile(path, 8192), -1);
});

smallDiskTest("a write that the kernel really cuts short is continued", async (disk) => {
  // Free space in pieces: all of it is taken by small files, and a few of these are removed.
  const piece = new Uint8Array(64 * 1024).fill(1);
  try {
    for (let index = 0;; index++) await Deno.writeFile(`${disk.path}/${index}`, piece);
  } catch {
    // Full.
  }
  await run("sync", ["-f", disk.path]);
  for (let index = 0; index < 80; index += 4) await Deno.remove(`${disk.path}/${index}`);
  await run("sync", ["-f", disk.path]);

  const path = `${disk.path}/file`;
  const options = { bufferSize: 4 * MiB, writeBehind: 1, preallocate: false };
  const writer = new DmaStreamWriter(await DmaFile.create(path), options);
  const { bytesWritten } = ioStats();
  await fillUp(writer, path);
  const moved = ioStats().bytesWritten - bytesWritten;
  assert(moved % (4 * MiB) > 0, `The kernel took ${moved} bytes: none of its writes was short`);
  await assertContent(path, writer.currentFlushedPos);
}, { types: ["btrfs"] });

smallDiskTest("a read-only file system is read, and says so to writers", async (disk) => {
  const path = `${disk.path}/file`;
  await ways["write()"](new DmaStreamWriter(await DmaFile.create(path)), MiB);
  await runOrThrow("mount", ["-o", "remount,ro", disk.path]);
  const calls: [path: string, call: () => Promise<unknown>][] = [
    [path, () => DmaFile.create(path)],
    [`${path}2`, () => DmaFile.create(`${path}2`)],
    [path, () => DmaFile.open(path, { write: true })],
    [path, () => DmaFile.open(path, { write: true, truncate: true })],
  ];
  for (const [path, call] of calls) await assertFails(call, { code: "EROFS", op: "open", path });
  for (
    const call of [
      () => DmaFile.create(path, { atomic: true }),
      () => DmaFile.temp({ dir: disk.path }),
    ]
  ) assertStringIncludes(String(await assertRejects(call)), "(os error 30): open '");
  await using file = await DmaFile.open(path);
  assertEquals(firstWrong(await file.readAt(3, 5000), 5000, 0, 3), -1);
  await assertRejects(() => file.rename(`${path}2`));
  await assertRejects(() => file.remove());
  assertEquals(await allOf(file.readable), content(0, MiB));
});

smallDiskTest("a file beyond a quota fails once and for all", async (disk) => {
  const path = `${disk.path}/file`;
  await runOrThrow("btrfs", ["quota", "enable", disk.path]);
  await runOrThrow("btrfs", ["qgroup", "limit", "8m", disk.path]);
  for (const preallocate of [true, false]) {
    const options = { preallocate, bufferSize: 256 * 1024 };
    const writer = new DmaStreamWriter(await DmaFile.create(path), options);
    const write = () => writeContent(writer, 0, 32 * MiB);
    await assertFailsForGood(writer, write, { code: "EDQUOT", op: "write", path });
    const flushed = writer.currentFlushedPos;
    assert(flushed > 2 * MiB && flushed <= 8 * MiB);
    const bytes = await Deno.readFile(path);
    assertEquals(firstWrong(bytes, flushed), -1);
    assertEquals(firstForeign(bytes, flushed), -1);
    if (bytes.length !== flushed) {
      // btrfs may need room to cut a file too, so the cut can fail.
      const refused = await assertRejects(() => Deno.truncate(path, flushed));
      assertStringIncludes(String(refused), "os error 122");
    }
    await Deno.remove(path);
    await runOrThrow("sync", ["-f", disk.path]);
  }
  // The control: the disk itself has room.
  await runOrThrow("btrfs", ["qgroup", "limit", "none", disk.path]);
  await ways["write()"](new DmaStreamWriter(await DmaFile.create(path)), 16 * MiB);
  await assertContent(path, 16 * MiB);
}, { types: ["btrfs"], ignore: !hasProgram("btrfs") });
