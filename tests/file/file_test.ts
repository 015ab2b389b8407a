// DmaFile without reading and writing: length, space, name and durability; and what network file systems promise too.

import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { type DmaError, DmaFile, type DmaOpenOptions, ioStats } from "../../mod.ts";
import { descriptorNumber } from "../../src/dma_file.ts";
import { Errno } from "../../src/engine/linux.ts";
import { DISK } from "../../src/file/file_system.ts";
import { eventually, run } from "../setup/command.ts";
import { assertFile, joined, MIB, namesIn, openPattern, pattern } from "../support/bytes.ts";
import { descriptorsIn } from "../support/leaks.ts";
import { isOnDisk, type TestDirectory, testInEachDirectory } from "../support/dirs.ts";
import { alter, engine, interpose, withoutUnnamedFiles } from "../support/engine.ts";
import { promises } from "../mounts/promises.ts";

function testFile(
  name: string,
  length: number,
  fn: (file: DmaFile, path: string, dir: TestDirectory) => Promise<void>,
): void {
  testInEachDirectory(name, async (dir) => {
    await using file = await openPattern(dir.file("file"), length, { write: true });
    await fn(file, file.path, dir);
  });
}

const { NotADirectory, NotFound, NotSupported } = Deno.errors;
const zeros = (length: number) => new Uint8Array(length);
const bytesOnDisk = async (file: DmaFile) => (await file.stat()).blocks! * 512;

for (const [name, check] of Object.entries(promises)) {
  testInEachDirectory(`On every file system ${name}`, (dir) => check(dir.file("file"), dir.path));
}

testFile("size and stat are those of Deno.stat, whoever changes the file", 12_345, async (file) => {
  for (const length of [12_345, 5, 6 * 2 ** 32]) {
    await Deno.truncate(file.path, length);
    assertEquals(await file.size(), length);
  }
  await Deno.utime(file.path, new Date(1_234_567_890_123), new Date(1_500_000_000_987));
  const [ours, theirs] = [await file.stat(), await Deno.stat(file.path)];
  // Deno.stat omits the fraction of the second.
  ours.ctime?.setMilliseconds(0);
  assertEquals({ ...ours }, { ...theirs });
  // Deno 2.8 can neither set nor read such a date, and BusyBox cannot set it.
  const { success } = await run("touch", ["-d", "@-86400.5", file.path]);
  if (success) assertEquals((await file.stat()).mtime, new Date(-86_400_500));
});

testFile("preallocate reserves, and lengthens by zeros or keeps the size", 5000, async (file) => {
  await file.preallocate(MIB, { keepSize: true });
  assertEquals(await file.size(), 5000);
  assert(await bytesOnDisk(file) >= MIB);
  await file.preallocate(2 * MIB);
  assert(await bytesOnDisk(file) >= 2 * MIB);
  await assertFile(file.path, joined(pattern(5000), zeros(2 * MIB - 5000)));
  // A smaller length changes nothing.
  await file.preallocate(100);
  assertEquals(await file.size(), 2 * MIB);
  await assertRejects(() => file.preallocate(0), RangeError, "length");
});

testFile("deallocate punches a hole and keeps the length", MIB, async (file, path) => {
  await file.sync();
  const before = await bytesOnDisk(file);
  await file.deallocate(65_536, 524_288);
  const expected = pattern(MIB).fill(0, 65_536, 65_536 + 524_288);
  assertEquals(await file.readAt(0, 2 * MIB), expected);
  await file.sync();
  await eventually(async () => await bytesOnDisk(file) <= before - 524_288);
  // The range need not be aligned: the rest of a block is zeroed.
  await file.deallocate(100, 200);
  await file.deallocate(2 ** 30, 4096);
  await assertRejects(() => file.deallocate(0, 0), RangeError, "length");
  await assertRejects(() => file.deallocate(2 ** 53 - 1, 5), RangeError, "position + length");
  await file.close();
  await assertFile(path, expected.fill(0, 100, 300));
});

