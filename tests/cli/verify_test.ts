// `--verify` reads the written bytes from the disk itself, and fails if they differ from the input.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { assertFile, pattern } from "../support/bytes.ts";
import { eventually } from "../support/descriptors.ts";
import { isOnDisk, testDirectAndCached } from "../support/dirs.ts";
import { Running, shell, succeeds, testDma } from "./process.ts";

const LENGTH = 8_388_608 + 777;

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
