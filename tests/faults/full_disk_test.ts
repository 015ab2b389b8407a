// Disks that fill up, for real: the first error is what every call gives, what was flushed is right, the rest is
// cut off, and nobody else is disturbed.

import "../support/engine.ts";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { DmaFile, DmaStreamWriter, ioStats } from "../../mod.ts";
import { run, runOrThrow } from "../setup/command.ts";
import { eventually } from "../support/descriptors.ts";
import { content, firstWrongInFile } from "./content.ts";
import { type FileSystem, fileSystems, type LoopMount, smallDiskTest } from "./disks.ts";
import {
  assertCutToFlushed,
  assertIdle,
  assertIoError,
  assertSticky,
  bystander,
  pipeUntilFailure,
  within,
  writeUntilFailure,
} from "./failed_writer.ts";

const MiB = 1 << 20;
/** More than any disk here has. */
const TOO_MUCH = 512 * MiB;

/** Registers a test with a disk that has only so many megabytes left. */
function roomTest(
  name: string,
  type: FileSystem,
  megabytes: number,
  fn: (disk: LoopMount, directory: string) => Promise<void>,
): void {
  smallDiskTest(name, type, {}, async (disk, directory) => {
    const filler = await disk.free() - megabytes * MiB;
    if (filler > 0) await runOrThrow("fallocate", ["-l", String(filler), `${disk.path}/filler`]);
    await runOrThrow("sync", []);
    await fn(disk, directory);
  });
}

const ways = { "write()": writeUntilFailure, "a pipe": pipeUntilFailure };

