// File systems that withdraw what they gave: mounted read-only, shut down in the middle of writing, or out of quota.

import "../support/engine.ts";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { DmaFile, DmaStreamReader, DmaStreamWriter } from "../../mod.ts";
import { hasProgram, runOrThrow } from "../setup/command.ts";
import { content, firstForeign, firstWrong, firstWrongInFile } from "./content.ts";
import { fileSystems, smallDiskTest } from "./disks.ts";
import {
  assertIdle,
  assertIoError,
  assertSticky,
  bystander,
  within,
  writeUntilFailure,
} from "./failed_writer.ts";

const MiB = 1 << 20;

for (const type of fileSystems) {
  smallDiskTest(
    "a file system that is mounted read-only is read, and says so to writers",
    type,
    {},
    async (disk) => {
      const path = `${disk.path}/file`;
      const writer = new DmaStreamWriter(await DmaFile.create(path));
      await writer.write(content(0, MiB));
      // Not while somebody writes: that is the kernel's own rule.
      await writer.close();
      await runOrThrow("mount", ["-o", "remount,ro", disk.path]);
      const calls = {
        create: () => DmaFile.create(path),
        new: () => DmaFile.create(`${disk.path}/new`),
        open: () => DmaFile.open(path, { write: true }),
        truncate: () => DmaFile.open(path, { write: true, truncate: true }),
        atomic: () => DmaFile.create(path, { atomic: true }),
        temp: () => DmaFile.temp({ dir: disk.path }),
      };
      for (const [name, call] of Object.entries(calls)) {
        const error = await assertRejects(call, Error, undefined, name);
        const { path: told } = error as { path?: string };
        assert(told !== undefined);
        assertIoError(error, { code: "EROFS", op: "open", path: told });
        if (name !== "temp" && name !== "atomic") assertEquals(told.startsWith(disk.path), true);
      }
      await using file = await DmaFile.open(path);
      assertEquals(firstWrong(await file.readAt(3, 5000), 5000, 0, 3), -1);
      let at = 0;
      for await (const chunk of new DmaStreamReader(file, { closeFile: false })) {
        assertEquals(firstWrong(chunk, chunk.length, 0, at), -1);
        at += chunk.length;
      }
      assertEquals(at, MiB);
      await assertRejects(() => file.rename(`${path}2`));
      await assertRejects(() => file.remove());
      await assertIdle();
    },
  );
}

/** Commands that make a file system give up at once, as it does by itself when its disk is broken. */
const shutDown = {
  ext4: (path: string) => runOrThrow("mount", ["-o", "remount,abort", path]),
  xfs: (path: string) => runOrThrow("xfs_io", ["-x", "-c", "shutdown", path]),
};

for (const type of ["ext4", "xfs"] as const) {
  smallDiskTest("a file system that shuts down fails its writers and nobody else's", type, {
    ignore: type === "xfs" && !hasProgram("xfs_io"),
  }, async (disk, directory) => {
    const path = `${disk.path}/file`;
    const writer = new DmaStreamWriter(await DmaFile.create(path), { bufferSize: 256 * 1024 });
    const atomicPath = `${disk.path}/atomic`;
    const atomic = new DmaStreamWriter(await DmaFile.create(atomicPath, { atomic: true }));
    await atomic.write(content(0, 100_000));
    await writer.write(content(0, 3 * MiB + 77));
    const synced = await writer.sync({ tail: true });
    let running = true;
    const beside = bystander(`${directory}/beside`, () => running);
    beside.catch(() => {});

    const writing = (async () => {
      for (let at = synced;; at += 70_001) {
        await within(20, "write", writer.write(content(at, 70_001)));
        if (at > synced + 20 * MiB) throw await assertRejects(() => writer.close());
      }
    })();
    writing.catch(() => {});
    await shutDown[type](disk.path);
    const error = await assertRejects(() => writing);
    const { code } = error as { code?: string };
    assert(code === "EIO" || code === "EROFS", String(error));
    await assertSticky(writer, error);
    assert(writer.currentFlushedPos >= synced);
    const second = await within(20, "close", assertRejects(() => atomic.close()));
    await assertSticky(atomic, second);
    await within(20, "open", assertRejects(() => DmaFile.create(`${disk.path}/new`)));
    running = false;
    assert(await beside > 0);
    await assertIdle();

    await disk.remount();
    assertEquals(await firstWrongInFile(path, synced), -1);
    await assertRejects(() => Deno.stat(atomicPath), Deno.errors.NotFound);
  });
}

smallDiskTest("a file beyond a quota fails once and for all", "btrfs", {
  ignore: !hasProgram("btrfs"),
}, async (disk) => {
  const path = `${disk.path}/file`;
  await runOrThrow("btrfs", ["quota", "enable", disk.path]);
  await runOrThrow("btrfs", ["qgroup", "limit", "8m", disk.path]);
  for (const preallocate of [true, false]) {
    const writer = new DmaStreamWriter(await DmaFile.create(path), {
      preallocate,
      bufferSize: 256 * 1024,
    });
    const error = await writeUntilFailure(writer, 32 * MiB);
    assertIoError(error, { code: "EDQUOT", op: "write", path });
    await assertSticky(writer, error);
    const flushed = writer.currentFlushedPos;
    assert(flushed > 2 * MiB && flushed <= 8 * MiB);
    const bytes = await Deno.readFile(path);
    assertEquals(firstWrong(bytes, flushed), -1);
    assertEquals(firstForeign(bytes, flushed), -1);
    if (bytes.length !== flushed) {
      // btrfs may need room to cut a file, too: then nobody can.
      const refused = await assertRejects(() => Deno.truncate(path, flushed));
      assertStringIncludes(String(refused), "os error 122");
    }
    await assertIdle();
    await Deno.remove(path);
    await runOrThrow("sync", ["-f", disk.path]);
  }
  // The control: the disk itself has room.
  await runOrThrow("btrfs", ["qgroup", "limit", "none", disk.path]);
  const writer = new DmaStreamWriter(await DmaFile.create(path));
  for (let at = 0; at < 16 * MiB; at += MiB) await writer.write(content(at, MiB));
  await writer.close();
  assertEquals(await firstWrongInFile(path, 16 * MiB), -1);
});
