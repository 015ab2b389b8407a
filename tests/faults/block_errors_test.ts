// Disks that break, at the block layer under real file systems: writes, reads and cache flushes that fail with EIO.

import "../support/engine.ts";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { DmaFile, DmaStreamReader, DmaStreamWriter, ioStats } from "../../mod.ts";
import { content, firstWrong, firstWrongInFile } from "./content.ts";
import { type FaultyDisk, type FileSystem, onFaultyDisk, smallest } from "./disks.ts";
import {
  assertCutToFlushed,
  assertIdle,
  assertIoError,
  assertSticky,
  bystander,
  within,
  writeUntilFailure,
} from "./failed_writer.ts";
import { faultTest, type Need } from "./machine.ts";

const MiB = 1 << 20;
const EIO = 5;

/** btrfs keeps checksums and copies of its own; what it makes of a bad block is not ours to promise. */
const types: readonly FileSystem[] = ["ext4", "xfs"];

/** Registers a test with a disk that fails as it is told to. */
function diskTest(
  name: string,
  type: FileSystem,
  fn: (disk: FaultyDisk, directory: string) => Promise<void>,
): void {
  const needs: Need[] = ["root", "gcc", "loop", "fuse", type];
  faultTest(`${name} [${type}]`, { needs }, () => onFaultyDisk(type, smallest(type), fn));
}

/** A file of its full length, so that it is known where its blocks lie. */
async function layOut(disk: FaultyDisk, name: string, length: number): Promise<string> {
  const path = disk.file(name);
  const writer = new DmaStreamWriter(await DmaFile.create(path), { sizeHint: length });
  await writer.write(content(0, length, 9));
  await writer.close();
  return path;
}

/** A writer over a file that is there. */
async function overwriter(path: string): Promise<DmaStreamWriter> {
  return new DmaStreamWriter(await DmaFile.open(path, { write: true }), { bufferSize: MiB });
}

/**
 * Closing syncs the file and its directory, and may do both at once: either may be the first to fail, and a file
 * system that shuts down at that lets nothing through any more.
 */
function assertClosingFailed(error: unknown, path: string): void {
  const directory = path.slice(0, path.lastIndexOf("/"));
  const told = error as { path?: string; code?: string };
  assertIoError(error, {
    code: told.code === "EROFS" ? "EROFS" : "EIO",
    op: ["sync", "write", "truncate"],
    path: told.path === directory ? directory : path,
  });
}

async function assertFired(disk: FaultyDisk): Promise<void> {
  const { injected } = await disk.disk.counts();
  assert(injected! > 0, "The fault must have fired");
}

