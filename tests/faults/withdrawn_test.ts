// File systems that withdraw what they gave: mounted read-only, or out of quota.

import "../support/engine.ts";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { DmaFile, DmaStreamWriter } from "../../mod.ts";
import { hasProgram, runOrThrow } from "../setup/command.ts";
import { allOf } from "../support/patterned.ts";
import { content, firstForeign, firstWrong } from "./content.ts";
import { smallDiskTest } from "./disks.ts";
import {
  assertContent,
  assertFails,
  assertFailsForGood,
  MiB,
  ways,
  writeContent,
} from "./failed_writer.ts";

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
      // btrfs may need room to cut a file, too: then nobody can.
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
