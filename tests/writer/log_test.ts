// Logs: files opened with append: true, where every write goes to the current end whoever else writes there, and files
// that another program follows, which sees every byte once, no zeros, and no file that shrinks.

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { DmaFile, DmaStreamWriter, type DmaStreamWriterOptions } from "../../mod.ts";
import { hasProgram, runOrThrow } from "../setup/command.ts";
import { assertFile, filled, joined, pattern } from "../support/bytes.ts";
import { eventually } from "../support/descriptors.ts";
import { testDirectAndCached, testInEachDirectory } from "../support/dirs.ts";
import { engine } from "../support/engine.ts";
import { interpose } from "../support/interpose.ts";
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

// ---- files that others write --------------------------------------------------------------------------------------

testInEachDirectory("append: true writes to the end, as Deno.open has it", async (dir) => {
  const path = dir.file("log");
  for (const options of [{ write: true, create: true, append: true }, { append: true }]) {
    const writer = new DmaStreamWriter(await DmaFile.open(path, options));
    assertEquals([writer.file.direct, writer.file.path], [false, path]);
    await writer.write(text("one\n"));
    await writer.close();
  }
  const file = await DmaFile.open(path, { append: true });
  assertEquals(await file.readAt(4, 100), text("one\n"));
  await file.truncate(4);
  await file.writable.write(text("two\n"));
  assertEquals(file.writable.currentPos, 8);
  await closeWith(file.writable, text("one\ntwo\n"));
});

testInEachDirectory("Lines of several programs never mix, and none is lost", async (dir) => {
  const path = dir.file("log");
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

testInEachDirectory("An abort cuts nothing off a log", async (dir) => {
  const path = dir.file("log");
  await Deno.writeFile(path, pattern(1000));
  const writer = await appender(path, { bufferSize: 4096 });
  await writer.write(filled(10_000, 1));
  assertEquals(await writer.flushAligned(), 1000 + 8192);
  await Deno.writeFile(path, filled(50, 2), { append: true });
  await writer.abort();
  await assertFile(path, joined(pattern(1000), filled(8192, 1), filled(50, 2)));
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

for (const [way, start] of Object.entries(ways)) {
  // Else a follower would see zeros where an earlier write is still in flight.
  testInEachDirectory(
    `One write at a time, continued where it was cut short: ${way}`,
    async (dir) => {
      const { inFlight } = engine.counters;
      const flags: number[] = [];
      let most = 0;
      using _ = interpose("write", ({ operation, index, pass, end }) => {
        flags.push(operation.flags);
        most = Math.max(most, engine.counters.inFlight - inFlight);
        // The kernel has no uncached writes.
        if (operation.flags) end(-95);
        else pass(index % 2 === 0 ? { length: Math.ceil(operation.length / 3) } : {});
      });
      const writer = await start(dir.file("log"), { bufferSize: 4096, writeBehind: 8 });
      for (let at = 0; at < 60_000; at += 1000) await writer.write(pattern(1000, at));
      await closeWith(writer, pattern(60_000));
      assert(most <= 1, `${most} in flight`);
      if (start === appender) assert(flags.shift()! > 0);
      assertEquals(new Set(flags), new Set([0]));
    },
  );
}

// ---- files that others follow -------------------------------------------------------------------------------------

/** A line that says which it is, of a length of its own. */
function line(index: number): string {
  return `${index} `.padEnd(10 + index * 37 % 900, "x") + "\n";
}

function lines(from: number, to: number): string {
  return Array.from({ length: to - from }, (_, index) => line(from + index)).join("");
}

/** Looks at a file's size again and again while `fn` runs. Throws if it ever shrinks. */
async function assertGrows(path: string, fn: () => Promise<void>): Promise<void> {
  let over = false;
  const working = fn().finally(() => over = true);
  for (let last = 0; !over;) {
    const { size } = await Deno.stat(path);
    assert(size >= last, `${size} bytes after ${last}`);
    last = size;
  }
  await working;
}

/** Follows a file with tail(1). What it prints goes to files beside it. */
function follow(path: string): Deno.ChildProcess {
  Deno.writeTextFileSync(`${path}.output`, "");
  const command = 'exec tail -F -n +1 -s 0.05 "$0" > "$0.output" 2> "$0.complaints"';
  return new Deno.Command("sh", { args: ["-c", command, path], env: { LC_ALL: "C" } }).spawn();
}

/** Writes lines, and makes each hundredth visible, or durable, or neither. */
async function writeLines(writer: DmaStreamWriter, from: number, to: number): Promise<void> {
  for (let index = from; index < to; index++) {
    await writer.write(text(line(index)));
    if (index % 100 === 50) await writer.flushAligned({ tail: true });
    if (index % 100 === 99) await writer.sync({ tail: true });
  }
}

for (const [way, start] of Object.entries(ways)) {
  const name = `tail sees every line once, also over a rotation, and no file that shrinks: ${way}`;
  testDirectAndCached(name, async (dir) => {
    const path = dir.file("log");
    // Small buffers: what is written while a line waits in a buffer is seen too.
    const open = () => start(path, { bufferSize: 16_384 });
    let writer = await open();
    await using _tail = follow(path);
    for (let part = 0; part < 3; part++) {
      if (part > 0) {
        await writer.file.rename(`${path}.${part}`);
        await assertGrows(`${path}.${part}`, () => writer.close());
        writer = await open();
      }
      await assertGrows(path, () => writeLines(writer, part * 300, part * 300 + 300));
      // A program that rotates faster than tail looks loses it a file: that is tail's own limit.
      const { length } = lines(0, part * 300 + 300);
      await eventually(async () => (await Deno.stat(`${path}.output`)).size >= length);
    }
    await writer.close();
    assertEquals(await Deno.readTextFile(`${path}.output`), lines(0, 900));
    const complaints = await Deno.readTextFile(`${path}.complaints`);
    assert(!complaints.includes("truncated"), complaints);
  }, { ignore: !hasProgram("tail") });
}
