// What a writer makes durable, and what it leaves out: close(), sync() and flushSync().

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { DmaFile, DmaStreamWriter, ioStats } from "../../mod.ts";
import { Errno, O_CREAT, O_EXCL, RWF_DSYNC } from "../../src/engine/linux.ts";
import type { Operation } from "../../src/engine/operation.ts";
import { DISK } from "../../src/file/file_system.ts";
import { sinkOf } from "../../src/writer/sink.ts";
import { eventually, pause } from "../setup/command.ts";
import { assertFile, filled, MIB, pattern } from "../support/bytes.ts";
import { isOnDisk, testDirectAndCached } from "../support/dirs.ts";
import { alter, engine, fail, hold, interpose, watch } from "../support/engine.ts";
import { closeWith, create, createOver, small, testWriter } from "./create.ts";

function isDirectory(fd: number): boolean {
  return Deno.statSync(`/proc/self/fd/${fd}`).isDirectory;
}

testDirectAndCached("The directory is synced once, for a new name", async (dir) => {
  const unsynced = await create(dir, { syncOnClose: false, closeFile: false }, "unsynced");
  await unsynced.write(pattern(10));
  await unsynced.close();
  const synced = await create(dir, small, "synced");
  await synced.write(pattern(8192));
  await synced.sync();
  const writers: [times: number, writer: DmaStreamWriter][] = [
    [1, await create(dir, {}, "new")],
    [1, await create(dir, {}, "not (deleted)")],
    [1, new DmaStreamWriter(unsynced.file, { append: true })],
    [0, await createOver(dir.file("old"), pattern(100))],
    [0, synced],
  ];
  for (const [times, stream] of writers) {
    let directories = 0;
    using syncs = watch("sync", ({ fd }) => {
      if (isDirectory(fd)) directories++;
    });
    await stream.write(pattern(8192));
    await stream.sync({ tail: true });
    await stream.close();
    assertEquals(directories, times, stream.file.path);
    assert(syncs.count > directories);
  }
});

testDirectAndCached("Nothing is written or synced twice, or for nothing", async (dir) => {
  const done = () => [ioStats().writes, ioStats().syncs];
  const untouched = await createOver(dir.file("file"), pattern(3000), { position: 700 });
  const before = done();
  await closeWith(untouched, pattern(3000));
  assertEquals(done(), before);
  for (const length of [8192, 10_001]) {
    const writer = await create(dir, small);
    await writer.write(pattern(length));
    assertEquals(await writer.sync({ tail: true }), length);
    const [writes, syncs] = done();
    assertEquals([await writer.sync(), await writer.sync({ tail: true })], [length, length]);
    assertEquals(done(), [writes, syncs]);
    await closeWith(writer, pattern(length));
    const calls = [writer.sync(), writer.flushAligned({ tail: true })];
    assertEquals(await Promise.all(calls), [length, length]);
    // Padding is cut off, and that is synced.
    const isPadded = length % writer.file.alignUp(1) > 0 && writer.file.direct;
    assertEquals(done(), [writes, syncs! + (isPadded ? 1 : 0)]);
  }
  const unsynced = await create(dir, { ...small, syncOnClose: false });
  const [, syncs] = done();
  await unsynced.write(pattern(10_001));
  await closeWith(unsynced, pattern(10_001));
  assertEquals(done()[1], syncs);
  // A file that is emptied has changed, but not before that, as on file systems where a truncate needs a sync.
  DISK.cutsDirty = false;
  using _ = { [Symbol.dispose]: () => DISK.cutsDirty = true };
  for (const more of [1, 2]) {
    await (await DmaFile.create(unsynced.file.path)).writable.close();
    assertEquals(done()[1], syncs! + more);
  }
});

/** Ways to give a file a name, and the operations that do, with the flags of an open. */
const namings: ["open" | "rename", (path: string) => Promise<void>, flags?: number][] = [
  ["open", async (path) => (await DmaFile.create(path)).writable.close(), O_CREAT | O_EXCL],
  ["open", async (path) => {
    await Deno.symlink(`${path}.target`, path);
    await (await DmaFile.create(path)).writable.close();
  }, O_CREAT],
  ["rename", async (path) => {
    const file = await DmaFile.create(`${path}.old`);
    await file.rename(path);
    await file.writable.close();
  }],
  ["rename", async (path) => (await DmaFile.create(path, { atomic: true })).close()],
];

