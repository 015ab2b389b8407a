// File systems that really lack features: files without a name (FUSE), Direct I/O and fallocate (ramfs).

import "../support/engine.ts";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { DmaFile, DmaStreamWriter } from "../../mod.ts";
import { hasProgram, runOrThrow } from "../setup/command.ts";
import { namesIn } from "../support/bytes.ts";
import { allOf } from "../support/patterned.ts";
import { content, firstWrong, firstWrongInFile } from "./content.ts";
import { assertContent, assertFails, assertIdle, ways } from "./failed_writer.ts";
import { serverTest } from "./fault_file_system.ts";
import { assertKept, writeAndKill } from "./killed.ts";
import { engines, folderTest, whileUp } from "./machine.ts";
import { resultOf } from "./programs.ts";

const OLD = 9;
const HIDDEN = /^\.file\..*\.tmp$/;

function kernelIsFrom(major: number, minor: number): boolean {
  const [first = 0, second = 0] = Deno.osRelease().split(".").map((part) => parseInt(part));
  return first > major || (first === major && second >= minor);
}

// ---- files without a name --------------------------------------------------------------------------------------

/** With files without a name this would be a different test. */
async function assertNoUnnamedFiles(directory: string): Promise<void> {
  const error = await assertRejects(() => DmaFile.temp({ dir: directory }));
  assertEquals((error as { code?: string }).code, "EOPNOTSUPP");
}

const KILLS = 6;

for (const engine of engines) {
  folderTest(`without /proc an atomic file is whole, or not there [${engine}]`, {
    needs: ["root"],
    ignore: !hasProgram("unshare"),
  }, async (directory) => {
    for (const refused of [false, true]) {
      await Deno.mkdir(`${directory}/${refused}`);
      const path = `${directory}/${refused}/file`;
      await Deno.writeFile(path, content(0, 1000, OLD));
      const args = [path, refused ? "refused" : ""] as const;
      const { proc, names, after } = await resultOf("atomicWithoutProc", [...args], {
        env: { DMA_ENGINE: engine, XDG_CACHE_HOME: directory },
        wrapper: ["unshare", "-m", "sh", "-c", 'umount -l /proc && exec "$0" "$@"'],
      });
      assertEquals([proc, after], [false, ["file"]]);
      const hidden = names.filter((name) => HIDDEN.test(name));
      // Without a name if the kernel can link a descriptor, otherwise under a hidden name. That is known at once.
      if (refused) assertEquals(hidden.length, 1);
      else if (kernelIsFrom(6, 10)) assertEquals(hidden, []);
      assertEquals(await firstWrongInFile(path, 100_000), -1);
    }
  });

  serverTest(
    `where every file needs a name a SIGKILL leaves a hidden one at most, ${KILLS} times [${engine}]`,
    async ({ path, backing }) => {
      await assertNoUnnamedFiles(path);
      let hidden = 0;
      const firstSeed = Math.floor(Math.random() * 1e6);
      for (let seed = firstSeed; seed < firstSeed + KILLS; seed++) {
        for (const name of await namesIn(backing)) await Deno.remove(`${path}/${name}`);
        const account = await writeAndKill({ kind: "atomic", folder: path, seed, engine });
        await assertKept({ ...account, folder: backing });
        hidden += (await namesIn(backing)).filter((name) => name.startsWith(".")).length;
      }
      assert(hidden > 0, "No process was killed before a file had its name");
    },
  );
}

// ---- fallocate and Direct I/O ----------------------------------------------------------------------------------

const LENGTH = 20_000_003;

/** Writers that reserve, that move the end of file ahead, and that do neither. Only preallocate() reports the lack. */
async function assertWritersWork(path: string, direct: boolean): Promise<void> {
  for (const options of [{}, { sizeHint: LENGTH }, { preallocate: false }]) {
    const file = await DmaFile.create(path);
    assertEquals(file.direct, direct);
    await ways["write()"](new DmaStreamWriter(file, { bufferSize: 1 << 20, ...options }), LENGTH);
    await assertContent(path, LENGTH);
  }
  await using file = await DmaFile.open(path, { write: true });
  for (const keepSize of [true, false]) {
    const allocating = () => file.preallocate(1 << 25, { keepSize });
    await assertFails(allocating, { code: "EOPNOTSUPP", op: "allocate", path });
  }
  assertEquals(await file.size(), LENGTH);
}

serverTest("without fallocate writers work, and only preallocate() says so", async (server) => {
  // After ENOSYS the kernel itself returns EOPNOTSUPP. No writer has called fallocate, because nothing is reserved on
  // FUSE.
  await server.fault("fallocate 0 err 38");
  await assertWritersWork(`${server.path}/file`, true);
  assertEquals(await server.fired(), 1);
  await assertIdle();
});

folderTest("without Direct I/O and fallocate everything works, as reported", {
  needs: ["root"],
}, async (directory) => {
  const folder = `${directory}/ramfs`;
  const path = `${folder}/file`;
  await Deno.mkdir(folder);
  await runOrThrow("mount", ["-t", "ramfs", "dma-ramfs", folder]);
  const mount = { [Symbol.asyncDispose]: async () => void await runOrThrow("umount", [folder]) };
  await whileUp(mount, async () => {
    const requiring = () => DmaFile.create(path, { direct: "require" });
    assertEquals((await assertRejects(requiring) as { path?: string }).path, path);
    assertEquals(await namesIn(folder), []);
    await assertWritersWork(path, false);
    await assertRejects(requiring);
    await using file = await DmaFile.open(path, { write: true });
    await file.truncate(700_001);
    assertEquals(firstWrong(await file.readAt(4097, 600_000), 600_000, 0, 4097), -1);
    assertEquals(await allOf(file.readable), content(0, 700_001));
    const atomic = await DmaFile.create(`${folder}/other`, { atomic: true });
    await ways["write()"](new DmaStreamWriter(atomic), 10_001);
    await assertContent(`${folder}/other`, 10_001);
    assertEquals(await namesIn(folder), ["file", "other"]);
  });
});
