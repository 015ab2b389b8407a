// `copy` keeps holes: they take no space in the copy, and read as zeros. `--verify` reads what is between them.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { tool } from "../faults/tools.ts";
import { runOrThrow } from "../setup/command.ts";
import { assertFile, joined, MIB, pattern } from "../support/bytes.ts";
import { testDirectAndCached, testInEachDirectory } from "../support/dirs.ts";
import { DMA, spaceOf, succeeds, testDma } from "./process.ts";

type Range = [position: number, length: number];

/** Makes a file with data in these ranges, and holes elsewhere. */
async function makeSparse(path: string, size: number, data: Range[]): Promise<string> {
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

/** Copies to a file, compares all bytes, and resolves to the JSON output. */
async function copied(source: string, target: string, ...args: string[]) {
  const { stdout } = await succeeds(["copy", "--json", ...args, source, target]);
  await assertFile(target, await Deno.readFile(source));
  return JSON.parse(stdout);
}

const shapes: [name: string, size: number, data: Range[]][] = [
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
    const source = await makeSparse(dir.file(name), size, data);
    const held = await spaceOf(source);
    assert(held < size / 2, `The file system made no holes: ${held} of ${size}, ${name}`);
    const copy = `${source}'s copy`;
    const report = await copied(source, copy, "--verify");
    const taken = await spaceOf(copy);
    assert(taken <= held, `${taken} bytes are taken where the source takes ${held}: ${name}`);
    const { bytes, fileSize, synced, verified } = report;
    assertEquals([bytes, fileSize, synced, verified], [size, size, true, true], name);
    assert(report.holes > size / 2 && report.holes <= size, `${name}: ${report.holes}`);
  }));
}, { bothEngines: false });

testDirectAndCached("dma copy over a longer file keeps holes, if it is to", async (dir) => {
  const source = await makeSparse(dir.file("source"), 8 * MIB + 5, [[MIB, MIB]]);
  const held = await spaceOf(source);
  const copy = dir.file("copy");
  for (const options of [["--atomic"], [], ["--direct", "off"], ["--sparse", "never"]]) {
    await Deno.writeFile(copy, pattern(12 * MIB));
    const { holes } = await copied(source, copy, ...options);
    const taken = await spaceOf(copy);
    if (!options.includes("never")) {
      assert(taken <= held, `${options}: ${taken} instead of ${held}`);
    } else assert(holes === 0 && taken >= 8 * MIB, `${holes} in holes, ${taken} taken`);
  }
}, { bothEngines: false });

testDma("dma copy reports holes, and appends them as zeros", async (dir) => {
  const [source, target] = [`${dir}/source`, `${dir}/copy`];
  await makeSparse(source, 2 * MIB, [[MIB, 4096]]);
  const { stderr } = await succeeds(["copy", source, target]);
  assertStringIncludes(stderr, "wrote 2097152 bytes (2 MiB) to ");
  assertStringIncludes(stderr, "; 2.0 MiB of them in holes; ");
  await succeeds(["copy", "--append", source, target]);
  const bytes = await Deno.readFile(source);
  await assertFile(target, joined(bytes, bytes));
});

testDma("dma copy takes nothing for a hole if the search for data gives EIO", async (dir) => {
  const source = await makeSparse(`${dir}/source`, 2 * MIB, [[MIB, 4096]]);
  await runOrThrow(await tool("secc"), ["data", "5", ...DMA, "copy", source, `${dir}/copy`]);
  await assertFile(`${dir}/copy`, await Deno.readFile(source));
}, { needs: ["gcc"] });