testDirectAndCached("A directory that cannot be synced fails the new names in it", async (dir) => {
  const says = "(os error 5): sync";
  for (const [op, give, creates] of namings) {
    const folder = await Deno.makeTempDir({ dir: dir.path });
    const names = ["1", "2", "3", "4"].map((name) => `${folder}/${name}`);
    const creating = names.map(async (name) => (await DmaFile.create(name)).writable);
    const [first, second, third, fourth] = await Promise.all(creating);
    const atomic = await DmaFile.create(`${folder}/atomic`, { atomic: true });
    const fails = (writer: DmaStreamWriter, name: number) =>
      assertRejects(() => writer.close(), Error, `${says} '${folder}/${name}'`);
    const gives = (operation: Operation) =>
      Object.values(operation).includes("new") &&
      (operation.op !== "open" || (operation.flags & (O_CREAT | O_EXCL)) === creates);
    using named = hold(op, { only: gives, results: true });
    const failed = assertRejects(() => give(`${folder}/new`), Error, says);
    await named.reach();
    {
      using _ = fail("sync", Errno.EIO, ({ fd }) => isDirectory(fd));
      // One sync serves both, and each error names its own file.
      await Promise.all([fails(first!, 1), fails(fourth!, 4)]);
    }
    named.letGo();
    await failed;
    // Another sync succeeds, though the kernel has thrown these names away.
    await fails(second!, 2);
    assertThrows(() => third!.flushSync({ durable: true }), Error, says);
    await assertRejects(() => third!.close(), Error, says);
    // What is named afterwards is not among them.
    await give(`${folder}/later`);
    await atomic.close();
  }
  // If both fail, the error is that of the bytes.
  const writer = await create(dir);
  using _ = interpose("sync", ({ operation: { fd }, end }) => {
    end(isDirectory(fd) ? -Errno.EIO : -Errno.ENOSPC);
  });
  await assertRejects(() => writer.close(), Error, "(os error 28): sync");
});

testWriter("A sync that fails has ended, with the error of the bytes", {}, async (writer) => {
  await writer.write(pattern(100));
  using _ = fail("sync", Errno.EIO, ({ fd }) => !isDirectory(fd));
  using names = hold("sync", { only: ({ fd }) => isDirectory(fd) });
  const synced = assertRejects(() => writer.sync({ tail: true }), Error, "(os error 5): sync");
  await names.reach();
  assertEquals(await Promise.race([synced, pause(20)]), undefined);
  names.letGo();
  await synced;
});

testDirectAndCached("A sync makes durable what was there before", async (dir) => {
  const syncs: ((writer: DmaStreamWriter) => unknown)[] = [
    (writer) => writer.sync(),
    (writer) => writer.sync({ tail: true }),
    (writer) => writer.flushSync({ durable: true }),
  ];
  for (const sync of syncs) {
    const file = await DmaFile.create(dir.file("file"));
    await new DmaStreamWriter(file, { closeFile: false }).close();
    const opened = await DmaFile.open(file.path, { write: true });
    const syncing = await DmaFile.open(file.path, { write: true });
    using held = hold("sync", { results: true });
    const earlier = syncing.sync();
    await held.reach();
    // Another program may write to it, and be killed before it syncs.
    await Deno.writeFile(file.path, pattern(100));
    for (const each of [syncing, file, opened]) {
      const writer = new DmaStreamWriter(each, { append: true });
      await writer.flushAligned();
      held.letGo();
      await earlier;
      const before = ioStats().syncs;
      await sync(writer);
      assertEquals(ioStats().syncs, before + 1, String(sync));
      await writer.close();
    }
  }
});

