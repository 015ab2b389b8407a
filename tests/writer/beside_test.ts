// A writer beside other uses of its file: nobody's bytes are lost, and a sync covers them all.

import { assertEquals } from "@std/assert";
import { DmaFile, DmaStreamWriter, ioStats } from "../../mod.ts";
import { filled, overlaid, pattern } from "../support/bytes.ts";
import { testInEachDirectory } from "../support/dirs.ts";
import "../support/engine.ts";
import { openPattern } from "../support/patterned.ts";
import { closeWith, create, createOver } from "./create.ts";

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

testInEachDirectory("What is copied into the block of a writer stays", async (dir) => {
  await using from = await openPattern(dir.file("from"), 4096);
  const old = filled(8192, 0xee);
  for (const to of [200, 3500]) {
    for (const flush of [undefined, "flushAligned", "sync"] as const) {
      const writer = await createOver(dir.file("file"), old, { position: 3000 });
      await writer.write(pattern(50, 3000));
      if (flush) await writer[flush]({ tail: true });
      await from.copyRangeTo(writer.file, to, 400, to);
      await writer.write(pattern(50, 3050));
      // The block is read again while the program blocks.
      if (flush === "sync") writer.flushSync({ durable: true });
      const written = overlaid(old, pattern(100, 3000), 3000);
      await closeWith(writer, overlaid(written, pattern(400, to), to), `${to}, ${flush}`);
    }
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
