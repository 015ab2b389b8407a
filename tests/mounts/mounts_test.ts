// Every promise that depends on the file system, on FUSE servers, overlay and ramfs.

import "../support/engine.ts";
import { assertEquals, assertRejects } from "@std/assert";
import { DmaFile } from "../../mod.ts";
import { succeeds } from "../cli/process.ts";
import { folderTest } from "../faults/machine.ts";
import { runOrThrow } from "../setup/command.ts";
import { assertFile, pattern } from "../support/bytes.ts";
import { writeAndClose } from "./promises.ts";
import { checkAll } from "./server_promises.ts";
import { Mounted, rclone, type Server, servers } from "./servers.ts";

function mountTest(
  name: string,
  server: Server,
  options: readonly (readonly string[])[],
  check: (mounted: Mounted) => Promise<void>,
): void {
  folderTest(`${server.name} ${name}`, async (folder) => {
    // Side by side: mostly they wait.
    await Promise.all(options.map(async (each, index) => {
      try {
        await using mounted = await Mounted.start(server, `${folder}/${index}`, each);
        await check(mounted);
      } catch (cause) {
        throw new Error(`With options '${each.join(" ")}'`, { cause });
      }
    }));
  }, ["root", "fuse", ...Object.keys(server.programs ?? {})]);
}

for (const server of servers) {
  const { options = [[]], fullCodes, breaks = [] } = server;
  mountTest("keeps every promise", server, options, async ({ path, script: { processes } }) => {
    const { broken } = await checkAll({ path, processes, small: path, fullCodes });
    const known = (promise: string) => breaks.some((part) => promise.includes(part));
    assertEquals(Object.entries(broken).filter(([promise]) => !known(promise)), []);
  });
}

const bindfs = servers.find(({ name }) => name === "bindfs")!;
mountTest("is written on threads, as the command line says", bindfs, [[]], async ({ path }) => {
  for (const args of [["write", `${path}/file`], ["bench", "--seconds=1", "--size=1M", path]]) {
    assertEquals(JSON.parse((await succeeds([...args, "--json"])).stdout).engine, "threads");
  }
});

for (const program of ["distributed.ts", "network.ts", "network_servers.ts"]) {
  Deno.test(`${program} starts without JSR`, async () => {
    const code = `import "${import.meta.resolve(`./${program}`)}";`;
    await runOrThrow(Deno.execPath(), ["eval", "--no-check", "--no-remote", code]);
  });
}

mountTest("without a cache writes from start to end", rclone, [[]], async (mounted) => {
  const file = `${mounted.path}/file`;
  const served = `${mounted.directory}/disk/file`;
  await Deno.writeFile(served, pattern(5000));
  const message = "this rclone server writes files from start to end only: " +
    "mount it with a cache (rclone: --vfs-cache-mode writes)";
  for (const options of [{ write: true }, { append: true }]) {
    await assertRejects(() => DmaFile.open(file, options), Deno.errors.PermissionDenied, message);
  }
  await assertFile(file, pattern(5000));
  for (const length of [2_490_081, 5001]) {
    await writeAndClose((await DmaFile.create(file)).writable, pattern(length, 3));
    await assertFile(served, pattern(length, 3));
  }
});
