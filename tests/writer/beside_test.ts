// A writer beside other uses of its file: what reads, writes or renames it while the writer is at work or closes.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { DmaFile, DmaStreamWriter, ioStats } from "../../mod.ts";
import { Errno } from "../../src/engine/linux.ts";
import { filled, joined, overlaid, pattern } from "../support/bytes.ts";
import { eventually } from "../support/descriptors.ts";
import { testInEachDirectory } from "../support/dirs.ts";
import { engine } from "../support/engine.ts";
import { fail, hold, interpose } from "../support/interpose.ts";
import { noteOrder } from "../support/order.ts";
import { openPattern } from "../support/patterned.ts";
import { closeWith, create, createOver } from "./create.ts";

testInEachDirectory("A rename during close has the new directory synced", async (dir) => {
  await Deno.mkdir(dir.file("folder"));
  const writer = await create(dir, { bufferSize: 4096 });
  await writer.write(pattern(100));
  let write: (() => void) | undefined;
  const holding = interpose("write", ({ pass }) => void (write = pass));
  const closed = writer.close();
  await eventually(() => write !== undefined);
  holding[Symbol.dispose]();
  await writer.file.rename(dir.file("folder/file"));
  const others: Deno.FsFile[] = [];
  using _close = interpose("close", ({ completion, pass }) =>
    pass({}, {
      complete: (result) => {
        // One of them has the number now.
        for (let count = 0; count < 8; count++) others.push(Deno.openSync(dir.path));
        completion.complete(result);
      },
    }));
  using noted = noteOrder(dir);
  write!();
  await closed.finally(() => others.forEach((other) => other.close()));
  assert(noted.order.includes("sync folder"), noted.order.join(", "));
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

testInEachDirectory("A writer that is given up before it has opened cuts nothing", async (dir) => {
  await Deno.writeFile(dir.file("file"), filled(512, 1));
  const file = await DmaFile.open(dir.file("file"), { write: true });
  await file.preallocate(4096);
  const stream = new DmaStreamWriter(file);
  stream.closed.catch(() => {});
  await file.close();
  assertEquals((await Deno.stat(file.path)).size, 4096);
});

const copies = [
  [200, undefined],
  [200, "flushAligned"],
  [3500, "flushAligned"],
  [3500, "sync"],
] as const;

for (const [to, flush] of copies) {
  const name = `Bytes copied to ${to}, in the block of a writer from 3000 on, stay`;
  testInEachDirectory(`${name}, after ${flush ?? "nothing"}`, async (dir) => {
    await using from = await openPattern(dir.file("from"), 4096);
    const old = filled(8192, 0xee);
    const writer = await createOver(dir.file("file"), old, { position: 3000 });
    await writer.write(pattern(50, 3000));
    if (flush) await writer[flush]({ tail: true });
    await from.copyRangeTo(writer.file, to, 400, to);
    await writer.write(pattern(50, 3050));
    // The block is read again while the program blocks.
    if (flush === "sync") writer.flushSync({ durable: true });
    const written = overlaid(old, pattern(100, 3000), 3000);
    await closeWith(writer, overlaid(written, pattern(400, to), to));
  });
}

testInEachDirectory("Bytes of a write that ends while a copy waits to cut stay", async (dir) => {
  await using from = await openPattern(dir.file("from"), 100);
  const writer = await create(dir, { position: 200 });
  await writer.write(pattern(50, 200));
  // The kernel cannot copy: a padded block is written, which is cut afterwards.
  using _ = fail("copyRange", Errno.EXDEV);
  let writes = 0;
  using held = hold("write", { only: () => writes++ === 0, results: true });
  const flushed = writer.flushAligned({ tail: true });
  await held.reach();
  const copied = from.copyRangeTo(writer.file, 0, 100, 0);
  await eventually(() => engine.counters.inFlight === 0 && writes === 2);
  held.letGo();
  assertEquals(await Promise.all([flushed, copied]), [250, 100]);
  await closeWith(writer, joined(pattern(100), new Uint8Array(100), pattern(50, 200)));
});

testInEachDirectory("What another handle wrote behind a writer stays", async (dir) => {
  // With a hint space is reserved by the first sync, and the other handle writes over that and behind it.
  for (const sizeHint of [0, 8192]) {
    for (const syncs of [false, true]) {
      const first = await create(dir, { sizeHint });
      await first.write(pattern(100));
      if (sizeHint > 0) await first.sync({ tail: true });
      const other = await DmaFile.open(dir.file("file"), { write: true });
      const second = new DmaStreamWriter(other, { position: 100 });
      await second.write(pattern(8900, 100));
      await second.close();
      // The writer ends in a block of the other one.
      await first.write(pattern(1, 100));
      if (syncs) await first.sync({ tail: true });
      await closeWith(first, pattern(9000));
    }
  }
});

testInEachDirectory("The first sync of a writer covers what others wrote below it", async (dir) => {
  const file = await DmaFile.create(dir.file("file"));
  const first = new DmaStreamWriter(file, { closeFile: false });
  await first.write(pattern(8192));
  await first.close();
  const other = await DmaFile.open(dir.file("file"), { write: true });
  await other.writeAt(filled(4096, 9), 0);
  await other.close();
  await using second = new DmaStreamWriter(file, { append: true });
  await second.write(pattern(100));
  const { syncs } = ioStats();
  assertEquals([await second.sync({ tail: true }), ioStats().syncs - syncs], [8292, 1]);
});

for (const late of ["write", "allocate"] as const) {
  testInEachDirectory(
    `A writer whose ${late} fails late cuts nothing off below it`,
    async (dir) => {
      const start = 16 << 20;
      const writerAt = async (position: number) => {
        const file = await DmaFile.open(dir.file("file"), { write: true, create: true });
        return new DmaStreamWriter(file, { position, bufferSize: 65_536, sizeHint: 1 << 20 });
      };
      const [lower, upper] = [await writerAt(0), await writerAt(start)];
      let failLate: (() => void) | undefined;
      using _writes = interpose("write", ({ operation, pass, end }) => {
        if (operation.position !== start) pass();
        else if (late === "write") failLate = () => end(-Errno.ENOSPC);
        else end(-Errno.ENOSPC);
      });
      using _allocations = interpose("allocate", ({ operation, completion, pass }) => {
        if (operation.position !== start) {
          return pass({}, { complete: () => completion.complete(0) });
        }
        // As on ext4 when the disk is full: a part of the space was reserved.
        const fails = () => completion.complete(-Errno.ENOSPC);
        const complete = late === "allocate" ? () => void (failLate = fails) : fails;
        pass({}, { complete });
      });
      const failed = assertRejects(() => upper.closed, Error, "No space left on device");
      // The second buffer is written, and makes the file longer.
      await upper.write(pattern(131_072));
      await eventually(() => failLate !== undefined);
      await eventually(() => Deno.statSync(dir.file("file")).size > start);
      await lower.write(pattern(200_000));
      await lower.sync({ tail: true });
      failLate!();
      await failed;
      await lower.close();
      const bytes = await Deno.readFile(dir.file("file"));
      assertEquals(bytes.subarray(0, 200_000), pattern(200_000));
    },
    // btrfs reserves nothing.
    { where: ({ fileSystem }) => late === "write" || fileSystem !== "btrfs" },
  );
}

testInEachDirectory("A writer within the length of its file cuts nothing", async (dir) => {
  const length = 24 * 4096;
  const whole = await DmaFile.create(dir.file("file"));
  await whole.truncate(length);
  using cuts = interpose("truncate", ({ pass }) => pass());
  const ends = [40_000, length];
  const writers = await Promise.all(ends.map(async (end) => {
    const file = await DmaFile.open(dir.file("file"), { write: true });
    const position = end === length ? 40_960 : 0;
    const writer = new DmaStreamWriter(file, { position, bufferSize: 4096 });
    await writer.write(pattern(end - position, position));
    return writer;
  }));
  await Promise.all(writers.map((writer) => writer.close()));
  await whole.close();
  assertEquals(cuts.count, 0);
  const gap = new Uint8Array(960);
  const bytes = joined(pattern(40_000), gap, pattern(length - 40_960, 40_960));
  assertEquals(await Deno.readFile(dir.file("file")), bytes);
});