testDirectAndCached("A tail is made durable by its own write, once the rest is", async (dir) => {
  for (const refuses of [0, Errno.EOPNOTSUPP, Errno.ENOSYS, Errno.EPERM]) {
    const stream = await create(dir, small);
    await stream.write(pattern(100));
    await stream.sync({ tail: true });
    const flags: number[] = [];
    using _writes = interpose("write", ({ operation, pass, end }) => {
      flags.push(operation.flags);
      if (refuses && operation.flags & RWF_DSYNC) end(-refuses);
      else pass();
    });
    using syncs = watch("sync");
    await stream.write(pattern(100, 100));
    assertEquals(await stream.sync({ tail: true }), 200);
    // If no write is durable by itself, a sync follows it, and the flag is not tried again.
    const first = refuses ? [RWF_DSYNC, 0] : [RWF_DSYNC];
    assertEquals([flags, syncs.count], [first, refuses ? 1 : 0]);
    // Without somebody who waits for that, a write is a plain one.
    await stream.write(pattern(100, 200));
    await stream.flushAligned({ tail: true });
    // Then there is more to sync than the next write.
    await stream.write(pattern(100, 300));
    assertEquals(await stream.sync({ tail: true }), 400);
    assertEquals([flags, syncs.count], [[...first, 0, 0], refuses ? 2 : 1]);
    // A write beside another one is followed by a sync in any case.
    stream.write(pattern(5000, 400));
    await stream.sync({ tail: true });
    assertEquals([flags, syncs.count], [[...first, 0, 0, 0, 0], refuses ? 3 : 2]);
    await closeWith(stream, pattern(5400));
  }
});

testWriter("A tail is not durable by itself if the file changed", {}, async (stream) => {
  await stream.write(pattern(100));
  await stream.sync({ tail: true });
  using syncs = watch("sync");
  using tail = hold("write", { only: ({ position }) => position < 4096, results: true });
  await stream.write(pattern(100, 100));
  const synced = stream.sync({ tail: true });
  await tail.reach();
  // Another write of the program ends first.
  await stream.file.writeAt(pattern(4096), 32_768);
  tail.letGo();
  await synced;
  assertEquals(syncs.count, 1);
  await stream.close();
});

testDirectAndCached("flushSync({ durable }) syncs file and name, once", async (dir) => {
  await Deno.mkdir(dir.file("other"));
  // A file that was moved has a name in another directory too.
  for (const [folder, all] of [[".", 2], ["other", 3]] as const) {
    const writer = await create(dir, small, `${all}`);
    await writer.write(pattern(100));
    await Deno.rename(writer.file.path, dir.file(`${folder}/${all}`));
    const { syncs } = ioStats();
    const since = () => ioStats().syncs - syncs;
    writer.flushSync();
    assertEquals(since(), 0);
    writer.flushSync({ durable: true });
    assertEquals(since(), all);
    writer.flushSync({ durable: true });
    // Nothing is left for a sync of the other kind.
    await writer.sync({ tail: true });
    assertEquals(since(), all);
    await writer.abort();
  }
});

testWriter("flushSync() repeats a write after pauses", {}, async (writer) => {
  await writer.write(pattern(5000));
  let failures = 4;
  using _ = alter("write", () => failures-- > 0 ? -Errno.EAGAIN : undefined);
  sinkOf(writer)!.flushNow(false, performance.now() + 9000);
  // The timers of the pauses end too.
  await pause(20);
  await closeWith(writer, pattern(5000));
});

testDirectAndCached("A close waits for a sync that flushSync() overtakes", async (dir) => {
  const options = { append: true, preallocate: false, syncOnClose: false };
  const stream = await createOver(dir.file("file"), pattern(8192), options);
  // The chunk waits until the size of the file is known. Whole blocks need no cut.
  const written = stream.write(pattern(8192, 8192));
  const synced = stream.sync({ tail: true });
  const closed = stream.close();
  stream.flushSync();
  assertEquals(await synced, 16_384);
  await Promise.all([written, closed]);
});

testWriter("flushSync({ durable }) throws if a running sync fails", {}, async (writer) => {
  // The kernel reports a failure only once, so a second sync would succeed.
  const running = Promise.withResolvers<void>();
  using _ = interpose("sync", ({ completion, pass }) => {
    pass({}, { complete: () => completion.complete(-Errno.EIO) });
    running.resolve();
  });
  await writer.write(pattern(100));
  const calls = [
    writer.sync({ tail: true }),
    running.promise.then(() => writer.flushSync({ durable: true })),
  ];
  await Promise.all(calls.map((call) => assertRejects(() => call, Error, "(os error 5): sync")));
});