for (const type of types) {
  diskTest(
    "one block that cannot be written fails the writer, and the bytes below it are right",
    type,
    async (disk, directory) => {
      const length = 12 * MiB;
      const path = await layOut(disk, "file", length);
      const { from, to } = await disk.extent(path, 5 * MiB + 8192, 4096);
      let running = true;
      const beside = bystander(`${directory}/beside`, () => running);
      beside.catch(() => {});
      await disk.disk.command(`err write ${from} ${to} ${EIO}`);
      const writer = await overwriter(path);
      const error = await writeUntilFailure(writer, length);
      assertIoError(error, { code: "EIO", op: "write", path });
      await assertFired(disk);
      await assertSticky(writer, error);
      const flushed = writer.currentFlushedPos;
      assertEquals(flushed, 5 * MiB, "Everything below the buffer that failed");
      assertEquals(await firstWrongInFile(path, flushed), -1);
      // The file was there before and is not the writer's: what it had behind stays.
      assertEquals((await Deno.stat(path)).size, length);
      running = false;
      assert(await beside > 0);
      await assertIdle();

      // The control: without the fault the same goes well.
      await disk.disk.command("clear");
      const again = await overwriter(path);
      await again.write(content(0, length));
      await again.close();
      assertEquals(await firstWrongInFile(path, length), -1);
    },
  );

  diskTest(
    "a disk on which nothing can be written any more fails writers that make files, and hangs nobody",
    type,
    async (disk) => {
      const path = disk.file("file");
      const writer = new DmaStreamWriter(await DmaFile.create(path), { bufferSize: MiB });
      await writer.write(content(0, 3 * MiB));
      assertEquals(await writer.sync(), 3 * MiB);
      await disk.disk.command(`err write 0 ${2 ** 40} ${EIO}`);
      const error = await assertRejects(async () => {
        for (let at = 3 * MiB; at < 40 * MiB; at += MiB) {
          await within(30, "write", writer.write(content(at, MiB)));
        }
        await within(30, "close", writer.close());
      });
      const { code } = error as { code?: string };
      assert(code === "EIO" || code === "EROFS", String(error));
      await assertFired(disk);
      await assertSticky(writer, error);
      assert(writer.currentFlushedPos >= 3 * MiB);
      await assertIdle();
      // A file system that has shut down answers with EIO or EROFS, but it answers.
      await within(30, "open", DmaFile.open(path).then((file) => file.close(), () => {}));
      await assertIdle();
      // What was synced before the disk broke is there after all.
      await disk.disk.command("clear");
      await disk.mount.remount();
      assertEquals(await firstWrongInFile(path, 3 * MiB), -1);
    },
  );

  diskTest(
    "a flush that fails rejects sync(), and no later call pretends that it went well",
    type,
    async (disk) => {
      const path = disk.file("file");
      const writer = new DmaStreamWriter(await DmaFile.create(path), { bufferSize: MiB });
      await writer.write(content(0, 2 * MiB));
      assertEquals(await writer.sync(), 2 * MiB);
      await writer.write(content(2 * MiB, 2 * MiB));
      await writer.flushAligned();
      const { syncs } = ioStats();
      // One flush: the kernel's next one would say that all is well.
      await disk.disk.command(`err flush 0 0 ${EIO} 1`);
      // All that wait for one sync are told; so is whoever asks afterwards.
      const calls = [writer.sync(), writer.sync(), writer.sync({ tail: true })];
      const results = await within(30, "sync", Promise.allSettled(calls));
      await assertFired(disk);
      const reasons = results.map((result) =>
        result.status === "rejected" ? result.reason : result
      );
      for (const reason of reasons) assertEquals(reason, reasons[0]);
      assertIoError(reasons[0], { code: "EIO", op: "sync", path });
      await assertSticky(writer, reasons[0]);
      assertEquals(ioStats().syncs, syncs + 1, "A failed sync is not tried again");
      await assertIdle();
    },
  );

  diskTest("a flush that fails while closing rejects close()", type, async (disk) => {
    const path = disk.file("file");
    const writer = new DmaStreamWriter(await DmaFile.create(path));
    await writer.write(content(0, 100_000));
    await disk.disk.command(`err flush 0 0 ${EIO}`);
    const error = await within(30, "close", assertRejects(() => writer.close()));
    await assertFired(disk);
    assertClosingFailed(error, path);
    await assertSticky(writer, error);
    await assertIdle();
  });

  diskTest(
    "a block that cannot be read fails the reader there, after everything before it",
    type,
    async (disk) => {
      const length = 8 * MiB;
      const path = await layOut(disk, "file", length);
      const bad = 3 * MiB + 12_288;
      const { from, to } = await disk.extent(path, bad, 4096);
      await disk.disk.command(`err read ${from} ${to} ${EIO}`);
      const bufferSize = 256 * 1024;
      const reader = new DmaStreamReader(await DmaFile.open(path), { bufferSize });
      let read = 0;
      const error = await within(
        30,
        "read",
        assertRejects(async () => {
          for await (const chunk of reader) {
            assertEquals(firstWrong(chunk, chunk.length, 9, read), -1);
            read += chunk.length;
          }
        }),
      );
      assertIoError(error, { code: "EIO", op: "read", path });
      await assertFired(disk);
      assertEquals(read, bad - bad % bufferSize, "All buffers before the bad one were given out");
      await assertIdle();

      // Reads elsewhere go well, and ranges that were read together fail alone.
      await using file = await DmaFile.open(path);
      const good = await file.readAt(bad + 4096, 5000);
      assertEquals(firstWrong(good, 5000, 9, bad + 4096), -1);
      assertIoError(await assertRejects(() => file.readAt(bad + 10, 5)), {
        code: "EIO",
        op: "read",
        path,
      });
      const ranges = [{ position: bad - 4096, length: 4096 }, { position: bad, length: 4096 }];
      const results = [];
      const failure = await assertRejects(async () => {
        for await (const result of file.readMany(ranges)) results.push(result);
      });
      assertIoError(failure, { code: "EIO", op: "read", path });
      assertEquals(results.length, 1);
    },
  );

  diskTest(
    "a disk that is slow for a while delays everybody and fails nobody",
    type,
    async (disk) => {
      const path = disk.file("file");
      await disk.disk.command("delay write 60");
      await disk.disk.command("delay flush 60");
      let ticks = 0;
      const timer = setInterval(() => ticks++, 10);
      const began = performance.now();
      const writer = new DmaStreamWriter(await DmaFile.create(path), { bufferSize: MiB });
      await writer.write(content(0, 4 * MiB + 3));
      await writer.close();
      const took = performance.now() - began;
      clearInterval(timer);
      assert(took > 120, `The delay must be felt: ${took} ms`);
      assert(ticks > took / 40, `The event loop stood still: ${ticks} ticks in ${took} ms`);
      await assertCutToFlushed(writer, path);
      await assertIdle();
    },
  );
}
