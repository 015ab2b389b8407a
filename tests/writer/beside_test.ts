// A writer on a file that has bytes already, or other users: no other bytes are lost, and a sync covers them all.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { DmaFile, DmaStreamWriter, ioStats } from "../../mod.ts";
import { Errno, O_RDWR } from "../../src/engine/linux.ts";
import { assertFile, filled, joined, overlaid, pattern } from "../support/bytes.ts";
import { openPattern, openWith } from "../support/bytes.ts";
import { type TestDirectory, testInEachDirectory } from "../support/dirs.ts";
import { fail, hold, interpose } from "../support/engine.ts";
import { closeWith, create, createOver, narrow } from "./create.ts";

/** Bytes that the pattern never has in a row. */
const old = (length: number) => filled(length, 0xee);
/** Another handle of the file. */
const reopen = (dir: TestDirectory) => DmaFile.open(dir.file("file"), { write: true });

testInEachDirectory("A hole before the position takes no space", async (dir) => {
  for (const sizeHint of [0, 4_000_000]) {
    const writer = await create(dir, { position: 300_000_000, sizeHint });
    await writer.write(pattern(5_000_000));
    await writer.sync();
    assert((await writer.file.stat()).blocks! * 512 < 100_000_000);
    await writer.close();
    const { size, blocks } = await Deno.stat(dir.file("file"));
    assertEquals(size, 305_000_000);
    assert(blocks! * 512 < 6_000_000, `${blocks} blocks`);
  }
});

testInEachDirectory("A file that is rewritten while it is read comes to its end", async (dir) => {
  const size = (20 << 20) + 100;
  const { readable, writable } = await openWith(dir.file("file"), old(size));
  let read = 0;
  for await (const chunk of readable) {
    await writable.write(pattern(chunk.length, read));
    read += chunk.length;
    assert(read <= size, "What is read was not in the file");
  }
  await closeWith(writable, pattern(size));
});

testInEachDirectory("A file open for writing only keeps what stands around", async (dir) => {
  for (const denied of [false, true]) {
    // As the kernel does if the file's mode is 0222, but not for root.
    using denials = fail("open", Errno.EACCES, ({ flags }) => denied && (flags & O_RDWR) !== 0);
    for (const position of [1001, 10_000]) {
      const writing = { read: false, write: true };
      const file = await openWith(dir.file("file"), old(10_000), writing);
      const writer = new DmaStreamWriter(file, position < 10_000 ? { position } : { append: true });
      await writer.write(pattern(3000));
      await closeWith(writer, overlaid(old(10_000), pattern(3000), position));
    }
    assert(denials.count >= (denied ? 4 : 2));
  }
});

testInEachDirectory("What another handle writes into a writer's reserve stays", async (dir) => {
  const BLOCK = 65536;
  const ends = [
    (writer: DmaStreamWriter) => writer.close(),
    (writer: DmaStreamWriter) => writer.abort(),
    (writer: DmaStreamWriter) => writer.file.close(),
  ];
  for (const end of ends) {
    for (const isFirst of [false, true]) {
      const first = await create(dir, { sizeHint: 64 * BLOCK });
      await first.write(pattern(BLOCK));
      await first.sync({ tail: true });
      const file = await reopen(dir);
      const second = new DmaStreamWriter(file, { position: 2 * BLOCK, bufferSize: BLOCK });
      await second.write(pattern(BLOCK + 10, 2 * BLOCK));
      if (!isFirst) await second.close();
      await end(first);
      if (isFirst) await second.close();
      const hole = filled(BLOCK, 0);
      const written = joined(pattern(BLOCK), hole, pattern(BLOCK + 10, 2 * BLOCK));
      await assertFile(dir.file("file"), written, `${end}, ${isFirst}`);
    }
  }
});

testInEachDirectory("A file is opened again while its writer closes", async (dir) => {
  for (const how of ["create", "append", "append and truncate"]) {
    for (const length of [100, 9_000_000]) {
      const first = await create(dir);
      first.write(pattern(length));
      const closing = first.close();
      const append = how !== "create";
      const file = await (append ? reopen(dir) : DmaFile.create(dir.file("file")));
      const second = new DmaStreamWriter(file, { append });
      if (how === "append and truncate") await file.truncate(length);
      const start = append ? length : 0;
      await second.write(pattern(10, start));
      await closeWith(second, pattern(start + 10), how);
      await closing;
    }
  }
});

testInEachDirectory("A writer closes while another one waits to open", async (dir) => {
  const first = await create(dir, narrow);
  await using other = await reopen(dir);
  const file = await reopen(dir);
  using writes = hold("write");
  const call = other.writeAt(old(4096), 1 << 20);
  await writes.reach();
  const second = new DmaStreamWriter(file, { append: true });
  first.write(pattern(100_000));
  const closing = [first.close(), second.close()];
  writes.letGo();
  await Promise.all([...closing, call]);
});

