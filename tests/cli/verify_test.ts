// `--verify` reads the written bytes from the disk itself, and fails if they differ from the input.
import { endOf } from "../setup/command.ts";
import { eventually } from "../support/descriptors.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { isOnDisk, testDirectAndCached, testInOneDirectory } from "../support/dirs.ts";
import { assertFile, namesIn, pattern } from "../support/bytes.ts";
import { dma, openIn, shell, spawn, succeeds } from "./process.ts";

const LENGTH = 8_388_608 + 777;

testDirectAndCached("dma --verify confirms what is right, however it is written", async (dir) => {
  const input = pattern(LENGTH);
  await Deno.writeFile(dir.file("in"), input);
  const target = dir.file("out");
  const runs = [
    ["copy", "--verify", dir.file("in"), target],
    ["copy", "--verify", "--atomic", dir.file("in"), target],
    ["copy", "--verify", "--direct", "off", dir.file("in"), target],
    ["write", "--verify", "--buffer-size", "64K", target],
  ];
  for (const args of runs) {
    const { stderr } = await succeeds(args, input);
    assertMatch(stderr, /; synced; verified in \d.*\/s\n$/);
    await assertFile(target, input);
  }
  const { code, stdout } = await dma(["write", "--verify", "--append", "--json", target], input);
  assertEquals([code, JSON.parse(stdout).verified], [0, true]);
  assertEquals((await Deno.stat(target)).size, 2 * LENGTH);
}, { bothEngines: false });

testDirectAndCached("dma copy --verify of a file with holes reads its data back", async (dir) => {
  await Deno.writeFile(dir.file("in"), pattern(100_000));
  await Deno.truncate(dir.file("in"), 50_000_000);
  const copy = ["copy", "--verify", "--json", dir.file("in"), dir.file("out")];
  const { bytes, holes, verified } = JSON.parse((await succeeds(copy)).stdout);
  assertEquals([bytes, verified, holes > 49_000_000], [50_000_000, true, true]);
}, { bothEngines: false });

testDirectAndCached("dma --verify reads from the disk, and not the page cache", async (dir) => {
  // Written past the page cache, so that reading the source is counted in any case.
  await dma(["write", dir.file("in")], pattern(LENGTH));
  /** The bytes that a copy reads from the disk. Those of an awaited child count as the shell's. */
  const bytesRead = async (options: string) => {
    const script = `dma copy --quiet ${options} in out && grep ^read_bytes /proc/$$/io`;
    const { success, stdout, stderr } = await shell(dir.path, script);
    assert(success, stderr);
    return Number(/(\d+)\n$/.exec(stdout)?.[1]);
  };
  assert(await bytesRead("") < 2 * LENGTH, "The control: without it the target is not read");
  for (const direct of ["prefer", "off"]) {
    const read = await bytesRead(`--verify --direct ${direct}`);
    assert(read >= 2 * LENGTH - 8192, `${direct}: ${read}`);
  }
}, { bothEngines: false, where: isOnDisk });

for (const atomic of [false, true]) {
  const flags = ["--verify", "--buffer-size", "64K", ...(atomic ? ["--atomic"] : [])];
  const title = `dma write ${flags.join(" ")} fails where another byte is read`;
  testInOneDirectory(title, async (dir) => {
    const path = dir.file("out");
    if (atomic) await Deno.writeTextFile(path, "old");
    const child = spawn(["write", ...flags, path]);
    const ran = endOf(child);
    const stdin = child.stdin.getWriter();
    await stdin.write(pattern(500_000));
    await eventually(() => corrupt(child.pid, dir.path), "Nothing was written");
    await stdin.close();
    const { code, stderr } = await ran;
    assertEquals(code, 1, stderr);
    const differs = `dma: What was read back from '${path}' differs from what was written`;
    assertStringIncludes(stderr, differs);
    if (!atomic) {
      return assertStringIncludes(stderr, `failed; kept the first 500000 bytes in ${path}`);
    }
    assertEquals(await namesIn(dir.path), ["out"]);
    assertEquals(await Deno.readTextFile(path), "old");
  }, { bothEngines: false });
}

/** Changes the first byte of the file below `directory` that a process has open, after it is written. */
async function corrupt(pid: number, directory: string): Promise<boolean> {
  const [path] = await openIn(pid, directory);
  if (path === undefined || (await Deno.stat(path)).size < 65_536) return false;
  using file = await Deno.open(path, { write: true });
  await file.write(new Uint8Array([255]));
  await file.sync();
  return true;
}
