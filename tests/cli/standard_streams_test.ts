// `read`, and "-" in place of a path: bytes go to standard output, and nothing else does.
import { eventually } from "../support/descriptors.ts";
import { cachedBytes } from "../setup/command.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { isOnDisk, testDirectAndCached } from "../support/dirs.ts";
import { assertFile, namesIn, pattern } from "../support/bytes.ts";
import { dma, output, shell, spawn, testInDirectory } from "./process.ts";

const LENGTH = 3_145_729;

testDirectAndCached("dma read writes a file to standard output", async (dir) => {
  await Deno.writeFile(dir.file("in"), pattern(LENGTH));
  const { code, bytes, stderr } = await dma(["read", dir.file("in")]);
  assertEquals(code, 0, stderr);
  assertEquals(bytes, pattern(LENGTH));
  assertMatch(stderr, /^dma: wrote 3145729 bytes \(3\.0 MiB\) to standard output; .*\/s\n$/);
}, { bothEngines: false });

testDirectAndCached("dma read leaves nothing in the page cache", async (dir) => {
  const path = dir.file("in");
  // Past the page cache too, but for the block in which the file is cut.
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
  const { stdout } = await dma(["read", "--quiet", "/proc/self/comm"]);
  assertMatch(stdout, /^deno/);
  await Deno.create(`${dir}/in`).then((file) => file.close());
  assertEquals((await dma(["read", `${dir}/in`])).bytes.length, 0);
  await Deno.truncate(`${dir}/in`, LENGTH);
  assertEquals((await dma(["read", "--quiet", `${dir}/in`])).bytes, new Uint8Array(LENGTH));
});

testInDirectory("dma read fails with one line, and says what to do", async (dir) => {
  const missing = await dma(["read", `${dir}/missing`]);
  assertEquals([missing.code, missing.stdout], [1, ""]);
  assertMatch(missing.stderr, /^dma: No such file or directory \(os error 2\): .*missing'\n$/);
  const directory = await dma(["read", dir]);
  assertEquals(directory.code, 1);
  assertStringIncludes(directory.stderr, `; pack it first: tar c ${dir}\n`);
  await Deno.writeFile(`${dir}/in`, pattern(LENGTH));
  const full = await shell(dir, "dma read in > /dev/full");
  assertEquals(full.code, 1);
  assertEquals(full.stderr, "dma: No space left on device (os error 28)\n");
  const gone = await shell(dir, "dma read --quiet in | head -c 3 | wc -c; echo ${PIPESTATUS[0]}");
  assertEquals([gone.stdout, gone.stderr], ["3\n1\n", ""]);
});

testInDirectory("dma read onto the end of its own file is refused", async (dir) => {
  await Deno.writeFile(`${dir}/in`, pattern(1000));
  const { code, stderr } = await shell(dir, "dma read in >> in");
  assertEquals([code, stderr], [
    1,
    "dma: Cannot write to '/dev/stdout': it is the file that is read\n",
  ]);
  await assertFile(`${dir}/in`, pattern(1000));
});

testInDirectory("dma read ends with 130 on SIGINT, also without a reader", async (dir) => {
  await Deno.writeFile(`${dir}/in`, pattern(LENGTH));
  const child = spawn("read", `${dir}/in`);
  await child.stdin.close();
  // The pipe is full soon.
  const wchar = async () =>
    Number(/^wchar: (\d+)/m.exec(await Deno.readTextFile(`/proc/${child.pid}/io`))?.[1]);
  await eventually(async () => await wchar() >= 65_536, "Nothing was written");
  child.kill("SIGINT");
  const { code, stderr } = await output(child);
  assertEquals(code, 130);
  assertMatch(stderr, /^dma: stopped by SIGINT; wrote \d+ bytes .*to standard output\n$/);
});

testInDirectory("dma copy takes - for standard input, and for standard output", async (dir) => {
  const input = pattern(LENGTH);
  assertEquals((await dma(["copy", "-", `${dir}/one`], input)).code, 0);
  await assertFile(`${dir}/one`, input);
  const copied = await dma(["copy", `${dir}/one`, "-"]);
  assertEquals(copied.code, 0, copied.stderr);
  assertEquals(copied.bytes, input);
  for (const args of [["write", "-"], ["copy", "-", "-"]]) {
    const through = await dma(args, input);
    assertEquals(through.code, 0, through.stderr);
    assertEquals(through.bytes, input);
  }
  assertEquals(await namesIn(dir), ["one"]);
  assertEquals(
    (await shell(dir, "echo file > ./-; dma copy --quiet ./- two; cat two")).stdout,
    "file\n",
  );
});

testInDirectory(
  "dma refuses options that standard input and output have no use for",
  async (dir) => {
    await Deno.writeFile(`${dir}/in`, pattern(10));
    const refused: [args: string[], what: string][] = [
      [["write", "--atomic", "-"], "'--atomic' cannot be used with standard output"],
      [["write", "--json", "-"], "'--json' cannot be used with standard output"],
      [["copy", "--no-sync", `${dir}/in`, "-"], "'--no-sync' cannot be used with standard output"],
      [
        ["copy", "--preserve", "-", `${dir}/out`],
        "'--preserve' cannot be used with standard input",
      ],
    ];
    for (const [args, what] of refused) {
      const { code, stdout, stderr } = await dma(args);
      assertEquals([code, stdout], [2, ""], stderr);
      assertStringIncludes(stderr, what);
    }
    assertEquals(await namesIn(dir), ["in"]);
  },
);
