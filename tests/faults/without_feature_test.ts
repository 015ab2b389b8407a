// File systems that really lack what others have: files without a name (FUSE), Direct I/O and fallocate (ramfs).

import "../support/engine.ts";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { DmaFile, DmaStreamReader, DmaStreamWriter } from "../../mod.ts";
import { hasProgram, runOrThrow } from "../setup/command.ts";
import { namesIn } from "../support/bytes.ts";
import { content, firstWrong, firstWrongInFile } from "./content.ts";
import { assertIdle, assertIoError } from "./failed_writer.ts";
import { serverTest } from "./fault_file_system.ts";
import { assertKept, promises, runAndKill } from "./killed.ts";
import { engines, folderTest, whileUp } from "./machine.ts";
import { resultOf } from "./programs.ts";
import { Random } from "../simulator/random.ts";

const LENGTH = 500_003;
const OLD = 9;

function kernelIsFrom(major: number, minor: number): boolean {
  const [first = 0, second = 0] = Deno.osRelease().split(".").map((part) => parseInt(part));
  return first > major || (first === major && second >= minor);
}

/** Where files without a name are to be had, all this would be another test. */
async function assertNoUnnamedFiles(directory: string): Promise<void> {
  const error = await assertRejects(() => DmaFile.temp({ dir: directory }));
  assertEquals((error as { code?: string }).code, "EOPNOTSUPP");
}

serverTest(
  "where every file needs a name an atomic file has a hidden one until it is closed",
  async ({ path, backing }) => {
    await assertNoUnnamedFiles(path);
    await Deno.writeFile(`${path}/file`, content(0, 1000, OLD));
    const writer = new DmaStreamWriter(await DmaFile.create(`${path}/file`, { atomic: true }));
    await writer.write(content(0, LENGTH));
    await writer.sync({ tail: true });
    const [hidden, ...others] = await namesIn(backing);
    assert(/^\.file\..*\.tmp$/.test(hidden!), hidden);
    assertEquals(others, ["file"]);
    assertEquals(await firstWrongInFile(`${backing}/file`, 1000, OLD), -1);
    await writer.close();
    assertEquals(await namesIn(backing), ["file"]);
    assertEquals((await Deno.stat(`${backing}/file`)).size, LENGTH);
    assertEquals(await firstWrongInFile(`${backing}/file`, LENGTH), -1);
    await assertIdle();
  },
);

for (const engine of engines) {
  folderTest(`without /proc an atomic file is whole, or not there [${engine}]`, {
    needs: ["root"],
    ignore: !hasProgram("unshare"),
  }, async (directory) => {
    const wrapper = ["unshare", "-m", "sh", "-c", 'umount -l /proc && exec "$0" "$@"'];
    for (const refused of [false, true]) {
      await Deno.mkdir(`${directory}/${refused}`);
      const path = `${directory}/${refused}/file`;
      await Deno.writeFile(path, content(0, 1000, OLD));
      const { proc, names, after } = await resultOf<
        { proc: boolean; names: string[]; after: string[] }
      >("atomic_without_proc", {
        args: [path, ...refused ? ["refused"] : []],
        env: { DMA_ENGINE: engine, XDG_CACHE_HOME: directory },
        wrapper,
      });
      assertEquals([proc, after], [false, ["file"]]);
      const hidden = names.filter((name) => /^\.file\..*\.tmp$/.test(name));
      // Without a name where the kernel links a descriptor, else under a hidden one: found out at once.
      if (refused) assertEquals(hidden.length, 1);
      else if (kernelIsFrom(6, 10)) assertEquals(hidden, []);
      assertEquals(await firstWrongInFile(path, 100_000), -1);
    }
  });
}

const KILLS = 6;