testFile("Syncs at once take turns, and share the next one and its failure", 5000, async (file) => {
  const kinds: boolean[] = [];
  {
    using _ = alter("sync", ({ dataOnly }) => void kinds.push(dataOnly));
    await Promise.all([file.syncData(), file.syncData(), file.sync()]);
    assertEquals(kinds, [true, false], "whether each is of data only");
  }
  // The kernel reports a failure once.
  using _ = interpose("sync", ({ index, end }) => end(index === 0 ? -Errno.EIO : 0));
  const message = `Error: Input/output error (os error 5): sync '${file.path}'`;
  const synced = [file.sync(), file.syncData()].map((sync) => sync.catch(String));
  assertEquals(await Promise.all(synced), [message, message]);
  assertEquals(await file.sync().catch(String), message);
});

testFile("rename moves the path too, or fails as Deno.rename does", 10, async (file, path, dir) => {
  await Deno.mkdir(dir.file("directory"));
  for (const target of [dir.file("directory"), dir.file("missing/x")]) {
    const ours = await assertRejects(() => file.rename(target), Error) as DmaError;
    const theirs = await assertRejects(() => Deno.rename(path, target), Error);
    assertStrictEquals(ours.constructor, theirs.constructor);
    assertEquals([ours.message, ours.op, ours.path], [theirs.message, "rename", path]);
  }
  await assertRejects(() => file.rename(""), NotFound);
  assertEquals(file.path, path);
  await file.rename(new URL(`file://${dir.path}/new`));
  assertEquals([file.path, ...await namesIn(dir.path)], [dir.file("new"), "directory", "new"]);
});

testInEachDirectory("DmaFile.temp has no name, and disappears at close", async (dir) => {
  const file = await DmaFile.temp({ dir: new URL(`file://${dir.path}`) });
  await file.writeAt(pattern(8192), 4096);
  assertEquals(await file.readAt(4000, 5000), joined(zeros(96), pattern(4904)));
  const { nlink, mode } = await file.stat();
  assertEquals([nlink, mode! & 0o777, descriptorsIn(dir.path)], [0, 0o600, 1]);
  await assertRejects(() => file.rename(dir.file("moved")), NotFound, "the file has no name");
  await file.remove();
  await file.close();
  assertEquals([descriptorsIn(dir.path), await namesIn(dir.path)], [0, []]);
  await assertRejects(() => DmaFile.temp({ dir: dir.file("none") }), NotFound);
  await Deno.writeFile(dir.file("file"), pattern(10));
  await assertRejects(() => DmaFile.temp({ dir: dir.file("file") }), NotADirectory);
  using _ = withoutUnnamedFiles();
  await assertRejects(() => DmaFile.temp({ dir: dir.path }), NotSupported, "files without a name");
});

testInEachDirectory("A thread closes what may wait, and nothing else", async (dir, path) => {
  const written = async (options: DmaOpenOptions) => {
    const file = await openPattern(path, 5000, { write: true, ...options });
    await file.writeAt(pattern(4096), 0);
    return file;
  };
  const removed = async () => {
    const file = await openPattern(path, 5000);
    await Deno.remove(path);
    return file;
  };
  const waiting = async () => {
    DISK.closeWaits = true;
    return await openPattern(path, 5000);
  };
  using _ = { [Symbol.dispose]: () => DISK.closeWaits = false };
  const isInMemory = dir.fileSystem === "tmpfs";
  const cases: [name: string, calls: 0 | 1, open: () => Promise<DmaFile>][] = [
    ["a large file", 1, () => openPattern(path, (1 << 20) + 1)],
    ["one without a name", 1, removed],
    ["a small file", 0, () => openPattern(path, 5000)],
    ["one in the page cache", 0, () => openPattern(path, 5000, { direct: "off" })],
    ["one written past the page cache", 0, () => written({})],
    ["one written through it", isInMemory ? 0 : 1, () => written({ direct: "off" })],
    ["one whose file system may wait", isOnDisk(dir) ? 1 : 0, waiting],
  ];
  for (const [name, calls, open] of cases) {
    const file = await open();
    const descriptor = descriptorNumber(file);
    assert(engine.deviceOf(descriptor)?.isLocal !== undefined);
    const before = ioStats().submissions;
    await file.close();
    assertEquals(ioStats().submissions - before, calls, name);
    assertEquals(engine.deviceOf(descriptor), undefined);
  }
});
