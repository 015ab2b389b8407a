// `read`, and "-" as a path: standard output gets the bytes, and no other text.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { cachedBytes } from "../setup/command.ts";
import { assertFile, namesIn, pattern } from "../support/bytes.ts";
import { isOnDisk, testDirectAndCached } from "../support/dirs.ts";
import { dma, fails, interrupt, shell, succeeds, testInDirectory } from "./process.ts";

const LENGTH = 3_145_729;

testDirectAndCached("dma read writes a file to standard output", async (dir) => {
  await Deno.writeFile(dir.file("in"), pattern(LENGTH));
  const { bytes, stderr } = await succeeds(["read", dir.file("in")]);
  assertEquals(bytes, pattern(LENGTH));
  assertMatch(stderr, /^dma: wrote 3145729 bytes \(3\.0 MiB\) to standard output; .*\/s\n$/);
}, { bothEngines: false });

testDirectAndCached("dma read leaves nothing in the page cache", async (dir) => {
  const path = dir.file("in");
  // Past the page cache too, except for the block in which the file is cut.
  await dma(["write", path], pattern(LENGTH));
  const before = await cachedBytes(path);
  if (before === undefined) return;
  assert(before <= 4096, `${before}`);
  assertEquals((await dma(["read", "--quiet", path])).stderr, "");
  assertEquals(await cachedBytes(path), before);
  await Deno.readFile(path);
  assert(await cachedBytes(path) as number >= LENGTH, "The control: another way to read fills it");
}, { bothEngines: false, where: isOnDisk });

testInDirectory("dma read reads what has no length, holes, and nothing", async (dir) => {
  assertMatch((await dma(["read", "--quiet", "/proc/self/comm"])).stdout, /^deno/);
  await Deno.writeTextFile(`${dir}/in`, "");
  assertEquals((await dma(["read", `${dir}/in`])).bytes.length, 0);
  await Deno.truncate(`${dir}/in`, LENGTH);
  assertEquals((await dma(["read", "--quiet", `${dir}/in`])).bytes, new Uint8Array(LENGTH));
});

testInDirectory("dma read fails with one line", async (dir) => {
  const missing = /^dma: No such file or directory \(os error 2\): .*missing'\n$/;
  await fails(1, ["read", `${dir}/missing`], missing);
  await Deno.writeFile(`${dir}/in`, pattern(LENGTH));
  const full = await shell(dir, "dma read in > /dev/full");
  assertEquals([full.code, full.stderr], [1, "dma: No space left on device (os error 28)\n"]);
  const gone = await shell(dir, "dma read --quiet in | head -c 3 | wc -c; echo ${PIPESTATUS[0]}");
  assertEquals([gone.stdout, gone.stderr], ["3\n1\n", ""]);
});

testInDirectory("dma read ends with 130 on SIGINT, also without a reader", async (dir) => {
  await Deno.writeFile(`${dir}/in`, pattern(LENGTH));
  // The pipe soon becomes full.
  const begun = async (pid: number) => {
    const io = await Deno.readTextFile(`/proc/${pid}/io`);
    return Number(/^wchar: (\d+)/m.exec(io)?.[1]) >= 65_536;
  };
  const { code, stderr } = await interrupt(["read", `${dir}/in`], { begun });
  assertEquals(code, 130);
  assertMatch(stderr, /^dma: stopped by SIGINT; wrote \d+ bytes .*to standard output\n$/);
});

testInDirectory("dma takes - for standard input, and for standard output", async (dir) => {
  const input = pattern(LENGTH);
  await succeeds(["copy", "-", `${dir}/one`], input);
  await assertFile(`${dir}/one`, input);
  for (const args of [["copy", `${dir}/one`, "-"], ["write", "-"], ["copy", "-", "-"]]) {
    assertEquals((await succeeds(args, input)).bytes, input);
  }
  assertEquals(await namesIn(dir), ["one"]);
  const { stdout } = await shell(dir, "echo file > ./-; dma copy --quiet ./- two; cat two");
  assertEquals(stdout, "file\n");
});
