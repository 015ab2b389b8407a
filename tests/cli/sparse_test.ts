// `copy` keeps holes: they take no space in the copy, and read as zeros.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { assertFile, joined, pattern } from "../support/bytes.ts";
import {
  testDirectAndCached,
  type TestDirectory,
  testInEachDirectory,
  testInOneDirectory,
} from "../support/dirs.ts";
import { shell, succeeds } from "./process.ts";

const MIB = 1024 ** 2;

type Range = [position: number, length: number];

/** Makes a file with data in these ranges, and holes elsewhere. */
async function sparse(
  dir: TestDirectory,
  size: number,
  data: Range[],
  name = "source",
): Promise<string> {
  const path = dir.file(name);
  using file = await Deno.open(path, { write: true, create: true, truncate: true });
  for (const [position, length] of data) {
    await file.seek(position, Deno.SeekMode.Start);
    await file.write(pattern(length));
  }
  await file.truncate(size);
  // Before that ext4 has allocated no blocks.
  await file.sync();
  return path;
}

/** Bytes that a file takes on the disk. */
async function space(path: string): Promise<number> {
  return (await Deno.stat(path)).blocks! * 512;
}

/** Copies to a file, compares all bytes, and resolves to the JSON output. */
async function copied(source: string, target: string, ...args: string[]) {
  const { stdout } = await succeeds(["copy", "--json", ...args, source, target]);
  await assertFile(target, await Deno.readFile(source));
  return JSON.parse(stdout);
}

const shapes: [name: string, size: number, data: Range[]][] = [
  ["a hole at the beginning", 8 * MIB, [[7 * MIB, MIB]]],
  ["a hole in the middle", 8 * MIB, [[0, MIB], [7 * MIB, MIB]]],
  ["a hole at the end", 8 * MIB + 5, [[0, 100_000]]],
  ["many holes, and an odd length", 10 * MIB + 777, [
    ...Array.from({ length: 40 }, (_, n): Range => [n * MIB / 4 + 65_536, 8192]),
    [10 * MIB, 777],
  ]],
  ["nothing but a hole", 8 * MIB + 1, []],
];

testInEachDirectory("dma copy keeps holes wherever they are", async (dir) => {
  await Promise.all(shapes.map(async ([name, size, data]) => {
    const source = await sparse(dir, size, data, name);
    const held = await space(source);
    assert(held < size / 2, `The file system made no holes: ${held} of ${size}, ${name}`);
    const copy = `${source}'s copy`;
    const report = await copied(source, copy);
    const taken = await space(copy);
    assert(taken <= held, `${taken} bytes are taken where the source takes ${held}: ${name}`);
    assertEquals([report.bytes, report.fileSize, report.synced], [size, size, true], name);
    assert(report.holes > size / 2 && report.holes <= size, `${name}: ${report.holes}`);
  }));
}, { bothEngines: false });

testDirectAndCached("dma copy keeps holes with --atomic, and over a longer file", async (dir) => {
  const source = await sparse(dir, 8 * MIB + 5, [[MIB, MIB]]);
  for (const args of [["--atomic"], [], ["--direct", "off"]]) {
    await Deno.writeFile(dir.file("copy"), pattern(12 * MIB));
    await copied(source, dir.file("copy"), ...args);
    const taken = await space(dir.file("copy"));
    assert(taken <= await space(source), `${args}: ${taken}`);
  }
}, { bothEngines: false });

testDirectAndCached("dma copy --sparse never writes zeros in place of holes", async (dir) => {
  const source = await sparse(dir, 4 * MIB, [[0, 4096]]);
  assertEquals((await copied(source, dir.file("copy"), "--sparse", "never")).holes, 0);
  assert(await space(dir.file("copy")) >= 4 * MIB);
}, { bothEngines: false });

testInOneDirectory("dma copy reports holes, and appends them as zeros", async (dir) => {
  const [source, target] = [await sparse(dir, 2 * MIB, [[MIB, 4096]]), dir.file("copy")];
  const { stderr } = await succeeds(["copy", source, target]);
  assertStringIncludes(stderr, "wrote 2097152 bytes (2 MiB) to ");
  assertStringIncludes(stderr, "; 2.0 MiB of them in holes; ");
  await succeeds(["copy", "--append", source, target]);
  const bytes = await Deno.readFile(source);
  await assertFile(target, joined(bytes, bytes));
}, { bothEngines: false });

testInOneDirectory("dma copy moves no descriptor that it inherits", async (dir) => {
  await Deno.writeTextFile(dir.file("in"), "line\n".repeat(10_000));
  await Deno.truncate(dir.file("in"), MIB);
  const script = 'exec 3< in; dma copy --quiet in out; read -r -u 3 line && echo "$line"';
  assertEquals((await shell(dir.path, script)).stdout, "line\n");
}, { bothEngines: false });
