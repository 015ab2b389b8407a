// Checks of the promises that depend on the file system. Each has a separate directory.

import { assert, assertEquals } from "@std/assert";
import { DmaFile, DmaStreamWriter } from "../../mod.ts";
import { eventually, pause } from "../setup/command.ts";
import { allOf, assertFile, assertNoFile, namesIn, openPattern } from "../support/bytes.ts";
import { chunksOf, joined, overlaid, pattern } from "../support/bytes.ts";

/** An odd length of several buffers. */
const LENGTH = 2_490_081;
const CHUNK = 1 << 16;

/** Servers answer from caches for up to a second. */
export const MEMORY_MS = 1200;

async function writeAll(writer: DmaStreamWriter, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  for (const chunk of chunksOf(bytes, CHUNK)) await writer.write(chunk);
}

export async function writeAndClose(writer: DmaStreamWriter, bytes: Uint8Array<ArrayBuffer>) {
  await writeAll(writer, bytes);
  await writer.close();
}

/** NFS and servers with libfuse keep a removed file that is open under a hidden name, until shortly after it is closed. */
async function assertEmptySoon(directory: string): Promise<void> {
  await eventually(async () => (await namesIn(directory)).length === 0);
}

async function removeOpen(path: string): Promise<DmaFile> {
  const file = await openPattern(path, 50_001, { write: true });
  await file.remove();
  return file;
}

/** Gets an empty directory, and the path of a file in it. */
type Check = (path: string, directory: string) => Promise<void>;

