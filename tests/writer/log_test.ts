// Logs: files opened with append: true, where every write goes to the current end whoever else writes there, and files
// that another program follows, which sees every byte once, no zeros, and no file that shrinks.

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { DmaFile, DmaStreamWriter, type DmaStreamWriterOptions } from "../../mod.ts";
import { runOrThrow } from "../setup/command.ts";
import { assertFile, openPattern, pattern } from "../support/bytes.ts";
import { testDirectAndCached, testInEachDirectory } from "../support/dirs.ts";
import { alter, interpose } from "../support/engine.ts";
import { closeWith } from "./create.ts";

const text = (value: string) => new TextEncoder().encode(value);

/** The two ways that README.md names for a file that others follow. The first one is for files that others write too. */
const ways = { "true append": appender, "without preallocation, through the page cache": exact };

async function appender(path: string, options?: DmaStreamWriterOptions): Promise<DmaStreamWriter> {
  const file = await DmaFile.open(path, { write: true, create: true, append: true });
  return new DmaStreamWriter(file, options);
}

async function exact(path: string, options?: DmaStreamWriterOptions): Promise<DmaStreamWriter> {
  const file = await DmaFile.open(path, { write: true, create: true, direct: "off" });
  return new DmaStreamWriter(file, { append: true, preallocate: false, ...options });
}

testInEachDirectory("append: true writes to the end, as Deno.open has it", async (_dir, path) => {
  for (const options of [{ write: true, create: true, append: true }, { append: true }]) {
    const writer = new DmaStreamWriter(await DmaFile.open(path, options));
    assertEquals([writer.file.direct, writer.file.path], [false, path]);
    await writer.write(text("one\n"));
    await writer.close();
  }
  const file = await DmaFile.open(path, { append: true });
  assertEquals(await file.readAt(4, 100), text("one\n"));
  await file.truncate(4);
  const { writable } = file;
  await writable.write(text("two\n"));
  assertEquals(writable.currentPos, 8);
  await writable.sync({ tail: true });
  await assertFile(path, text("one\ntwo\n"));
  // As logrotate with copytruncate.
  await Deno.truncate(path, 0);
  await writable.write(text("three\n"));
  await writable.flushAligned({ tail: true });
  await assertFile(path, text("three\n"));
  await writable.write(text("four\n"));
  await closeWith(writable, text("three\nfour\n"));
});

testInEachDirectory("Lines of several programs never mix, and none is lost", async (_dir, path) => {
  const sizes = [4096, 5000, 65_536, 1 << 20];
  const lineOf = (writer: number, index: number) =>
    `${writer}:${index}:`.padEnd(20 + (index * 37 + writer) % 3000, String(writer));
  const other = sizes.length;
  await Promise.all(sizes.map(async (bufferSize, number) => {
    const writer = await appender(path, { bufferSize });
    for (let index = 0; index < 800; index++) {
      const written = writer.write(text(`${lineOf(number, index)}\n`));
      if (index % 7 === 0) await written;
      if (index % 50 === 0) await writer.flushAligned({ tail: true });
      if (number > 0) continue;
      await Deno.writeTextFile(path, `${lineOf(other, index)}\n`, { append: true });
    }
    await writer.close();
  }));
  const lines = (await Deno.readTextFile(path)).trimEnd().split("\n");
  assertEquals(lines.length, (other + 1) * 800);
  for (let number = 0; number <= other; number++) {
    const own = Array.from({ length: 800 }, (_, index) => lineOf(number, index));
    assertEquals(lines.filter((line) => line.startsWith(`${number}:`)), own);
  }
});

testInEachDirectory("A file that may only be appended to is appended to", async (_dir, path) => {
  await Deno.writeFile(path, pattern(10));
  const change = async (by: string) => void await runOrThrow("chattr", [by, path]);
  await change("+a");
  await using _ = { [Symbol.asyncDispose]: () => change("-a") };
  await assertRejects(() => DmaFile.open(path, { write: true }), Deno.errors.PermissionDenied);
  const writer = await appender(path);
  await writer.write(pattern(100_000, 10));
  await writer.sync({ tail: true });
  await writer.write(pattern(7, 100_010));
  await closeWith(writer, pattern(100_017));
}, { where: ({ fileSystem }) => /^(ext4|xfs|btrfs)$/.test(fileSystem), needs: ["root", "chattr"] });

testInEachDirectory("Writes at positions of a file open to append are refused", async (_, path) => {
  await using file = await openPattern(path, 10_000, { append: true });
  await using source = await DmaFile.open(path);
  const says = "it was opened with append: true";
  for (const position of [0, 4096]) {
    assertThrows(() => new DmaStreamWriter(file, { position }), TypeError, says);
  }
  const message = `Cannot write to a position of '${path}': ${says}`;
  await assertRejects(() => file.writeAt(new Uint8Array(4096), 0), TypeError, message);
  await assertRejects(() => source.copyRangeTo(file, 0, 10, 0), TypeError, message);
  const open = (options: object) => () => DmaFile.open(path, { append: true, ...options });
  await assertRejects(open({ truncate: true }), TypeError, "Cannot truncate and append");
  await assertRejects(open({ direct: "require" }), TypeError, 'Invalid direct "require"');
  await assertFile(path, pattern(10_000));
});

for (const [way, start] of Object.entries(ways)) {
  // Else a follower would see zeros where an earlier write is still in flight.
  testInEachDirectory(`One write at a time, continued if cut short: ${way}`, async (dir) => {
    const flags: number[] = [];
    let [inFlight, most] = [0, 0];
    using _ends = alter("write", () => void inFlight--);
    using _ = interpose("write", ({ operation, index, pass, end }) => {
      flags.push(operation.flags);
      // The kernel has no uncached writes.
      if (operation.flags) return end(-95);
      most = Math.max(most, ++inFlight);
      pass(index % 2 === 0 ? { length: Math.ceil(operation.length / 3) } : {});
    });
    const writer = await start(dir.file("log"), { bufferSize: 4096, writeBehind: 8 });
    for (let at = 0; at < 60_000; at += 1000) await writer.write(pattern(1000, at));
    await closeWith(writer, pattern(60_000));
    assertEquals([most, writer.writeBehind], [1, 1]);
    if (start === appender) assert(flags.shift()! > 0);
    assertEquals(new Set(flags), new Set([0]));
  });

  const name = `A follower sees every byte once, no zeros, and no file that shrinks: ${way}`;
  testDirectAndCached(name, async (dir) => {
    // Small buffers: what is written while a line waits in a buffer is seen too.
    const writer = await start(dir.file("log"), { bufferSize: 16_384 });
    const write = async () => {
      for (let index = 0; index < 900; index++) {
        await writer.write(pattern(100 + index * 37 % 900, writer.currentPos));
        if (index % 100 === 50) await writer.flushAligned({ tail: true });
        if (index % 100 === 99) await writer.sync({ tail: true });
      }
      await writer.close();
    };
    let over = false;
    const working = write().finally(() => over = true);
    for (let last = 0; !over;) {
      const bytes = await Deno.readFile(writer.file.path);
      assert(bytes.length >= last, `${bytes.length} bytes after ${last}`);
      assertEquals(bytes, pattern(last = bytes.length));
    }
    await working;
    await assertFile(writer.file.path, pattern(writer.currentPos));
  });
}
