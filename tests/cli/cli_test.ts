// `write`, `copy` and `read`: their bytes, the line that they print, their exit codes, and `--verify`.

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { cachedBytes, eventually } from "../setup/command.ts";
import { assertFile, namesIn, pattern } from "../support/bytes.ts";
import { isOnDisk, testDirectAndCached } from "../support/dirs.ts";
import { dma, Running, shell, spaceOf, succeeds, testDma } from "./process.ts";

const LENGTH = 3_145_729;

/** Options of `write`, and the end of the line that it prints. */
const ways: [options: string[], says: RegExp][] = [
  [["--verify"], /; synced; verified in \d.*\/s\n$/],
  [["--verify", "--atomic"], /; synced; verified in \d.*\/s\n$/],
  [["--no-sync", "--direct", "off"], /; page cache, (io_uring|threads); 1 x 1 MiB; not synced\n$/],
  [["--buffer-size", "64K", "--write-behind", "3"], /; 3 x 64 KiB; synced\n$/],
  [["--quiet"], /^$/],
];

testDma("dma write stores standard input, also over a longer file", async (dir) => {
  const path = `${dir}/out`;
  const write = async (length: number, options: string[] = []) => {
    const { stdout, stderr } = await succeeds(["write", ...options, path], pattern(length));
    assertEquals(stdout, "");
    await assertFile(path, pattern(length));
    return stderr;
  };
  for (const length of [LENGTH, 1_048_576, 4097, 4096, 1, 0]) {
    const line = new RegExp(`^dma: wrote ${length} bytes? .*to .*; \\d.* m?s.*; synced\n$`);
    assertMatch(await write(length), line);
  }
  for (const [options, says] of ways) {
    await Deno.writeFile(path, pattern(2_000_000));
    assertMatch(await write(1_500_001, options), says);
    assertEquals(await namesIn(dir), ["out"]);
  }
}, { bothEngines: true });

testDma("dma write --size reserves the space at once, and gives back the rest", async (dir) => {
  const path = `${dir}/out`;
  await using running = await Running.writing(path, ["--size", "16M", "--buffer-size", "64K"]);
  await running.send(pattern(200_000));
  await eventually(async () => await spaceOf(path) >= 16 * 1024 ** 2, "The space is not reserved");
  assertEquals((await running.finish(pattern(100_001, 200_000))).code, 0);
  await assertFile(path, pattern(300_001));
  assert(await spaceOf(path) < 1_000_000);
});

testDma("dma write --append continues at any length, and creates a file", async (dir) => {
  const whole = pattern(150_000);
  await succeeds(["write", "--append", `${dir}/out`], whole.slice(0, 70_001));
  const append = ["write", "--append", "--verify", `${dir}/out`];
  const { stderr } = await succeeds(append, whole.slice(70_001));
  assertMatch(stderr, /^dma: appended 79999 bytes .*; verified in /);
  await assertFile(`${dir}/out`, whole);
}, { bothEngines: true });

testDma("dma copy into a directory keeps the name of the source", async (dir) => {
  await Deno.writeFile(`${dir}/in`, pattern(5000));
  await Deno.mkdir(`${dir}/folder`);
  await Deno.symlink("folder", `${dir}/link`);
  for (const target of ["folder", "folder/", "folder//", "link"]) {
    const copy = ["copy", "--atomic", "--no-progress", `${dir}/in`, `${dir}/${target}`];
    const { stderr } = await succeeds(copy);
    assertStringIncludes(stderr, ` to ${dir}/${target.replace(/\/+$/, "")}/in; `);
    await assertFile(`${dir}/folder/in`, pattern(5000));
    assertEquals(await namesIn(`${dir}/folder`), ["in"]);
    await Deno.remove(`${dir}/folder/in`);
  }
  await succeeds(["copy", "--no-clobber", `${dir}/in`, `${dir}/folder`]);
  await assertFile(`${dir}/folder/in`, pattern(5000));
});

