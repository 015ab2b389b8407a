// The exact length of a file at the end of its writer, whatever else happens to the file beside it.

import { assertEquals } from "@std/assert";
import { DmaFile, DmaStreamWriter } from "../../mod.ts";
import { assertFile, filled, joined, pattern } from "../support/bytes.ts";
import { eventually } from "../support/descriptors.ts";
import { hasDirectIo, type TestDirectory, testInEachDirectory } from "../support/dirs.ts";
import { hold, interpose } from "../support/interpose.ts";

/** Appends as another program does. */
async function appendElsewhere(path: string, bytes: Uint8Array): Promise<void> {
  await Deno.writeFile(path, bytes, { append: true });
}

/** A source of ten bytes, and a file whose writer has five. */
async function layOut(dir: TestDirectory) {
  await Deno.writeFile(dir.file("source"), filled(10, 7));
  const source = await DmaFile.open(dir.file("source"));
  const file = await DmaFile.create(dir.file("file"));
  const writer = new DmaStreamWriter(file, { closeFile: false });
  await writer.write(filled(5, 1));
  return { source, file, writer };
}

testInEachDirectory(
  "A copy that finds less than it was asked for beside a close leaves no padding",
  async (dir) => {
    const laid = await layOut(dir);
    await using source = laid.source;
    const { file, writer } = laid;
    using copies = hold("copyRange");
    const copied = source.copyRangeTo(file, 0, 1 << 20, 0);
    await copies.reach();
    const closed = writer.close();
    await new Promise((resolve) => setTimeout(resolve, 10));
    copies.letGo();
    assertEquals(await copied, 10);
    await closed;
    assertEquals(await file.size(), 10);
    await file.close();
  },
);

testInEachDirectory(
  "A copy by hand that begins while a close truncates leaves no padding",
  async (dir) => {
    const laid = await layOut(dir);
    await using source = laid.source;
    const { file, writer } = laid;
    const refusals: (() => void)[] = [];
    using _copies = interpose("copyRange", ({ end }) => void refusals.push(() => end(-22)));
    using truncates = interpose("truncate", ({ pass }) => void setTimeout(pass, 20));
    const copied = source.copyRangeTo(file, 0, 1 << 20, 0);
    await eventually(() => refusals.length > 0);
    const closed = writer.close();
    // The last write goes to the file; the truncate after it waits for the copy.
    await eventually(async () => await file.size() > 0);
    await new Promise((resolve) => setTimeout(resolve, 10));
    assertEquals(truncates.count, 0);
    refusals[0]!();
    assertEquals(await copied, 10);
    await closed;
    assertEquals(await file.size(), 10);
    await file.close();
    await assertFile(dir.file("file"), filled(10, 7));
  },
);

for (const preallocate of [true, false]) {
  for (const end of ["close", "abort", "seal"] as const) {
    testInEachDirectory(
      `What others append after a truncate stays at ${end}${preallocate ? "" : " [exact]"}`,
      async (dir) => {
        const path = dir.file("file");
        const file = await DmaFile.create(path);
        const writer = new DmaStreamWriter(file, { closeFile: false, preallocate });
        await writer.write(pattern(10_000_000));
        await writer.sync({ tail: true });
        await file.truncate(100_000);
        await appendElsewhere(path, pattern(20_000));
        await writer[end]();
        assertEquals(await file.size(), 120_000);
        await file.close();
        await assertFile(path, joined(pattern(100_000), pattern(20_000)));
      },
    );
  }
}

for (const end of ["close", "abort", "seal", "dispose"] as const) {
  for (const start of [{ append: true }, { position: 0 }] as const) {
    testInEachDirectory(
      `A second writer finds a log that was cut meanwhile: ${end}, ${Object.keys(start)[0]}`,
      async (dir) => {
        const path = dir.file("log");
        const file = await DmaFile.create(path);
        const first = new DmaStreamWriter(file, { closeFile: false });
        await first.write(pattern(10_000));
        await first.close();
        // As log rotation by copy and truncate does.
        await Deno.truncate(path, 0);
        const second = new DmaStreamWriter(file, { closeFile: false, ...start });
        await second.write(pattern(100));
        await second.sync({ tail: true });
        await (end === "dispose" ? second[Symbol.asyncDispose]() : second[end]());
        assertEquals(await file.size(), 100);
        await file.close();
        await assertFile(path, pattern(100));
      },
    );
  }
}

testInEachDirectory(
  "What others append between two writers stays",
  async (dir) => {
    const path = dir.file("file");
    const file = await DmaFile.create(path);
    const first = new DmaStreamWriter(file, { closeFile: false });
    await first.write(pattern(1000));
    await first.close();
    await appendElsewhere(path, pattern(20));
    const second = new DmaStreamWriter(file, { position: 0 });
    await second.write(filled(100, 9));
    await second.close();
    const rest = pattern(1000).subarray(100);
    await assertFile(path, joined(filled(100, 9), rest, pattern(20)));
  },
);

testInEachDirectory(
  "A writer of the page cache never makes its file longer than its bytes",
  async (dir) => {
    const path = dir.file("file");
    const file = await DmaFile.create(path, { direct: "off" });
    const writer = new DmaStreamWriter(file, { preallocate: false, bufferSize: 8192 });
    using cuts = interpose("truncate", ({ pass }) => pass());
    let length = 0;
    for (const size of [1, 511, 5000, 20_000, 3, 8192]) {
      await writer.write(pattern(size, length));
      length += size;
      assertEquals(await writer.sync({ tail: true }), length);
      assertEquals((await Deno.stat(path)).size, length);
    }
    await writer.close();
    assertEquals(cuts.count, 0);
    await assertFile(path, pattern(length));
  },
);

testInEachDirectory(
  "The end of the file is moved ahead, and cut at the end",
  async (dir) => {
    const path = dir.file("file");
    const writer = (await DmaFile.create(path)).writable;
    await writer.write(pattern(20_000_000));
    await writer.flushAligned();
    const ahead = (await Deno.stat(path)).size - writer.currentFlushedPos;
    await writer.close();
    assertEquals(ahead > 1_000_000, true, `${ahead} bytes`);
    await assertFile(path, pattern(20_000_000));
  },
  { where: (dir) => hasDirectIo(dir) && dir.fileSystem !== "btrfs" },
);
