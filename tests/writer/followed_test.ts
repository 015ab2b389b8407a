// Logs that another program follows while they are written: it sees every byte once, no zeros, and no file that shrinks.

import "../support/engine.ts";
import { assert, assertEquals } from "@std/assert";
import { DmaFile, type DmaOpenOptions, DmaStreamWriter } from "../../mod.ts";
import { hasProgram } from "../setup/command.ts";
import { eventually } from "../support/descriptors.ts";
import { hasDirectIo, testDirectAndCached } from "../support/dirs.ts";

/** The two ways that README.md names for a file that others follow. */
const WAYS = {
  "true append": (path: string) => open(path, { append: true }),
  "without preallocation, through the page cache": (path: string) =>
    open(path, { direct: "off" }, { append: true, preallocate: false }),
};

async function open(
  path: string,
  options: DmaOpenOptions,
  writerOptions: { append?: boolean; preallocate?: boolean } = {},
): Promise<DmaStreamWriter> {
  const file = await DmaFile.open(path, { write: true, create: true, ...options });
  // Small buffers: what is written while a line waits in a buffer is seen too.
  return new DmaStreamWriter(file, { bufferSize: 16_384, ...writerOptions });
}

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
  const encoder = new TextEncoder();
  for (let index = from; index < to; index++) {
    await writer.write(encoder.encode(line(index)));
    if (index % 100 === 50) await writer.flushAligned({ tail: true });
    if (index % 100 === 99) await writer.sync({ tail: true });
  }
}

for (const [way, start] of Object.entries(WAYS)) {
  testDirectAndCached(`A log is never seen to shrink: ${way}`, async (dir) => {
    const writer = await start(dir.file("log"));
    await assertGrows(dir.file("log"), async () => {
      await writeLines(writer, 0, 1000);
      await writer.close();
    });
    assertEquals(await Deno.readTextFile(dir.file("log")), lines(0, 1000));
  });

  testDirectAndCached(`tail sees every line once, also over a rotation: ${way}`, async (dir) => {
    const path = dir.file("log");
    let writer = await start(path);
    await using _tail = follow(path);
    for (let part = 0; part < 3; part++) {
      if (part > 0) {
        await writer.file.rename(`${path}.${part}`);
        await writer.close();
        writer = await start(path);
      }
      await writeLines(writer, part * 300, part * 300 + 300);
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

testDirectAndCached("A log with defaults is seen with zeros in it", async (dir) => {
  const path = dir.file("log");
  const writer = await open(path, {}, { append: true });
  await writer.write(new TextEncoder().encode(lines(0, 10)));
  await writer.flushAligned({ tail: true });
  const seen = await Deno.readTextFile(path);
  assert(seen.startsWith(lines(0, 10)) && seen.endsWith("\0"), `${seen.length} bytes`);
  await writer.close();
  assertEquals(await Deno.readTextFile(path), lines(0, 10));
}, { where: hasDirectIo });
