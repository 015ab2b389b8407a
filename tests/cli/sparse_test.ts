// `copy` keeps holes: what takes no space in the source takes none in the copy, and reads as zeros.
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  testDirectAndCached,
  type TestDirectory,
  testInEachDirectory,
  testInOneDirectory,
} from "../support/dirs.ts";
import { assertFile, pattern } from "../support/bytes.ts";
import { CLI, dma } from "./process.ts";
import { run } from "../setup/command.ts";

const MIB = 1024 ** 2;

/** Makes a file with data where it is said, and holes everywhere else. */
async function sparse(
  dir: TestDirectory,
  size: number,
  data: [position: number, length: number][],
  name = "source",
): Promise<string> {
  const path = dir.file(name);
  using file = await Deno.open(path, { write: true, create: true, truncate: true });
  for (const [position, length] of data) {
    await file.seek(position, Deno.SeekMode.Start);
    await file.write(pattern(length));
  }
  await file.truncate(size);
  // Until then ext4 has not allocated anything.
  await file.sync();
  return path;
}

/** Bytes that a file takes on the disk. */
async function space(path: string): Promise<number> {
  return (await Deno.stat(path)).blocks! * 512;
}

/** Copies to a file, compares all bytes, and resolves to what was said in JSON. */
async function copied(source: string, target: string, ...args: string[]) {
  const { code, stdout, stderr } = await dma(["copy", "--json", ...args, source, target]);
  assertEquals(code, 0, stderr);
  await assertFile(target, await Deno.readFile(source));
  return JSON.parse(stdout);
}

const shapes: [name: string, size: number, data: [number, number][]][] = [
  ["a hole at the beginning", 8 * MIB, [[7 * MIB, MIB]]],
  ["a hole in the middle", 8 * MIB, [[0, MIB], [7 * MIB, MIB]]],
  ["a hole at the end", 8 * MIB + 5, [[0, 100_000]]],
  ["many holes, and an odd length", 10 * MIB + 777, [
    ...Array.from({ length: 40 }, (_, n): [number, number] => [n * MIB / 4 + 65_536, 8192]),
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
  const { code, stderr } = await dma(["copy", "--sparse", "always", source, dir.file("copy")]);
  assertEquals(code, 2);
  assertStringIncludes(stderr, "Allowed choices are auto, never");
}, { bothEngines: false });

testInOneDirectory("dma copy --append of a file with holes appends zeros", async (dir) => {
  const source = await sparse(dir, 2 * MIB, [[MIB, 4096]]);
  await Deno.writeTextFile(dir.file("out"), "old");
  const { code, stderr } = await dma(["copy", "--append", source, dir.file("out")]);
  assertEquals(code, 0, stderr);
  const expected = new Uint8Array(3 + 2 * MIB);
  expected.set(new TextEncoder().encode("old"));
  expected.set(await Deno.readFile(source), 3);
  await assertFile(dir.file("out"), expected);
}, { bothEngines: false });

testInOneDirectory("dma copy says how much of a file is holes", async (dir) => {
  const source = await sparse(dir, 8 * MIB, [[0, MIB]]);
  const { stderr } = await dma(["copy", source, dir.file("copy")]);
  assertStringIncludes(stderr, "wrote 8388608 bytes (8 MiB) to ");
  assertStringIncludes(stderr, "; 7 MiB of them in holes; ");
}, { bothEngines: false });

testInOneDirectory(
  "dma copy moves the position of no descriptor that it inherits",
  async (dir) => {
    await Deno.writeTextFile(dir.file("in"), "line\n".repeat(10_000));
    await Deno.truncate(dir.file("in"), MIB);
    const script = `exec 3< "$1/in"
    "$2" run -A --no-check "$3" copy --quiet "$1/in" "$1/out"
    read -r -u 3 line && echo "$line"`;
    const args = ["-c", script, "bash", dir.path, Deno.execPath(), CLI];
    assertEquals((await run("bash", args)).stdout, "line\n");
  },
  { bothEngines: false },
);