for (const type of fileSystems) {
  for (const [way, fill] of Object.entries(ways)) {
    for (const preallocate of [true, false]) {
      const how = `by ${way}${preallocate ? "" : ", preallocate off"}`;
      roomTest(
        `a disk that fills up ${how} fails once and for all, and what was flushed is right`,
        type,
        24,
        async (disk, directory) => {
          const path = `${disk.path}/file`;
          let running = true;
          const beside = bystander(`${directory}/beside`, () => running);
          beside.catch(() => {});
          const writer = new DmaStreamWriter(await DmaFile.create(path), { preallocate });
          const error = await fill(writer, TOO_MUCH);
          assertIoError(error, { code: "ENOSPC", op: "write", path });
          await assertSticky(writer, error);
          assert(writer.currentFlushedPos > 4 * MiB, "Most of the room was used");
          await assertCutToFlushed(writer, path);
          running = false;
          assert(await beside > 0);
          await assertIdle();
          // The control: the disk is full, not broken. With room again there are no errors.
          await Deno.remove(path);
          const again = new DmaStreamWriter(await DmaFile.create(path), { preallocate });
          await again.write(content(0, MiB));
          await again.close();
          assertEquals(await firstWrongInFile(path, MiB), -1);
        },
      );
    }
  }

  roomTest(
    "what a sync() promised on a disk that fills up later is there after an unmount",
    type,
    24,
    async (disk) => {
      const path = `${disk.path}/file`;
      const writer = new DmaStreamWriter(await DmaFile.create(path));
      await writer.write(content(0, 5 * MiB + 77));
      const synced = await writer.sync({ tail: true });
      assertEquals(synced, 5 * MiB + 77);
      let at = synced;
      const error = await assertRejects(async () => {
        for (; at < TOO_MUCH; at += MiB) {
          await within(30, "write", writer.write(content(at, MiB)));
        }
      });
      assertIoError(error, { code: "ENOSPC", op: "write", path });
      await assertRejects(() => writer.close());
      const flushed = writer.currentFlushedPos;
      assert(flushed >= synced);
      await disk.remount();
      assertEquals((await Deno.stat(path)).size, flushed);
      assertEquals(await firstWrongInFile(path, flushed), -1);
    },
  );

  roomTest(
    "a reservation that is larger than the disk fails and leaves nothing reserved",
    type,
    24,
    async (disk) => {
      const path = `${disk.path}/file`;
      await using file = await DmaFile.create(path);
      await file.writeAt(content(0, 8192), 0);
      await file.preallocate(MiB);
      for (const keepSize of [true, false]) {
        const reserving = file.preallocate(TOO_MUCH, { keepSize });
        const error = await assertRejects(() => reserving);
        assertIoError(error, { code: "ENOSPC", op: "allocate", path });
        assert(await disk.free() > 16 * MiB, `${await disk.free()} bytes are free`);
        assertEquals(await file.size(), MiB);
      }
      assertEquals(await firstWrongInFile(path, 8192), -1);
    },
  );

  roomTest(
    "a size hint that is larger than the disk fails nothing, and the space is given back",
    type,
    24,
    async (disk) => {
      const path = `${disk.path}/file`;
      const { failed } = ioStats();
      const writer = new DmaStreamWriter(await DmaFile.create(path), { sizeHint: TOO_MUCH });
      await writer.write(content(0, 3 * MiB + 1));
      await writer.flushAligned();
      // What other programs need is not taken until the writer ends.
      await eventually(async () => await disk.free() > 16 * MiB);
      await writer.write(content(3 * MiB + 1, 5));
      await writer.close();
      // On btrfs nothing is reserved.
      const reserves = type !== "btrfs";
      assertEquals(ioStats().failed > failed, reserves, "Whether a reservation has failed");
      const { size, blocks } = await Deno.stat(path);
      assertEquals(size, 3 * MiB + 6);
      assert(blocks! * 512 < 5 * MiB, `${blocks! * 512} bytes are taken for ${size}`);
      assertEquals(await firstWrongInFile(path, size), -1);
      await assertIdle();
    },
  );

  roomTest(
    "an atomic file on a disk that fills up leaves the old file and no other name",
    type,
    16,
    async (disk) => {
      const path = `${disk.path}/file`;
      await Deno.writeFile(path, content(0, 1000, 3));
      const before = [...Deno.readDirSync(disk.path)].map(({ name }) => name).sort();
      const writer = new DmaStreamWriter(await DmaFile.create(path, { atomic: true }));
      const error = await writeUntilFailure(writer, TOO_MUCH);
      assertIoError(error, { code: "ENOSPC", op: "write", path });
      await assertSticky(writer, error);
      assertEquals([...Deno.readDirSync(disk.path)].map(({ name }) => name).sort(), before);
      assertEquals((await Deno.stat(path)).size, 1000);
      assertEquals(await firstWrongInFile(path, 1000, 3), -1);
      await assertIdle();
    },
  );

  roomTest(
    "writeAt on a full disk rejects with ENOSPC, and the file stays usable",
    type,
    8,
    async (disk) => {
      const path = `${disk.path}/file`;
      await using file = await DmaFile.create(path);
      await file.writeAt(content(0, MiB), 0);
      let at = MiB;
      const error = await assertRejects(async () => {
        for (; at < TOO_MUCH; at += MiB) await file.writeAt(content(at, MiB), at);
      });
      assertIoError(error, { code: "ENOSPC", op: "write", path });
      assertEquals(await firstWrongInFile(path, at), -1);
      const buffer = file.allocBuffer(32 * MiB);
      assertIoError(await assertRejects(() => file.writeAt(buffer, at)), {
        code: "ENOSPC",
        op: "write",
        path,
      });
      assertEquals(buffer.bytes.length, 32 * MiB, "The buffer came back");
      await file.truncate(MiB);
      await file.writeAt(content(MiB, 4096), MiB);
      await file.sync();
      assertEquals(await firstWrongInFile(path, MiB + 4096), -1);
    },
  );

  roomTest(
    "preallocate() beyond the disk rejects with ENOSPC, and close leaves the content",
    type,
    8,
    async (disk) => {
      const path = `${disk.path}/file`;
      await using file = await DmaFile.create(path);
      const error = await assertRejects(() => file.preallocate(TOO_MUCH));
      assertIoError(error, { code: "ENOSPC", op: "allocate", path });
      // What a failed reservation took belongs to the writer that owns the length: it cuts it off.
      const writer = new DmaStreamWriter(file);
      await writer.write(content(0, 100_000));
      await writer.close();
      assertEquals((await Deno.stat(path)).size, 100_000);
      assertEquals(await firstWrongInFile(path, 100_000), -1);
    },
  );
}

smallDiskTest(
  "a write that the kernel really cuts short is continued, and then says that the disk is full",
  "btrfs",
  {},
  async (disk) => {
    // Free space in pieces: all of it is taken by small files, and a few of these are removed.
    const piece = new Uint8Array(64 * 1024).fill(1);
    let count = 0;
    try {
      for (; count < 10_000; count++) await Deno.writeFile(`${disk.path}/${count}`, piece);
    } catch {
      // Full.
    }
    await run("sync", ["-f", disk.path]);
    for (let index = 0; index < 80; index += 4) await Deno.remove(`${disk.path}/${index}`);
    await run("sync", ["-f", disk.path]);

    const path = `${disk.path}/file`;
    const buffer = 4 * MiB;
    const writer = new DmaStreamWriter(await DmaFile.create(path), {
      bufferSize: buffer,
      writeBehind: 1,
      preallocate: false,
    });
    const { bytesWritten } = ioStats();
    const error = await writeUntilFailure(writer, TOO_MUCH);
    assertIoError(error, { code: "ENOSPC", op: "write", path });
    const moved = ioStats().bytesWritten - bytesWritten;
    assert(moved % buffer > 0, `The kernel took ${moved} bytes: none of its writes was short`);
    await assertSticky(writer, error);
    await assertCutToFlushed(writer, path);
    await assertIdle();
  },
);