testDma("dma copy that cannot read ends with 1, and keeps no atomic file", async (dir) => {
  // Nothing is mapped at address 0, so the first read fails with EIO.
  const failing = "/proc/self/mem";
  const { code, stderr } = await dma(["copy", failing, `${dir}/out`]);
  assertEquals(code, 1);
  assertMatch(stderr, /^dma: .*os error 5.*\ndma: failed; kept the first 0 bytes in .*out\n$/);
  await assertFile(`${dir}/out`, new Uint8Array());
  await Deno.writeTextFile(`${dir}/out`, "old");
  assertEquals((await dma(["copy", "--atomic", failing, `${dir}/out`])).code, 1);
  assertEquals(await namesIn(dir), ["out"]);
  assertEquals(await Deno.readTextFile(`${dir}/out`), "old");
});

testDirectAndCached("dma read writes a file to standard output", async (dir, path) => {
  // Past the page cache too, except for the block in which the file is cut.
  await succeeds(["write", path], pattern(LENGTH));
  const before = await cachedBytes(path);
  const { bytes, stderr } = await succeeds(["read", path]);
  assertEquals(bytes, pattern(LENGTH));
  assertMatch(stderr, /^dma: wrote 3145729 bytes \(3\.0 MiB\) to standard output; .*\/s\n$/);
  if (!isOnDisk(dir) || before === undefined) return;
  assert(before <= 4096, `${before}`);
  assertEquals(await cachedBytes(path), before);
  await Deno.readFile(path);
  assert(await cachedBytes(path) as number >= LENGTH, "The control: another way to read fills it");
}, { bothEngines: false });

testDma("dma read reads what has no length, holes, and nothing", async (dir) => {
  assertMatch((await dma(["read", "--quiet", "/proc/self/comm"])).stdout, /^deno/);
  await Deno.writeTextFile(`${dir}/in`, "");
  assertEquals((await dma(["read", `${dir}/in`])).bytes.length, 0);
  await Deno.truncate(`${dir}/in`, LENGTH);
  const holes = await dma(["read", "--quiet", `${dir}/in`]);
  assertEquals([holes.bytes, holes.stderr], [new Uint8Array(LENGTH), ""]);
  const gone = await shell(dir, "dma read --quiet in | head -c 3 | wc -c; echo ${PIPESTATUS[0]}");
  assertEquals([gone.stdout, gone.stderr], ["3\n1\n", ""]);
});

testDma("dma takes - for standard input, and for standard output", async (dir) => {
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

testDirectAndCached("dma --verify reads from the disk, and not the page cache", async (dir) => {
  // Written past the page cache, so that reading the source is counted in any case.
  await succeeds(["write", dir.file("in")], pattern(LENGTH));
  /** The bytes that a copy reads from the disk. Those of an awaited child count as the shell's. */
  const bytesRead = async (options: string) => {
    const script = `dma copy --quiet ${options} in out && grep ^read_bytes /proc/$$/io`;
    const { success, stdout, stderr } = await shell(dir.path, script);
    assert(success, stderr);
    return Number(/(\d+)\n$/.exec(stdout)?.[1]);
  };
  // The control. On a machine that is short of memory the first run reads Deno itself from the disk.
  const targetIsNotRead = async () => await bytesRead("") < 2 * LENGTH;
  await eventually(targetIsNotRead, "Without it the target is not read");
  for (const direct of ["prefer", "off"]) {
    const read = await bytesRead(`--verify --direct ${direct}`);
    assert(read >= 2 * LENGTH - 8192, `${direct}: ${read}`);
  }
}, { bothEngines: false, where: isOnDisk });

testDma("dma write --verify fails where another byte is read", async (dir) => {
  const path = `${dir}/out`;
  for (const atomic of [false, true]) {
    await Deno.writeTextFile(path, "old");
    const options = ["--verify", "--buffer-size", "64K", ...atomic ? ["--atomic"] : []];
    await using running = await Running.writing(path, options);
    await running.send(pattern(500_000));
    const [file] = running.filesIn(dir);
    await eventually(async () => (await Deno.stat(file!)).size >= 65_536, "Nothing was written");
    {
      using written = await Deno.open(file!, { write: true });
      await written.write(new Uint8Array([255]));
      await written.sync();
    }
    const { code, stderr } = await running.finish();
    assertEquals(code, 1, stderr);
    const differs = `dma: What was read back from '${path}' differs from what was written`;
    assertStringIncludes(stderr, differs);
    if (atomic) await assertFile(path, new TextEncoder().encode("old"));
    else assertStringIncludes(stderr, `failed; kept the first 500000 bytes in ${path}`);
  }
});