testInEachDirectory("Reserved space stays if several writers open behind it", async (dir) => {
  await using file = await DmaFile.create(dir.file("file"));
  await file.preallocate(1 << 20);
  const files = [await reopen(dir), await reopen(dir)];
  const writers = files.map((file, at) => new DmaStreamWriter(file, { position: 8192 * at }));
  for (const writer of writers) await writer.write(pattern(100));
  for (const writer of writers) {
    await writer.close();
    assertEquals(await file.size(), 1 << 20);
  }
});

testInEachDirectory("flushSync() of a writer that opens beside other calls writes", async (dir) => {
  await using other = await openWith(dir.file("file"), old(8192));
  const file = await reopen(dir);
  // The program learns only after flushSync() that parts of the write have ended. The truncate comes after all of them.
  const calls = [other.writeAt(old(20 << 20), 4096), other.truncate(8192)];
  const writer = new DmaStreamWriter(file);
  writer.write(pattern(100));
  writer.flushSync();
  assertEquals(writer.currentFlushedPos, 100);
  await Promise.all(calls);
  await closeWith(writer, overlaid(old(8192), pattern(100), 0));
});

testInEachDirectory("What another handle writes before a failed write stays", async (dir) => {
  await using file = await openWith(dir.file("file"), old(5000));
  const writer = new DmaStreamWriter(file, { closeFile: false });
  const position = 1 << 20;
  {
    let fail = () => {};
    using _ = interpose("write", ({ operation, pass, end }) => {
      if (operation.position === position) fail = () => end(-Errno.EFBIG);
      else pass();
    });
    const failing = assertRejects(() => file.writeAt(old(4096), position));
    await using other = await reopen(dir);
    await other.writeAt(pattern(4096), 20_480);
    fail();
    await failing;
  }
  await writer.close();
  await assertFile(file.path, joined(old(5000), filled(15_480, 0), pattern(4096)));
});

testInEachDirectory("What a program writes below a failing writer stays", async (dir) => {
  const position = 1 << 20;
  const writer = await create(dir, { position });
  using _ = interpose("write", ({ end }) => {
    Deno.writeFileSync(dir.file("file"), old(4096));
    // The disk takes a part of the failing write.
    Deno.truncateSync(dir.file("file"), position + 50);
    end(-Errno.EIO);
  });
  await writer.write(pattern(100));
  await assertRejects(() => writer.close(), Error, "(os error 5)");
  await assertFile(dir.file("file"), joined(old(4096), filled(position - 4096, 0)));
});

testInEachDirectory("What others write into the block of a writer stays", async (dir) => {
  await using from = await openPattern(dir.file("from"), 4096);
  for (const to of [0, 200, 3500]) {
    for (const flush of [undefined, "flushAligned", "sync"] as const) {
      const writer = await createOver(dir.file("file"), old(8192), { position: 3000 });
      await writer.write(pattern(50, 3000));
      if (flush) await writer[flush]({ tail: true });
      if (to > 0) await from.copyRangeTo(writer.file, to, 400, to);
      else {
        using program = await Deno.open(dir.file("file"), { write: true });
        program.writeSync(pattern(400));
      }
      await writer.write(pattern(50, 3050));
      // The block is read again while the program blocks.
      if (flush === "sync") writer.flushSync({ durable: true });
      const written = overlaid(old(8192), pattern(100, 3000), 3000);
      await closeWith(writer, overlaid(written, pattern(400, to), to), `${to}, ${flush}`);
    }
  }
});

testInEachDirectory("A writer that appends to a new file keeps what is in it", async (dir) => {
  const file = await DmaFile.create(dir.file("file"));
  await Deno.writeFile(file.path, pattern(100), { append: true });
  const writer = new DmaStreamWriter(file, { append: true });
  await writer.write(pattern(10, 100));
  await closeWith(writer, pattern(110));
});

testInEachDirectory("A writer that is given up before it has opened cuts nothing", async (dir) => {
  const file = await openWith(dir.file("file"), filled(512, 1));
  await file.preallocate(4096);
  new DmaStreamWriter(file).closed.catch(() => {});
  await file.close();
  assertEquals((await Deno.stat(file.path)).size, 4096);
});

testInEachDirectory("close() makes durable what was done beside the writer", async (dir) => {
  await using from = await openPattern(dir.file("from"), 10_000);
  const changes: ((file: DmaFile) => Promise<unknown>)[] = [
    (file) => file.writeAt(pattern(4096), 4096),
    (file) => file.truncate(10_000),
    (file) => file.preallocate(8192),
    (file) => file.deallocate(0, 4096),
    (file) => from.copyRangeTo(file, 0, 4096, 8192),
  ];
  for (const change of changes) {
    const file = await DmaFile.create(dir.file("file"), { direct: "off" });
    const writer = file.writable;
    await writer.write(pattern(4096));
    await writer.sync({ tail: true });
    await change(file).catch((error) => assertEquals(error.code, "EOPNOTSUPP"));
    const { syncs } = ioStats();
    await writer.close();
    assertEquals(ioStats().syncs, syncs + 1, String(change));
    // Its own bytes were durable before.
    assertEquals(await writer.sync(), 4096);
  }
});
