// Disks that are really full, or break at the block layer under real file systems: writes, reads and cache flushes fail.
// Every call rejects with the first error, flushed bytes are right, and the rest is cut off.

import { hold } from "../support/engine.ts";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { DmaFile, DmaStreamReader, DmaStreamWriter, ioStats } from "../../mod.ts";
import { eventually, runOrThrow, within } from "../setup/command.ts";
import { assertFile, assertNoFile, firstWrong, MIB, pattern } from "../support/bytes.ts";
import { type Disk, diskTest } from "./disks.ts";
import { assertFails, assertSticky, finish, writeContent } from "./failed_writer.ts";

/** More bytes than any disk here has. */
const TOO_MUCH = 512 * MIB;

/** Registers a test with disks that have only 24 MiB of room. */
function roomTest(name: string, fn: (path: string, disk: Disk) => Promise<void>): void {
  diskTest(name, async (disk) => {
    // As by default, root may take a part of the disk that other users may not.
    const keep = `tune2fs -m 5 $(findmnt -no SOURCE '${disk.path}')`;
    if (disk.type === "ext4") await runOrThrow("sh", ["-c", keep]);
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

for (const sizeHint of [16 * MIB, TOO_MUCH]) {
  roomTest(`a size hint of ${sizeHint} bytes without room fails nothing`, async (path, disk) => {
    const { failed } = ioStats();
    using held = hold("allocate", { results: true });
    const writer = new DmaStreamWriter(await DmaFile.create(path), { sizeHint });
    await writeContent(writer, 3 * MIB + 1);
    await writer.flushAligned();
    if (disk.type !== "btrfs") await eventually(() => held.count > 0);
    assert(disk.free > 16 * MIB, "The disk is not full for other programs, even for a moment");
    held.letGo();
    await finish(writer, 3 * MIB + 6);
    // On btrfs nothing is reserved.
    assertEquals(ioStats().failed > failed, disk.type !== "btrfs", "Whether a reservation failed");
    const blocks = (await Deno.stat(path)).blocks!;
    assert(blocks * 512 < 5 * MIB, `Not given back: ${blocks * 512} bytes`);
    await assertFile(path, pattern(3 * MIB + 6));
  });
}

roomTest("a reservation larger than the disk leaves the space to others", async (path, disk) => {
  await using file = await DmaFile.create(path);
  using held = hold("allocate", { results: true });
  const expected = { code: "ENOSPC", op: "allocate", path };
  const failing = assertFails(() => file.preallocate(TOO_MUCH), expected);
  await eventually(() => held.count > 0);
  assert(disk.free > 16 * MIB);
  held.letGo();
  await failing;
});

roomTest("the space of a removed file can be reserved at once", async (path, disk) => {
  await using file = await DmaFile.create(path);
  await Deno.remove(disk.file("filler"));
  await file.preallocate(64 * MIB);
  assertEquals(await file.size(), 64 * MIB);
});

const EIO = 5;
const options = { bufferSize: MIB };

/** btrfs repairs bad blocks by checksums and copies of its own. */
const types = ["ext4", "xfs"] as const;

diskTest("a block that cannot be read fails its reads alone", async (disk, memory) => {
  const path = disk.file("file");
  const length = 12 * MIB;
  // With its full length, so that the places of its blocks are known.
  await finish(new DmaStreamWriter(await DmaFile.create(path), { sizeHint: length }), length);
  const bad = 5 * MIB + 8192;
  const [from, to] = await disk.extent(path, bad, 4096);
  await memory.command(`fault read err ${EIO} 0 ${from} ${to}`);
  const expected = { code: "EIO", op: "read", path };
  const bufferSize = 256 * 1024;
  const reader = new DmaStreamReader(await DmaFile.open(path), { bufferSize });
  let read = 0;
  await assertFails(async () => {
    for await (const chunk of reader) {
      assertEquals(firstWrong(chunk, chunk.length, 0, read), -1);
      read += chunk.length;
    }
  }, expected);
  assertEquals(read, bad - bad % bufferSize, "All buffers before the bad one");
  await using file = await DmaFile.open(path);
  assertEquals(await file.readAt(bad + 4096, 5000), pattern(5000, bad + 4096));
  await assertFails(() => file.readAt(bad + 10, 5), expected);
  // Of ranges that were read together.
  const ranges = [{ position: bad - 4096, length: 4096 }, { position: bad, length: 4096 }];
  const results: number[] = [];
  await assertFails(async () => {
    for await (const { position } of file.readMany(ranges)) results.push(position);
  }, expected);
  assertEquals(results, [bad - 4096]);
}, { types });

diskTest("a disk fails a flush, and then every write", async (disk, memory) => {
  const path = disk.file("file");
  const writer = new DmaStreamWriter(await DmaFile.create(path), options);
  const other = new DmaStreamWriter(await DmaFile.create(disk.file("other")), options);
  const atomic = (await DmaFile.create(disk.file("atomic"), { atomic: true })).writable;
  await atomic.write(pattern(100_000));
  await writeContent(other, 3 * MIB + 77);
  const synced = await other.sync({ tail: true });
  await writeContent(writer, 2 * MIB);
  await writer.sync();
  // One flush: the kernel's next one would succeed. It is armed directly after a sync, because a journal flushes by itself
  // some seconds after a change.
  await memory.command(`fault fsync err ${EIO} 1`);
  await writeContent(writer, 4 * MIB);
  await writer.flushAligned();
  const { syncs } = ioStats();
  const waiting = [writer.sync(), writer.sync(), writer.sync({ tail: true })];
  waiting.forEach((call) => call.catch(() => {}));
  const error = await assertFails(() => waiting[0]!, { code: "EIO", op: "sync", path });
  for (const call of waiting) assertEquals(await call.catch((reason) => reason), error);
  await assertSticky(writer, error);
  assertEquals(ioStats().syncs, syncs + 1, "A failed sync is not tried again");

  await memory.command(`fault write err ${EIO}`);
  // A file system that has shut down answers with EIO or EROFS, but it answers.
  const failure = await assertFails(() => finish(other, 40 * MIB), {
    code: ["EIO", "EROFS"],
    op: ["write", "allocate", "sync", "truncate"],
    path: disk.file("other"),
  });
  await assertSticky(other, failure);
  assert(other.currentFlushedPos >= synced);
  await assertSticky(atomic, await within(30, "close", assertRejects(() => atomic.close())));
  const creating = DmaFile.create(disk.file("new"));
  await within(30, "create", creating.then((file) => file.close(), () => {}));
  // What was synced before is there.
  await memory.command("clear");
  await disk.unmount();
  await disk.mount();
  assertEquals(firstWrong(await Deno.readFile(disk.file("other")), synced), -1);
  await assertNoFile(disk.file("atomic"));
}, { types });
