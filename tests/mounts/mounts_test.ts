// Every promise that depends on the file system, on FUSE servers, overlay and ramfs.

import "../support/engine.ts";
import { assertEquals, assertRejects } from "@std/assert";
import { DmaFile } from "../../mod.ts";
import { succeeds } from "../cli/process.ts";
import { missing } from "../faults/machine.ts";
import { runOrThrow, say } from "../setup/command.ts";
import { assertFile, pattern } from "../support/bytes.ts";
import { inFreshDirectory, testDirectories } from "../support/dirs.ts";
import { writeAndClose } from "./promises.ts";
import { checkAll } from "./server_promises.ts";
import { Mounted, rclone, type Server, servers } from "./servers.ts";

function mountTest(
  name: string,
  server: Server,
  options: readonly (readonly string[])[],
  check: (mounted: Mounted) => Promise<void>,
): void {
  const absent = missing(["root", "fuse", ...Object.keys(server.programs ?? {})]);
  if (absent.length > 0) say(`Skipped for want of ${absent.join(", ")}: tests on ${server.name}`);
  const tryOn = (options: readonly string[]) =>
    inFreshDirectory(testDirectories[0]!, async ({ path }) => {
      await using mounted = await Mounted.start(server, path, options);
      await check(mounted);
    }).catch((cause) => {
      throw new Error(`With options '${options.join(" ")}'`, { cause });
    });
  // Side by side: mostly they wait.
  const fn = async () => void await Promise.all(options.map(tryOn));
  Deno.test({ name: `${server.name} ${name}`, ignore: absent.length > 0, fn });
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