testDirectAndCached("flushSync() at any moment writes all that was given", async (dir) => {
  for (let turn = 0; turn < 60; turn++) {
    const writer = await create(dir, { bufferSize: 8192, preallocate: false });
    const { file } = writer;
    await writer.write(pattern(20_001));
    // The sync cuts its padding. The truncate waits for the write past the writer, whose end is told by a promise.
    const work: Promise<unknown>[] = [writer.sync({ tail: true })];
    if (turn % 2 === 1) work.push(file.readAt(0, 100));
    if (turn % 3 === 1) work.push(file.writeAt(pattern(4096), 0));
    if (turn % 3 > 0) work.push(file.truncate(30_000));
    work.push(writer.write(pattern(20_000, 20_001)));
    for (let round = 0; round < turn % 4; round++) await pause(0);
    for (let round = 0; round < turn >> 1; round++) await undefined;
    writer.flushSync();
    assertEquals(writer.currentFlushedPos, 40_001);
    await Promise.all(work);
    await writer.close();
    const bytes = await Deno.readFile(file.path);
    const expected = pattern(40_001);
    assert(bytes.every((byte, at) => byte === expected[at] || (at >= 30_000 && byte === 0)));
    // The truncate came before the last writes, between them, or after them.
    if (turn % 3 === 0) assertEquals(bytes, expected);
    else assert(bytes.length === 30_000 || bytes.length === 40_001, `${bytes.length} bytes`);
  }
});

testDirectAndCached("A chunk after close() or seal() is not written or waited for", async (dir) => {
  for (const end of ["close", "seal"] as const) {
    for (const flushes of [true, false]) {
      const writer = await create(dir, small);
      const written = writer.write(pattern(100_000));
      assert(writer.currentPos < 100_000, "Something must wait");
      const ended = writer[end]();
      const lock = writer.getWriter();
      await assertRejects(() => lock.write(filled(1000, 9)), TypeError, "clos");
      assertEquals(writer.nextPos, 100_000);
      const flushed = writer.flushAligned({ tail: true });
      if (flushes) writer.flushSync();
      assertEquals(await flushed, 100_000);
      await Promise.all([written, ended]);
      await writer.file.close();
      await assertFile(dir.file("file"), pattern(100_000));
    }
  }
});

/**
 * Registers a test of a writer on a file of a server that ends writes before it has the bytes, and tells of a failure later:
 * the flushed position follows its syncs. For these tests disks are such servers. The simulator has their failures.
 */
function testEarly(name: string, buffer: number, fn: (writer: DmaStreamWriter) => Promise<void>) {
  testDirectAndCached(name, async (dir) => {
    DISK.confirmAfter = 16 * MIB;
    using _ = { [Symbol.dispose]: () => DISK.confirmAfter = 0 };
    const file = await DmaFile.create(dir.file("file"), { direct: "off" });
    await fn(new DmaStreamWriter(file, { bufferSize: buffer, writeBehind: 2 }));
  }, { where: isOnDisk });
}

const idle = () => eventually(() => engine.counters.inFlight === 0);

testEarly("No write is in flight during the sync of a server", 4096, async (writer) => {
  using syncs = hold("sync");
  using second = hold("write", { only: ({ position }) => position === 4096 });
  await writer.write(pattern(4096));
  const flushed = writer.flushAligned();
  await writer.write(pattern(4096, 4096));
  await second.reach();
  await idle();
  assertEquals(syncs.count, 0);
  second.letGo();
  await syncs.reach();
  const { writes } = ioStats();
  await writer.write(pattern(4096, 8192));
  await pause(5);
  assertEquals(ioStats().writes, writes);
  syncs.letGo();
  assertEquals(await flushed, 8192);
  await closeWith(writer, pattern(12_288));
});

testEarly("A server is synced at intervals, even if no caller waits", 8 * MIB, async (writer) => {
  const chunk = new Uint8Array(8 * MIB);
  await writer.write(chunk);
  await idle();
  assertEquals(writer.currentFlushedPos, 0);
  await writer.write(chunk);
  await eventually(() => writer.currentFlushedPos === 16 * MIB);
  await closeWith(writer, new Uint8Array(16 * MIB));
});
