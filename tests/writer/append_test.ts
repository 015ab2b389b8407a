// Files that are opened with append: true: every write goes to the end as it then is, whoever else writes there.

import "../support/engine.ts";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { DmaFile, DmaStreamWriter, type DmaStreamWriterOptions } from "../../mod.ts";
import { hasProgram, runOrThrow } from "../setup/command.ts";
import { assertFile, filled, joined, pattern } from "../support/bytes.ts";
import { testInEachDirectory } from "../support/dirs.ts";
import { engine } from "../support/engine.ts";
import { interpose } from "../support/interpose.ts";
import { closeWith } from "./create.ts";

const text = (value: string) => new TextEncoder().encode(value);

async function appender(path: string, options?: DmaStreamWriterOptions): Promise<DmaStreamWriter> {
  const file = await DmaFile.open(path, { write: true, create: true, append: true });
  return new DmaStreamWriter(file, options);
}

/** The lines of a file that begin with a word, and how many others there are. */
async function linesOf(path: string, start: string): Promise<{ own: string[]; others: number }> {
  const lines = (await Deno.readTextFile(path)).trimEnd().split("\n");
  const own = lines.filter((line) => line.startsWith(start));
  return { own, others: lines.length - own.length };
}

testInEachDirectory("append: true writes to the end, as Deno.open has it", async (dir) => {
  const path = dir.file("log");
  for (const options of [{ write: true, create: true, append: true }, { append: true }]) {
    const writer = new DmaStreamWriter(await DmaFile.open(path, options));
    assertEquals([writer.file.direct, writer.file.path], [false, path]);
    await writer.write(text("one\n"));
    await writer.close();
  }
  assertEquals(await Deno.readTextFile(path), "one\none\n");
  const file = await DmaFile.open(path, { append: true });
  assertEquals(await file.readAt(4, 100), text("one\n"));
  await file.truncate(4);
  await file.writable.write(text("two\n"));
  assertEquals(file.writable.currentPos, 8);
  await closeWith(file.writable, text("one\ntwo\n"));
});

testInEachDirectory("What others append beside a log of 20 MB stays", async (dir) => {
  const path = dir.file("log");
  const writer = await appender(path, { bufferSize: 65_536 });
  const [ours, theirs]: [string[], string[]] = [[], []];
  while (ours.length < 200_000) {
    for (let line = 0; line < 1000; line++) {
      ours.push(`ours ${ours.length} `.padEnd(99, "."));
      await writer.write(text(`${ours.at(-1)}\n`));
    }
    const round = theirs.push(`theirs ${theirs.length}`);
    if (round % 2 === 1) await writer.flushAligned({ tail: round % 4 === 1 });
    await Deno.writeTextFile(path, `${theirs.at(-1)}\n`, { append: true });
  }
  await writer.close();
  assertEquals(await linesOf(path, "ours "), { own: ours, others: theirs.length });
  assertEquals(await linesOf(path, "theirs "), { own: theirs, others: ours.length });
});

testInEachDirectory("Lines of several writers never mix", async (dir) => {
  const path = dir.file("log");
  const writers = [4096, 5000, 65_536, 1 << 20];
  const lineOf = (writer: number, index: number) =>
    `${writer}:${index}:`.padEnd(20 + (index * 37 + writer) % 3000, String(writer));
  await Promise.all(writers.map(async (bufferSize, number) => {
    const writer = await appender(path, { bufferSize });
    for (let index = 0; index < 800; index++) {
      const written = writer.write(text(`${lineOf(number, index)}\n`));
      if (index % 7 === 0) await written;
      if (index % 50 === 0) await writer.flushAligned({ tail: true });
    }
    await writer.close();
  }));
  for (const number of writers.keys()) {
    const own = Array.from({ length: 800 }, (_, index) => lineOf(number, index));
    assertEquals(await linesOf(path, `${number}:`), { own, others: 3 * 800 });
  }
});

testInEachDirectory("A log that is copied and truncated continues at its new end", async (dir) => {
  const path = dir.file("log");
  const writer = await appender(path);
  await writer.write(filled(50_000, 1));
  await writer.sync({ tail: true });
  await Deno.copyFile(path, `${path}.1`);
  await Deno.truncate(path, 0);
  await writer.write(pattern(100));
  await writer.flushAligned({ tail: true });
  await assertFile(path, pattern(100));
  await writer.write(pattern(100, 100));
  await closeWith(writer, pattern(200));
  await assertFile(`${path}.1`, filled(50_000, 1));
});

testInEachDirectory("A file that may only be appended to is appended to", async (dir) => {
  const path = dir.file("log");
  await Deno.writeFile(path, pattern(10));
  await runOrThrow("chattr", ["+a", path]);
  try {
    await assertRejects(() => DmaFile.open(path, { write: true }), Deno.errors.PermissionDenied);
    const writer = await appender(path);
    await writer.write(pattern(100_000, 10));
    await writer.sync({ tail: true });
    await writer.write(pattern(7, 100_010));
    await closeWith(writer, pattern(100_017));
  } finally {
    await runOrThrow("chattr", ["-a", path]);
  }
}, {
  ignore: Deno.uid() !== 0 || !hasProgram("chattr"),
  where: ({ fileSystem }) => ["ext4", "xfs", "btrfs"].includes(fileSystem),
});

testInEachDirectory("Writes at a position of a file open to append are refused", async (dir) => {
  const path = dir.file("log");
  await Deno.writeFile(path, pattern(10_000));
  await using file = await DmaFile.open(path, { append: true });
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

testInEachDirectory("A kernel without uncached writes gets the flag once", async (dir) => {
  const flags: number[] = [];
  using _ = interpose("write", ({ operation, pass, end }) => {
    flags.push(operation.flags);
    if (operation.flags) end(-95);
    else pass();
  });
  const writer = await appender(dir.file("log"), { bufferSize: 4096 });
  await writer.write(pattern(20_000));
  await closeWith(writer, pattern(20_000));
  assert(flags[0]! > 0);
  assertEquals(new Set(flags.slice(1)), new Set([0]));
});

testInEachDirectory("One write at a time, continued where it was cut short", async (dir) => {
  const { inFlight } = engine.counters;
  let most = 0;
  using _ = interpose("write", ({ operation, index, pass }) => {
    most = Math.max(most, engine.counters.inFlight - inFlight);
    pass(index % 2 === 0 ? { length: Math.ceil(operation.length / 3) } : {});
  });
  const writer = await appender(dir.file("log"), { bufferSize: 4096, writeBehind: 8 });
  for (let at = 0; at < 60_000; at += 1000) await writer.write(pattern(1000, at));
  await closeWith(writer, pattern(60_000));
  assert(most <= 1, `${most} in flight`);
});

testInEachDirectory("An abort cuts nothing off", async (dir) => {
  const path = dir.file("log");
  await Deno.writeFile(path, pattern(1000));
  const writer = await appender(path, { bufferSize: 4096 });
  await writer.write(filled(10_000, 1));
  assertEquals(await writer.flushAligned(), 1000 + 8192);
  await Deno.writeFile(path, filled(50, 2), { append: true });
  await writer.abort();
  await assertFile(path, joined(pattern(1000), filled(8192, 1), filled(50, 2)));
});
