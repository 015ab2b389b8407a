// Disks that break, at the block layer under real file systems: writes, reads and cache flushes that fail with EIO.

import "../support/engine.ts";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { DmaFile, DmaStreamReader, DmaStreamWriter, ioStats } from "../../mod.ts";
import { within } from "../setup/command.ts";
import { assertNoFile, MIB } from "../support/bytes.ts";
import { content, firstWrong } from "./content.ts";
import { diskTest } from "./disks.ts";
import { assertFails, assertSticky, finish, writeContent } from "./failed_writer.ts";

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
  assertEquals(await file.readAt(bad + 4096, 5000), content(bad + 4096, 5000));
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
  await atomic.write(content(0, 100_000));
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