/** All promises that depend on the file system. */
export const promises: Readonly<Record<string, Check>> = {
  "a file of odd length is whole, and no longer": async (path) => {
    // Each but the first is emptied first.
    for (const [start, length] of [LENGTH, 1, 0, 5000].entries()) {
      await writeAndClose((await DmaFile.create(path)).writable, pattern(length, start));
      await assertFile(path, pattern(length, start), "By Deno.readFile");
      assertEquals(await allOf((await DmaFile.open(path)).readable), pattern(length, start));
    }
  },

  "an atomic file appears when it is closed, and stays": async (path, directory) => {
    let before: Uint8Array | undefined;
    for (const [start, length] of [70_001, 5001].entries()) {
      const { writable } = await DmaFile.create(path, { atomic: true });
      await writeAll(writable, pattern(length, start));
      assertEquals(await Deno.readFile(path).catch(() => undefined), before);
      await writable.close();
      await pause(MEMORY_MS);
      await assertFile(path, before = pattern(length, start));
      assertEquals(await namesIn(directory), ["file"]);
    }
  },

  "an aborted atomic file leaves nothing": async (path, directory) => {
    const { writable } = await DmaFile.create(path, { atomic: true });
    await writeAll(writable, pattern(70_001));
    await writable.abort();
    await assertEmptySoon(directory);
  },

  "a reader gets no byte past the end": async (path) => {
    await using file = await openPattern(path, 5000);
    assertEquals(await file.readAt(4000, 1 << 20), pattern(1000, 4000));
    assertEquals(await file.readAt(4999, 10), pattern(1, 4999));
    assertEquals(await file.readAt(5000, 4096), new Uint8Array());
    assertEquals(await file.readAt(1 << 20, 4096), new Uint8Array());
    const ranges = [{ position: 4990, length: 100 }, { position: 0, length: 10 }];
    const read = await Array.fromAsync(file.readMany(ranges), ({ bytes }) => bytes);
    assertEquals(read, [pattern(10, 4990), pattern(10)]);
  },

  "writers append at the odd end": async (path) => {
    await Deno.writeFile(path, pattern(777));
    for (const start of [777, 100_778]) {
      const file = await DmaFile.open(path, { write: true });
      await writeAndClose(new DmaStreamWriter(file, { append: true }), pattern(100_001, start));
    }
    await assertFile(path, pattern(200_779));
    const file = await DmaFile.open(path, { append: true });
    await writeAndClose(file.writable, pattern(1001, 200_779));
    await assertFile(path, pattern(201_780));
  },

  "a writer inside a file leaves what is around it": async (path) => {
    const file = await openPattern(path, 300_001, { write: true });
    await writeAndClose(new DmaStreamWriter(file, { position: 1001 }), pattern(100_000, 5));
    await assertFile(path, overlaid(pattern(300_001), pattern(100_000, 5), 1001));
  },

  "sync({ tail: true }) leaves the exact length each time": async (path) => {
    const file = await DmaFile.create(path);
    const writer = new DmaStreamWriter(file, { preallocate: false });
    for (let end = 3333; end < 20_000; end += 3333) {
      await writer.write(pattern(3333, end - 3333));
      assertEquals(await writer.sync({ tail: true }), end);
      await assertFile(path, pattern(end));
    }
    await writer.close();
  },

  "abort leaves what is flushed": async (path) => {
    const { writable } = await DmaFile.create(path);
    await writeAll(writable, pattern(LENGTH));
    await writable.abort("enough");
    assert(writable.currentFlushedPos > 0);
    await assertFile(path, pattern(writable.currentFlushedPos));
  },

  "a size hint leaves nothing behind": async (path) => {
    const file = await DmaFile.create(path);
    await writeAndClose(new DmaStreamWriter(file, { sizeHint: 1 << 20 }), pattern(5000));
    await assertFile(path, pattern(5000));
  },

  "preallocate() reserves, or rejects": async (path) => {
    await using file = await DmaFile.create(path);
    const failure = await file.preallocate(100_001).then(() => undefined, ({ code }) => code);
    assert(failure === undefined || failure === "EOPNOTSUPP", failure);
    assertEquals(await file.size(), failure ? 0 : 100_001);
  },

  "copyRangeTo() copies odd ranges": async (path) => {
    await using from = await openPattern(path, 400_001);
    await using to = await DmaFile.create(`${path}-copy`);
    assertEquals(await from.copyRangeTo(to, 1, 399_999, 0), 399_999);
    assertEquals(await from.copyRangeTo(to, 399_000, 5000, 399_999), 1001);
    await to.sync();
    await assertFile(to.path, joined(pattern(399_999, 1), pattern(1001, 399_000)));
  },

  "truncate() and writeAt() change what they say": async (path) => {
    await using file = await DmaFile.create(path);
    await file.truncate(9001);
    assertEquals(await file.size(), 9001);
    const buffer = file.allocBuffer(1);
    const block = buffer.length;
    buffer.bytes.set(pattern(block));
    await file.writeAt(buffer, block);
    await file.truncate(block + 904);
    await assertFile(path, joined(new Uint8Array(block), pattern(904)));
  },

  "a file that is renamed while it is open stays the same one": async (path, directory) => {
    const renamed = `${directory}/other/renamed`;
    await Deno.mkdir(`${directory}/other`);
    for (const [length, atomic] of [[70_001, false], [100_001, true]] as const) {
      const file = await DmaFile.create(path, { atomic });
      await writeAll(file.writable, pattern(length));
      await file.rename(renamed);
      await file.writable.close();
      await assertNoFile(path);
      await assertFile(renamed, pattern(length));
    }
    await using file = await DmaFile.open(renamed);
    await file.rename(path);
    await file.remove();
    assertEquals(await namesIn(`${directory}/other`), []);
  },

  "a file that is removed while it is open is read, and vanishes": async (path, directory) => {
    const file = await removeOpen(path);
    assertEquals(await file.readAt(1, 50_000), pattern(50_000, 1));
    await file.close();
    await assertEmptySoon(directory);
  },

  "a file that is removed while it is open has no name at once": async (path) => {
    const file = await removeOpen(path);
    await assertNoFile(path);
    await file.close();
  },

  "a held lock is told": async (path) => {
    await using one = await DmaFile.create(path);
    await using other = await DmaFile.open(path, { write: true });
    assertEquals(await one.tryLock(true), true);
    assertEquals(await other.tryLock(true), false);
    assertEquals(await other.tryLock(), false);
    await one.unlock();
    assertEquals(await other.tryLock(), true);
  },
};
