// `copy` like cp(1): into directories, and without replacing files if requested.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { assertFile, namesIn, pattern } from "../support/bytes.ts";
import { testInEachDirectory } from "../support/dirs.ts";
import { fails, succeeds, testInDirectory } from "./process.ts";

testInDirectory("dma copy into a directory keeps the name of the source", async (dir) => {
  await Deno.writeFile(`${dir}/in`, pattern(5000));
  await Deno.mkdir(`${dir}/folder`);
  await Deno.symlink("folder", `${dir}/link`);
  for (const target of ["folder", "folder/", "folder//", "link"]) {
    const { stderr } = await succeeds(["copy", `${dir}/in`, `${dir}/${target}`]);
    assertStringIncludes(stderr, ` to ${dir}/${target.replace(/\/+$/, "")}/in; `);
    await assertFile(`${dir}/folder/in`, pattern(5000));
    await Deno.remove(`${dir}/folder/in`);
  }
  await succeeds(["copy", "--atomic", `${dir}/in`, `${dir}/folder`]);
  assertEquals(await namesIn(`${dir}/folder`), ["in"]);
});

testInEachDirectory("dma --no-clobber leaves an existing file unchanged", async (dir) => {
  const [source, target] = [dir.file("in"), dir.file("out")];
  await Deno.writeFile(source, pattern(5000));
  for (const args of [["copy", "--no-clobber", source], ["write", "--no-clobber"]]) {
    await succeeds([...args, target], pattern(5000));
    await assertFile(target, pattern(5000));
    await Deno.writeTextFile(target, "old");
    const says = `dma: File exists (os error 17): open '${target}'; ` +
      "without --no-clobber it would be replaced\n";
    await fails(1, [...args, target], says, pattern(5000));
    assertEquals(await Deno.readTextFile(target), "old");
    await Deno.remove(target);
  }
}, { bothEngines: false });

testInEachDirectory("dma write --size gives back the space that is not used", async (dir) => {
  const path = dir.file("out");
  await succeeds(["write", "--size", "64M", path], pattern(5_000_001));
  await assertFile(path, pattern(5_000_001));
  assertEquals((await Deno.stat(path)).blocks! * 512 < 8_000_000, true);
}, { bothEngines: false });
