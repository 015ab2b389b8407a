// `write` and `copy`: their files, their output, and their exit codes.

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { assertFile, namesIn, pattern } from "../support/bytes.ts";
import { dma, fails, shell, succeeds, testInDirectory } from "./process.ts";

testInDirectory("dma write stores standard input, also over a longer file", async (dir) => {
  for (const length of [3_145_729, 1_048_576, 4097, 4096, 1, 0]) {
    const { stdout, stderr } = await succeeds(["write", `${dir}/out`], pattern(length));
    assertEquals(stdout, "");
    assertMatch(stderr, new RegExp(`^dma: wrote ${length} bytes? .*to .*; \\d.* m?s.*; synced\n$`));
    await assertFile(`${dir}/out`, pattern(length));
  }
}, { bothEngines: true });

testInDirectory("dma write prints how it wrote, with --quiet nothing", async (dir) => {
  const args = ["--buffer-size", "64K", "--write-behind", "3", "--no-sync", "--direct", "off"];
  const { stderr } = await succeeds(["write", ...args, `${dir}/out`], pattern(200_000));
  assertMatch(stderr, /; page cache, (io_uring|threads); 3 x 64 KiB; not synced\n$/);
  await assertFile(`${dir}/out`, pattern(200_000));
  const quiet = await dma(["write", "--quiet", `${dir}/out`], pattern(10));
  assertEquals([quiet.code, quiet.stdout, quiet.stderr], [0, "", ""]);
});

testInDirectory("dma write --append continues at any length, and creates a file", async (dir) => {
  const whole = pattern(150_000);
  await succeeds(["write", "--append", `${dir}/out`], whole.subarray(0, 70_001));
  const { stderr } = await succeeds(["write", "--append", `${dir}/out`], whole.subarray(70_001));
  assertStringIncludes(stderr, "appended 79999 bytes");
  await assertFile(`${dir}/out`, whole);
}, { bothEngines: true });

testInDirectory("dma write --atomic leaves the new file and nothing else", async (dir) => {
  await Deno.writeTextFile(`${dir}/out`, "old");
  await succeeds(["write", "--atomic", `${dir}/out`], pattern(1_500_000));
  assertEquals(await namesIn(dir), ["out"]);
  await assertFile(`${dir}/out`, pattern(1_500_000));
}, { bothEngines: true });

testInDirectory("dma copy refuses a file onto itself, also by another name", async (dir) => {
  await Deno.writeFile(`${dir}/in`, pattern(1000));
  await Deno.link(`${dir}/in`, `${dir}/link`);
  const itself = /^dma: Cannot write to .*: it is the file that is read\n$/;
  for (const more of [[], ["--atomic"], ["--append"]]) {
    await fails(1, ["copy", ...more, `${dir}/in`, `${dir}/link`], itself);
  }
  await fails(1, ["copy", `${dir}/in`, dir], itself);
  await assertFile(`${dir}/in`, pattern(1000));
});

testInDirectory("dma refuses a file onto itself through standard input and output", async (dir) => {
  await Deno.writeFile(`${dir}/in`, pattern(1000));
  const flags = `--allow-ffi --allow-read=${dir} --allow-write=${dir}`;
  const commands = ["write in < in", "write --append in < in", "copy /dev/stdin in < in"];
  for (const command of [...commands, "read in >> in", "copy - - < in >> in"]) {
    for (const granted of command.includes("/dev/") ? ["-A"] : ["-A", flags]) {
      const { code, stderr } = await shell(dir, `dma ${command}`, granted);
      assertEquals(code, 1, stderr);
      assertMatch(stderr, /^dma: Cannot write to .*: it is the file that is read\n$/);
    }
  }
  await assertFile(`${dir}/in`, pattern(1000));
});

testInDirectory("dma copy that cannot read ends with 1, and keeps no atomic file", async (dir) => {
  // Nothing is mapped at address 0, so the first read fails with EIO.
  const failing = "/proc/self/mem";
  const { code, stderr } = await dma(["copy", failing, `${dir}/out`]);
  assertEquals(code, 1);
  assertMatch(stderr, /^dma: .*os error 5.*\ndma: failed; kept the first 0 bytes in .*out\n$/);
  assertEquals((await Deno.stat(`${dir}/out`)).size, 0);
  await Deno.writeTextFile(`${dir}/out`, "old");
  assertEquals((await dma(["copy", "--atomic", failing, `${dir}/out`])).code, 1);
  assertEquals(await namesIn(dir), ["out"]);
  assertEquals(await Deno.readTextFile(`${dir}/out`), "old");
});
