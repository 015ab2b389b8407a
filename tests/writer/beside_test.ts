// A writer beside other uses of its file: what reads, writes or renames it while the writer is at work or closes.

import { assert, assertEquals } from "@std/assert";
import { DmaFile, DmaStreamWriter, ioStats } from "../../mod.ts";
import { Errno } from "../../src/engine/linux.ts";
import { pattern } from "../support/bytes.ts";
import { eventually } from "../support/descriptors.ts";
import { testInEachDirectory } from "../support/dirs.ts";
import { engine } from "../support/engine.ts";
import { hold, interpose } from "../support/interpose.ts";
import { openPattern } from "../support/patterned.ts";

testInEachDirectory(
  "A file that is renamed while its writer closes has the directory synced in which it stands",
  async (dir) => {
    await Deno.mkdir(dir.file("folder"));
    await Deno.mkdir(dir.file("elsewhere"));
    const file = await DmaFile.create(dir.file("file"));
    const writer = new DmaStreamWriter(file, { bufferSize: 4096 });
    await writer.write(pattern(100));
    let write: (() => void) | undefined;
    const holding = interpose("write", ({ pass }) => void (write = pass));
    const closed = writer.close();
    await eventually(() => write !== undefined);
    holding[Symbol.dispose]();
    await file.rename(dir.file("folder/file"));
    const others: Deno.FsFile[] = [];
    const synced: string[] = [];
    const options = { create: true, write: true };
    using _close = interpose("close", ({ completion, pass }) =>
      pass({}, {
        complete: (result) => {
          // One of them has the number now.
          for (let count = 0; count < 8; count++) {
            others.push(Deno.openSync(dir.file("elsewhere/other"), options));
          }
          completion.complete(result);
        },
      }));
    using _sync = interpose("sync", ({ operation, pass }) => {
      synced.push(Deno.readLinkSync(`/proc/self/fd/${operation.fd}`));
      pass();
    });
    write!();
    await closed.finally(() => others.forEach((other) => other.close()));
    assert(synced.includes(Deno.realPathSync(dir.file("folder"))), synced.join(", "));
  },
);

testInEachDirectory(
  "close() makes durable what was done to the file beside the writer",
  async (dir) => {
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
  },
);

testInEachDirectory("A writer that is given up before it has opened cuts nothing", async (dir) => {
  const path = dir.file("file");
  await Deno.writeFile(path, new Uint8Array(512).fill(1));
  const file = await DmaFile.open(path, { write: true });
  await file.preallocate(4096);
  const stream = new DmaStreamWriter(file);
  stream.closed.catch(() => {});
  await file.close();
  assertEquals((await Deno.stat(path)).size, 4096);
});

testInEachDirectory(
  "Bytes that are copied into a block of a writer stay, unless the writer writes there",
  async (dir) => {
    const path = dir.file("file");
    const block = 4096;
    await using from = await openPattern(dir.file("from"), block);
    const old = new Uint8Array(2 * block).fill(0xee);
    const ways: [string, (writer: DmaStreamWriter, file: DmaFile) => Promise<unknown>][] = [
      ["in front of the start", async (writer, file) => {
        await writer.write(pattern(100, 3000));
        await from.copyRangeTo(file, 200, 700, 200);
      }],
      ["in front of the start, past a tail that was written", async (writer, file) => {
        await writer.write(pattern(50, 3000));
        await writer.flushAligned({ tail: true });
        await from.copyRangeTo(file, 200, 700, 200);
        await writer.write(pattern(50, 3050));
      }],
      ["behind the end, past a tail that was written", async (writer, file) => {
        await writer.write(pattern(50, 3000));
        await writer.flushAligned({ tail: true });
        await from.copyRangeTo(file, 3500, 500, 3500);
        await writer.write(pattern(50, 3050));
      }],
      ["behind the end, and flushed by a program that blocks", async (writer, file) => {
        await writer.write(pattern(50, 3000));
        await writer.sync({ tail: true });
        await from.copyRangeTo(file, 3500, 500, 3500);
        await writer.write(pattern(50, 3050));
        writer.flushSync({ durable: true });
      }],
    ];
    for (const [name, work] of ways) {
      await Deno.writeFile(path, old);
      const file = await DmaFile.open(path, { write: true });
      const writer = new DmaStreamWriter(file, { position: 3000 });
      await work(writer, file);
      await writer.close();
      const expected = old.slice();
      expected.set(pattern(100, 3000), 3000);
      if (name.startsWith("in front")) expected.set(pattern(700, 200), 200);
      else expected.set(pattern(500, 3500), 3500);
      assertEquals(await Deno.readFile(path), expected, name);
    }
  },
);

testInEachDirectory("Bytes of a write that ends while a copy waits to cut stay", async (dir) => {
  const path = dir.file("file");
  await using from = await openPattern(dir.file("from"), 100);
  const file = await DmaFile.create(path);
  const writer = new DmaStreamWriter(file, { position: 200 });
  await writer.write(pattern(50, 200));
  // The kernel cannot copy: a padded block is written, which is cut afterwards.
  using _ = interpose("copyRange", ({ end }) => end(-Errno.EXDEV));
  let writes = 0;
  using held = hold("write", { only: () => writes++ === 0, results: true });
  const flushed = writer.flushAligned({ tail: true });
  await held.reach();
  const copied = from.copyRangeTo(file, 0, 100, 0);
  await eventually(() => engine.counters.inFlight === 0 && writes === 2);
  held.letGo();
  assertEquals(await Promise.all([flushed, copied]), [250, 100]);
  await writer.close();
  const expected = new Uint8Array(250);
  expected.set(pattern(100));
  expected.set(pattern(50, 200), 200);
  assertEquals(await Deno.readFile(path), expected);
});

testInEachDirectory(
  "What another handle wrote behind a writer stays when the writer ends in the same block",
  async (dir) => {
    const path = dir.file("file");
    const ends: ((writer: DmaStreamWriter) => Promise<unknown>)[] = [
      (writer) => writer.close(),
      (writer) => writer.sync({ tail: true }).then(() => writer.close()),
    ];
    for (const end of ends) {
      const first = new DmaStreamWriter(await DmaFile.create(path));
      await first.write(pattern(100));
      const other = await DmaFile.open(path, { write: true });
      const second = new DmaStreamWriter(other, { position: 100 });
      await second.write(pattern(900, 100));
      await second.close();
      await end(first);
      assertEquals(await Deno.readFile(path), pattern(1000), String(end));
    }
  },
);

testInEachDirectory(
  "What another handle wrote ahead stays when space is reserved up to it",
  async (dir) => {
    const path = dir.file("file");
    const first = new DmaStreamWriter(await DmaFile.create(path));
    const other = await DmaFile.open(path, { write: true });
    const ahead = 11 << 20;
    const second = new DmaStreamWriter(other, { position: ahead });
    await second.write(pattern(1000));
    await second.close();
    for (let mebibyte = 0; mebibyte < 9; mebibyte++) await first.write(pattern(1 << 20));
    await first.close();
    const bytes = await Deno.readFile(path);
    assertEquals(bytes.length, ahead + 1000);
    assertEquals(bytes.subarray(ahead), pattern(1000));
  },
);
