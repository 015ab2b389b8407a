// Disks that break, at the block layer under real file systems: writes, reads and cache flushes that fail with EIO.

import "../support/engine.ts";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { DmaFile, DmaStreamReader, DmaStreamWriter, ioStats } from "../../mod.ts";
import { within } from "../setup/command.ts";
import { assertNoFile } from "../support/bytes.ts";
import { content, firstWrong, firstWrongInFile } from "./content.ts";
import { type FaultyDisk, onFaultyDisk, smallest } from "./disks.ts";
import {
  assertContent,
  assertFails,
  assertFailsForGood,
  assertIdle,
  assertSticky,
  bystander,
  MiB,
  ways,
} from "./failed_writer.ts";
import { faultTest } from "./machine.ts";

const EIO = 5;

/**
 * Registers a test with a disk that fails as it is told to, once a file system. btrfs keeps checksums and copies of its
 * own: what it makes of a bad block is not ours to promise.
 */
function diskTest(
  name: string,
  fn: (disk: FaultyDisk, path: string, directory: string) => Promise<void>,
): void {
  for (const type of ["ext4", "xfs"] as const) {
    const run = () =>
      onFaultyDisk(type, smallest(type), async (disk, directory) => {
        await fn(disk, disk.file("file"), directory);
        assert((await disk.disk.counts()).fired! > 0, "The fault must have fired");
        await assertIdle();
      });
    faultTest(`${name} [${type}]`, { needs: ["root", "gcc", "loop", "fuse", type] }, run);
  }
}

/** Makes a file of its full length, so that it is known where its blocks lie. */
async function layOut(path: string, length: number): Promise<void> {
  const writer = new DmaStreamWriter(await DmaFile.create(path), { sizeHint: length });
  await writer.write(content(0, length, 9));
  await writer.close();
}

async function create(path: string): Promise<DmaStreamWriter> {
  return new DmaStreamWriter(await DmaFile.create(path), { bufferSize: MiB });
}

diskTest("a block that cannot be written fails the writer", async (disk, path, directory) => {
  const length = 12 * MiB;
  await layOut(path, length);
  const { from, to } = await disk.extent(path, 5 * MiB + 8192, 4096);
  const overwriter = async () =>
    new DmaStreamWriter(await DmaFile.open(path, { write: true }), { bufferSize: MiB });
  await using _ = bystander(directory);
  await disk.disk.command(`err write ${from} ${to} ${EIO}`);
  const writer = await overwriter();
  const write = () => ways["write()"](writer, length);
  await assertFailsForGood(writer, write, { code: "EIO", op: "write", path });
  assertEquals(writer.currentFlushedPos, 5 * MiB, "Everything below the buffer that failed");
  assertEquals(await firstWrongInFile(path, 5 * MiB), -1);
  // The file was there before and is not the writer's: what it had behind stays.
  assertEquals((await Deno.stat(path)).size, length);

  // The control: without the fault the same goes well.
  await disk.disk.command("clear");
  await ways["write()"](await overwriter(), length);
  await assertContent(path, length);
});

diskTest("a disk that takes no more writes fails all", async (disk, path, directory) => {
  const writer = await create(path);
  const atomicFile = await DmaFile.create(disk.file("atomic"), { atomic: true });
  const atomic = new DmaStreamWriter(atomicFile);
  await atomic.write(content(0, 100_000));
  await writer.write(content(0, 3 * MiB + 77));
  const synced = await writer.sync({ tail: true });
  {
    await using _ = bystander(directory);
    await disk.disk.command(`err write 0 ${2 ** 40} ${EIO}`);
    // A file system that has shut down answers with EIO or EROFS, but it answers.
    await assertFailsForGood(writer, () => ways["write()"](writer, 40 * MiB), {
      code: ["EIO", "EROFS"],
      op: ["write", "allocate", "sync", "truncate"],
      path,
    });
    assert(writer.currentFlushedPos >= synced);
    await assertSticky(atomic, await within(30, "close", assertRejects(() => atomic.close())));
    const creating = DmaFile.create(disk.file("new"));
    await within(30, "create", creating.then((file) => file.close(), () => {}));
  }
  // What was synced before the disk broke is there after all.
  await disk.disk.command("clear");
  await disk.mount.remount();
  assertEquals(await firstWrongInFile(path, synced), -1);
  await assertNoFile(disk.file("atomic"));
});

diskTest("a flush that fails rejects sync(), and every later call", async (disk, path) => {
  const writer = await create(path);
  await writer.write(content(0, 2 * MiB));
  assertEquals(await writer.sync(), 2 * MiB);
  await writer.write(content(2 * MiB, 2 * MiB));
  await writer.flushAligned();
  const { syncs } = ioStats();
  // One flush: the kernel's next one would say that all is well.
  await disk.disk.command(`err flush 0 0 ${EIO} 1`);
  const waiting = [writer.sync(), writer.sync(), writer.sync({ tail: true })];
  waiting.forEach((call) => call.catch(() => {}));
  const error = await assertFails(() => waiting[0]!, { code: "EIO", op: "sync", path });
  for (const call of waiting) assertEquals(await call.catch((reason) => reason), error);
  await assertSticky(writer, error);
  assertEquals(ioStats().syncs, syncs + 1, "A failed sync is not tried again");
});

diskTest("a block that cannot be read fails the reader there", async (disk, path) => {
  await layOut(path, 8 * MiB);
  const bad = 3 * MiB + 12_288;
  const expected = { code: "EIO", op: "read", path };
  const { from, to } = await disk.extent(path, bad, 4096);
  await disk.disk.command(`err read ${from} ${to} ${EIO}`);
  const bufferSize = 256 * 1024;
  const reader = new DmaStreamReader(await DmaFile.open(path), { bufferSize });
  let read = 0;
  await assertFails(async () => {
    for await (const chunk of reader) {
      assertEquals(firstWrong(chunk, chunk.length, 9, read), -1);
      read += chunk.length;
    }
  }, expected);
  assertEquals(read, bad - bad % bufferSize, "All buffers before the bad one were given out");

  // Reads elsewhere go well, and ranges that were read together fail alone.
  await using file = await DmaFile.open(path);
  const good = await file.readAt(bad + 4096, 5000);
  assertEquals(firstWrong(good, 5000, 9, bad + 4096), -1);
  await assertFails(() => file.readAt(bad + 10, 5), expected);
  const ranges = [{ position: bad - 4096, length: 4096 }, { position: bad, length: 4096 }];
  const results: number[] = [];
  await assertFails(async () => {
    for await (const { position } of file.readMany(ranges)) results.push(position);
  }, expected);
  assertEquals(results, [bad - 4096]);
});

diskTest("a disk that is slow for a while delays all and fails nobody", async (disk, path) => {
  await disk.disk.command("delay write 60");
  await disk.disk.command("delay flush 60");
  let ticks = 0;
  const timer = setInterval(() => ticks++, 10);
  const began = performance.now();
  await ways["write()"](await create(path), 4 * MiB + 3);
  const took = performance.now() - began;
  clearInterval(timer);
  assert(took > 120, `The delay must be felt: ${took} ms`);
  assert(ticks > took / 40, `The event loop stood still: ${ticks} ticks in ${took} ms`);
  await assertContent(path, 4 * MiB + 3);
});
