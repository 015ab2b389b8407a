// `copy` as cp(1): into directories, and without replacing anything where that is asked for.
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { testInEachDirectory } from "../support/dirs.ts";
import { assertFile, namesIn, pattern } from "../support/bytes.ts";
import { dma, testInDirectory } from "./process.ts";

testInDirectory("dma copy into a directory keeps the name of the source", async (dir) => {
  await Deno.writeFile(`${dir}/in`, pattern(5000));
  await Deno.mkdir(`${dir}/folder`);
  await Deno.symlink("folder", `${dir}/link`);
  for (const target of ["folder", "folder/", "folder//", "link"]) {
    const { code, stderr } = await dma(["copy", `${dir}/in`, `${dir}/${target}`]);
    assertEquals(code, 0, stderr);
    assertStringIncludes(stderr, ` to ${dir}/${target.replace(/\/+$/, "")}/in; `);
    await assertFile(`${dir}/folder/in`, pattern(5000));
    await Deno.remove(`${dir}/folder/in`);
  }
  assertEquals((await dma(["copy", "--atomic", `${dir}/in`, `${dir}/folder`])).code, 0);
  assertEquals(await namesIn(`${dir}/folder`), ["in"]);
});

testInDirectory("dma copy into the directory of its source is refused", async (dir) => {
  await Deno.writeFile(`${dir}/in`, pattern(1000));
  const { code, stderr } = await dma(["copy", `${dir}/in`, dir]);
  assertEquals([code, stderr], [
    1,
    `dma: Cannot write to '${dir}/in': it is the file that is read\n`,
  ]);
  await assertFile(`${dir}/in`, pattern(1000));
});

testInDirectory("dma copy to a missing directory creates no file", async (dir) => {
  await Deno.writeFile(`${dir}/in`, pattern(10));
  const { code, stderr } = await dma(["copy", `${dir}/in`, `${dir}/folder/`]);
  assertEquals(code, 1);
  assertMatch(stderr, /^dma: .*; make the directory first: mkdir -p .*folder\/\n$/);
  assertEquals(await namesIn(dir), ["in"]);
});

testInEachDirectory("dma --no-clobber leaves an existing file unchanged", async (dir) => {
  const [source, target] = [dir.file("in"), dir.file("out")];
  await Deno.writeFile(source, pattern(5000));
  for (const args of [["copy", "--no-clobber", source], ["write", "--no-clobber"]]) {
    const made = await dma([...args, target], pattern(5000));
    assertEquals(made.code, 0, made.stderr);
    await assertFile(target, pattern(5000));
    await Deno.writeTextFile(target, "old");
    const { code, stderr } = await dma([...args, target], pattern(5000));
    assertEquals(code, 1);
    assertEquals(
      stderr,
      `dma: File exists (os error 17): open '${target}'; without --no-clobber it would be replaced\n`,
    );
    assertEquals(await Deno.readTextFile(target), "old");
    await Deno.remove(target);
  }
  for (const option of ["--atomic", "--append"]) {
    const { code, stderr } = await dma(["write", "--no-clobber", option, target]);
    assertEquals(code, 2);
    assertStringIncludes(stderr, "--no-clobber");
  }
}, { bothEngines: false });

testInEachDirectory(
  "dma write --size reserves space, and gives back what is not used",
  async (dir) => {
    const path = dir.file("out");
    const { code, stderr } = await dma(["write", "--size", "64M", path], pattern(5_000_001));
    assertEquals(code, 0, stderr);
    await assertFile(path, pattern(5_000_001));
    assertEquals((await Deno.stat(path)).blocks! * 512 < 8_000_000, true);
    const wrong = await dma(["write", "--size", "much", path], pattern(10));
    assertEquals(wrong.code, 2);
    assertStringIncludes(wrong.stderr, "It must be a size such as 500M, 10G or 2T");
  },
  { bothEngines: false },
);
