// Holds `write` and `copy` to their word: what they leave on the disk, what they say, and their exit codes.
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { assertFile, namesIn, pattern } from "../support/bytes.ts";
import { dma, testInDirectory } from "./process.ts";
import { testOnce } from "../support/once.ts";

for (const length of [0, 1, 4096, 4097, 1_048_576, 3_145_729]) {
  testInDirectory(`dma write stores ${length} bytes of standard input`, async (dir) => {
    const input = pattern(length);
    const { code, stdout, stderr } = await dma(["write", `${dir}/out`], input);
    assertEquals(code, 0, stderr);
    assertEquals(stdout, "");
    assertMatch(stderr, new RegExp(`^dma: wrote ${length} bytes? .*to .*; \\d.* m?s.*; synced\n$`));
    await assertFile(`${dir}/out`, input);
  }, { bothEngines: true });
}

testInDirectory("dma write replaces a longer file", async (dir) => {
  await Deno.writeFile(`${dir}/out`, pattern(100_000));
  const { code } = await dma(["write", `${dir}/out`], pattern(5000));
  assertEquals(code, 0);
  await assertFile(`${dir}/out`, pattern(5000));
});

testInDirectory("dma write says how it was written", async (dir) => {
  const args = ["--buffer-size", "64K", "--write-behind", "3", "--no-sync", "--direct", "off"];
  const { code, stderr } = await dma(["write", ...args, `${dir}/out`], pattern(200_000));
  assertEquals(code, 0, stderr);
  assertMatch(stderr, /; page cache, (io_uring|threads); 3 x 64 KiB; not synced\n$/);
  await assertFile(`${dir}/out`, pattern(200_000));
});

testInDirectory("dma write --quiet says nothing", async (dir) => {
  const { code, stdout, stderr } = await dma(["write", "--quiet", `${dir}/out`], pattern(10));
  assertEquals([code, stdout, stderr], [0, "", ""]);
});

testInDirectory("dma write --append keeps what is there, whatever its length", async (dir) => {
  const whole = pattern(150_000);
  await Deno.writeFile(`${dir}/out`, whole.subarray(0, 70_001));
  const { code, stderr } = await dma(["write", "--append", `${dir}/out`], whole.subarray(70_001));
  assertEquals(code, 0, stderr);
  assertStringIncludes(stderr, "appended 79999 bytes");
  await assertFile(`${dir}/out`, whole);
}, { bothEngines: true });

testInDirectory("dma write --append creates a missing file", async (dir) => {
  const { code, stderr } = await dma(["write", "--append", `${dir}/out`], pattern(77));
  assertEquals(code, 0, stderr);
  await assertFile(`${dir}/out`, pattern(77));
});

testInDirectory("dma write --atomic leaves the new file and nothing else", async (dir) => {
  await Deno.writeTextFile(`${dir}/out`, "old");
  const { code, stderr } = await dma(["write", "--atomic", `${dir}/out`], pattern(1_500_000));
  assertEquals(code, 0, stderr);
  assertEquals(await namesIn(dir), ["out"]);
  await assertFile(`${dir}/out`, pattern(1_500_000));
}, { bothEngines: true });

testInDirectory("dma copy copies a file", async (dir) => {
  await Deno.writeFile(`${dir}/in`, pattern(2_500_001));
  const { code, stderr } = await dma(["copy", `${dir}/in`, `${dir}/out`]);
  assertEquals(code, 0, stderr);
  await assertFile(`${dir}/out`, pattern(2_500_001));
}, { bothEngines: true });

testInDirectory("dma copy refuses a file onto itself, also by another name", async (dir) => {
  await Deno.writeFile(`${dir}/in`, pattern(1000));
  await Deno.link(`${dir}/in`, `${dir}/link`);
  for (const more of [[], ["--atomic"], ["--append"]]) {
    const { code, stderr } = await dma(["copy", ...more, `${dir}/in`, `${dir}/link`]);
    assertEquals(code, 1);
    assertMatch(stderr, /^dma: Cannot write to .*: it is the file that is read\n$/);
  }
  await assertFile(`${dir}/in`, pattern(1000));
});

testInDirectory(
  "dma copy of a missing source leaves the destination alone and ends with 1",
  async (dir) => {
    await Deno.writeTextFile(`${dir}/out`, "old");
    const { code, stderr } = await dma(["copy", `${dir}/missing`, `${dir}/out`]);
    assertEquals(code, 1);
    assertMatch(stderr, /^dma: No such file or directory \(os error 2\): .*missing'\n$/);
    assertEquals(await Deno.readTextFile(`${dir}/out`), "old");
  },
);

testInDirectory(
  "dma copy ends with 1 where reading fails, and keeps no atomic file",
  async (dir) => {
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
  },
);

testInDirectory(
  "dma write ends with 2 and touches nothing where the arguments are wrong",
  async (dir) => {
    await Deno.writeTextFile(`${dir}/out`, "old");
    for (
      const wrong of [
        ["--buffer-size", "many"],
        ["--buffer-size", "-1"],
        ["--buffer-size", "2G"],
        ["--write-behind", "0"],
        ["--write-behind", "1.5"],
        ["--direct", "maybe"],
        ["--flush-every", "often"],
        ["--flush-every", "5"],
        ["--flush-every", "61m"],
        ["--size", "-1"],
        ["--atomic", "--append"],
        ["--no-such-option"],
      ]
    ) {
      const { code, stdout, stderr } = await dma(["write", ...wrong, `${dir}/out`], pattern(10));
      assertEquals(code, 2, `${wrong}: ${stderr}`);
      assertEquals(stdout, "");
      assertMatch(stderr, /^dma: .*\n$/, `${wrong}`);
    }
    assertEquals(await Deno.readTextFile(`${dir}/out`), "old");
  },
);

testOnce("dma ends with 2 if the command is missing or unknown", async () => {
  assertEquals((await dma([])).code, 2);
  assertEquals((await dma(["burn"])).code, 2);
  assertEquals((await dma(["write"])).code, 2);
  assertEquals((await dma(["copy", "one"])).code, 2);
});