for (const engine of engines) {
  serverTest(
    `where every file needs a name a SIGKILL leaves a hidden one at most, ${KILLS} times [${engine}]`,
    async ({ path, backing }) => {
      await assertNoUnnamedFiles(path);
      let hidden = 0;
      const firstSeed = Math.floor(Math.random() * 1e6);
      for (let seed = firstSeed; seed < firstSeed + KILLS; seed++) {
        for (const name of await namesIn(backing)) await Deno.remove(`${path}/${name}`);
        const life = new Random(seed).next() * 250;
        const output = await runAndKill(["atomic", path, String(seed)], engine, life);
        const promised = promises(output);
        await assertKept({ kind: "atomic", folder: backing, seed, promised, loss: "killed" })
          .catch((cause) => {
            throw new Error(`Seed ${seed}, killed after ${life} ms`, { cause });
          });
        hidden += (await namesIn(backing)).filter((name) => name.startsWith(".")).length;
      }
      assert(hidden > 0, "No process was killed before a file had its name");
    },
  );
}

/** Writers that reserve, that move the end of file ahead, and that do neither. */
async function assertWritersWork(path: string, length: number, direct: boolean): Promise<void> {
  for (const options of [{}, { sizeHint: length }, { preallocate: false }]) {
    const file = await DmaFile.create(path);
    assertEquals(file.direct, direct);
    const writer = new DmaStreamWriter(file, { bufferSize: 1 << 20, ...options });
    for (let at = 0; at < length; at += 1_000_001) {
      await writer.write(content(at, Math.min(1_000_001, length - at)));
    }
    await writer.close();
    assertEquals((await Deno.stat(path)).size, length);
    assertEquals(await firstWrongInFile(path, length), -1);
  }
}

serverTest(
  "without fallocate writers work as with it, and only preallocate() says so",
  async (files) => {
    // ENOSYS: the kernel does not ask again, and says EOPNOTSUPP by itself from then on.
    await files.inject({ operation: "fallocate", nth: 0, kind: "err", value: 38 });
    const path = `${files.path}/file`;
    // Nothing is reserved on FUSE, so that nothing has to be cut.
    await assertWritersWork(path, 20_000_003, true);
    assertEquals(await files.fired(), 0);
    await using file = await DmaFile.open(path, { write: true });
    for (const keepSize of [true, false]) {
      assertIoError(await assertRejects(() => file.preallocate(1 << 25, { keepSize })), {
        code: "EOPNOTSUPP",
        op: "allocate",
        path,
      });
    }
    assertEquals(await files.fired(), 1);
    assertEquals(await file.size(), 20_000_003);
    await assertIdle();
  },
);

const ramfs = "without Direct I/O and fallocate everything works, and says what it lacks";
folderTest(ramfs, { needs: ["root"] }, async (directory) => {
  const mount = `${directory}/ramfs`;
  await Deno.mkdir(mount);
  // In memory, with neither Direct I/O nor fallocate.
  await runOrThrow("mount", ["-t", "ramfs", "dma-ramfs", mount]);
  await whileUp(mount, async (folder) => {
    const path = `${folder}/file`;
    const error = await assertRejects(() => DmaFile.create(path, { direct: "require" }));
    assertEquals((error as { path?: string }).path, path);
    assertEquals(await namesIn(folder), []);
    const length = 20_000_003;
    await assertWritersWork(path, length, false);
    await assertRejects(() => DmaFile.create(path, { direct: "require" }));
    await using file = await DmaFile.open(path, { write: true });
    assertIoError(await assertRejects(() => file.preallocate(2 * length)), {
      code: "EOPNOTSUPP",
      op: "allocate",
      path,
    });
    assertEquals(await file.size(), length);
    await file.truncate(700_001);
    assertEquals(firstWrong(await file.readAt(4097, 600_000), 600_000, 0, 4097), -1);
    let at = 0;
    for await (const chunk of new DmaStreamReader(file, { closeFile: false })) {
      assertEquals(firstWrong(chunk, chunk.length, 0, at), -1);
      at += chunk.length;
    }
    assertEquals(at, 700_001);
    const atomic = await DmaFile.create(`${folder}/other`, { atomic: true });
    await atomic.writable.write(content(0, 10_001, 4));
    await atomic.writable.close();
    assertEquals(await firstWrongInFile(`${folder}/other`, 10_001, 4), -1);
    assertEquals(await namesIn(folder), ["file", "other"]);
  }, async () => void await runOrThrow("umount", [mount]));
});
