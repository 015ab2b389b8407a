// Files that are opened with append: true: every write goes to the end as it then is, whoever else writes there.

import "../support/engine.ts";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { DmaFile, DmaStreamWriter, type DmaStreamWriterOptions } from "../../mod.ts";
import { hasProgram, runOrThrow } from "../setup/command.ts";
import { assertFile, filled, pattern } from "../support/bytes.ts";
import { testInEachDirectory } from "../support/dirs.ts";
import { engine } from "../support/engine.ts";
import { interpose } from "../support/interpose.ts";

const text = (value: string) => new TextEncoder().encode(value);

async function appender(path: string, options?: DmaStreamWriterOptions): Promise<DmaStreamWriter> {
  return new DmaStreamWriter(
    await DmaFile.open(path, { write: true, create: true, append: true }),
    options,
  );
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
  const writer = file.writable;
  await writer.write(text("two\n"));
  assertEquals(writer.currentPos, 8);
  await writer.close();
  assertEquals(await Deno.readTextFile(path), "one\ntwo\n");
});

testInEachDirectory(
  "What others append beside a log of 20 MB stays, and there are no zeros",
  async (dir) => {
    const path = dir.file("log");
    const writer = await appender(path, { bufferSize: 65_536 });
    let theirs = 0;
    let ours = 0;
    while (ours * 100 < 20_000_000) {
      for (let line = 0; line < 1000; line++) {
        await writer.write(text(`ours ${ours++} `.padEnd(99, ".") + "\n"));
      }
      if (theirs % 2 === 0) await writer.flushAligned({ tail: theirs % 4 === 0 });
      await Deno.writeTextFile(path, `theirs ${theirs++}\n`, { append: true });
    }
    await writer.close();
    const lines = (await Deno.readTextFile(path)).trimEnd().split("\n");
    const of = (whose: string) =>
      lines.filter((line) => line.startsWith(whose)).map((line) => line.split(" ")[1]);
    assertEquals(of("ours "), Array.from({ length: ours }, (_, index) => String(index)));
    assertEquals(of("theirs "), Array.from({ length: theirs }, (_, index) => String(index)));
    assertEquals(lines.length, ours + theirs);
  },
);

testInEachDirectory("Lines of several writers never mix", async (dir) => {
  const path = dir.file("log");
  const writers = await Promise.all(
    [4096, 5000, 65_536, 1 << 20].map((bufferSize) => appender(path, { bufferSize })),
  );
  const line = (writer: number, index: number) =>
    `${writer}:${index}:`.padEnd(20 + (index * 37 + writer) % 3000, String(writer)) + "\n";
  await Promise.all(writers.map(async (writer, number) => {
    for (let index = 0; index < 800; index++) {
      const written = writer.write(text(line(number, index)));
      if (index % 7 === 0) await written;
      if (index % 50 === 0) await writer.flushAligned({ tail: true });
    }
    await writer.close();
  }));
  const lines = (await Deno.readTextFile(path)).trimEnd().split("\n");
  for (const number of writers.keys()) {
    const own = lines.filter((line) => line.startsWith(`${number}:`));
    assertEquals(own, Array.from({ length: 800 }, (_, index) => line(number, index).trimEnd()));
  }
  assertEquals(lines.length, 4 * 800);
});

testInEachDirectory(
  "A log that is cut by copy and truncate goes on at its new end",
  async (dir) => {
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
    await writer.close();
    await assertFile(path, pattern(200));
    await assertFile(`${path}.1`, filled(50_000, 1));
  },
);

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
    await writer.close();
    await assertFile(path, pattern(100_017));
  } finally {
    await runOrThrow("chattr", ["-a", path]);
  }
}, {
  ignore: Deno.uid() !== 0 || !hasProgram("chattr"),
  where: ({ fileSystem }) => ["ext4", "xfs", "btrfs"].includes(fileSystem),
});

testInEachDirectory(
  "Writes at a position are refused in a file opened with append",
  async (dir) => {
    const path = dir.file("log");
    await Deno.writeFile(path, pattern(10_000));
    await using file = await DmaFile.open(path, { append: true });
    for (const position of [0, 4096]) {
      assertThrows(
        () => new DmaStreamWriter(file, { position }),
        TypeError,
        "it was opened with append: true",
      );
    }
    const message = `Cannot write to a position of '${path}': it was opened with append: true`;
    await assertRejects(() => file.writeAt(new Uint8Array(4096), 0), TypeError, message);
    await using source = await DmaFile.open(path);
    await assertRejects(() => source.copyRangeTo(file, 0, 10, 0), TypeError, message);
    const open = (options: object) => () => DmaFile.open(path, { append: true, ...options });
    await assertRejects(open({ truncate: true }), TypeError, "Cannot truncate and append");
    await assertRejects(open({ direct: "require" }), TypeError, 'Invalid direct "require"');
    await assertFile(path, pattern(10_000));
  },
);

testInEachDirectory("A kernel without uncached writes is asked for them once", async (dir) => {
  const path = dir.file("log");
  const flags: number[] = [];
  using _ = interpose("write", ({ operation, pass, end }) => {
    flags.push(operation.flags);
    if (operation.flags) end(-95);
    else pass();
  });
  const writer = await appender(path, { bufferSize: 4096 });
  await writer.write(pattern(20_000));
  await writer.close();
  assert(flags[0]! > 0);
  assertEquals(new Set(flags.slice(1)), new Set([0]));
  await assertFile(path, pattern(20_000));
});

testInEachDirectory("One write at a time, continued where it was cut short", async (dir) => {
  const path = dir.file("log");
  let most = 0;
  using _ = interpose("write", ({ operation, index, pass }) => {
    most = Math.max(most, engine.counters.inFlight);
    pass(index % 2 === 0 ? { length: Math.ceil(operation.length / 3) } : {});
  });
  const writer = await appender(path, { bufferSize: 4096, writeBehind: 8 });
  const { inFlight } = engine.counters;
  for (let at = 0; at < 60_000; at += 1000) await writer.write(pattern(1000, at));
  await writer.close();
  assert(most <= inFlight + 1, `${most} in flight`);
  await assertFile(path, pattern(60_000));
});

testInEachDirectory("An abort cuts nothing off", async (dir) => {
  const path = dir.file("log");
  await Deno.writeFile(path, pattern(1000));
  const writer = await appender(path, { bufferSize: 4096 });
  await writer.write(filled(10_000, 1));
  await writer.flushAligned();
  await Deno.writeFile(path, filled(50, 2), { append: true });
  await writer.abort();
  const { currentFlushedPos } = writer;
  const bytes = await Deno.readFile(path);
  assert(bytes.length >= currentFlushedPos + 50);
  assertEquals(bytes.subarray(0, 1000), pattern(1000));
  const theirs = bytes.filter((byte, index) => index >= 1000 && byte === 2);
  assertEquals(theirs.length, 50);
});
