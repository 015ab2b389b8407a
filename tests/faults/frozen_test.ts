// File systems that hang for a while. While one is frozen (fsfreeze, as for a snapshot) the kernel holds
// every write until the thaw. Deno's own file operations, which share its threads with the module, continue.

import "../support/engine.ts";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { DmaFile } from "../../mod.ts";
import { standStill } from "../mounts/server_promises.ts";
import { lines, runOrThrow, start, turnsSoon, within } from "../setup/command.ts";
import { unmount } from "../setup/mounts.ts";
import { assertFile, openPattern, pattern } from "../support/bytes.ts";
import { diskTest } from "./disks.ts";
import { engines, serverTest } from "./machine.ts";
import { resultOf, spawn } from "./programs.ts";

diskTest("calls wait for a frozen file system, and the event loop does not", async (disk) => {
  await standStill(disk.path, {
    stop: `fsfreeze --freeze ${disk.path}`,
    resume: `fsfreeze --unfreeze ${disk.path}`,
  });
}, { needs: ["fsfreeze"] });

for (const engine of engines) {
  serverTest(`a program ends in time while its server stands still [${engine}]`, async (server) => {
    const other = `${server.backing}/other`;
    const args = [`${server.path}/file`, other];
    const child = spawn("end_beside_server", { args, env: { DMA_ENGINE: engine } });
    const input = child.stdin.getWriter();
    const output = lines(child.stdout);
    assertEquals((await output.next()).value, "ready");
    server.child.kill("SIGSTOP");
    try {
      await input.write(new Uint8Array(1));
      assertEquals((await within(30, "The end", output.next())).value, "over");
    } finally {
      server.child.kill("SIGCONT");
    }
    await output.return?.();
    await input.close();
    const told = await new Response(child.stderr).text();
    assertStringIncludes(told, `'${args[0]}' does not have everything that was written to it`);
    await child.status;
    // Files on other file systems are complete.
    assert(!told.includes(other), told);
    await assertFile(other, pattern(3_000_001));
  });
}

serverTest("a path from a folder on a server that stands still does not block", async (server) => {
  const { pid } = server.child;
  const before = Deno.cwd();
  Deno.chdir(server.path);
  const script = `kill -STOP ${pid}; echo; sleep 1; kill -CONT ${pid}`;
  const shell = start("sh", ["-c", script], { cwd: "/", stderr: "null" });
  await lines(shell.stdout).next();
  const begun = performance.now();
  const opening = DmaFile.create("file");
  const blocked = performance.now() - begun;
  await opening.then((file) => file.close()).finally(() => Deno.chdir(before));
  await shell.status;
  assert(blocked < 500, `The call took ${Math.round(blocked)} ms`);
}, ["permissions"]);

serverTest("a file of a server that is mounted on a name does not block", async (server) => {
  const [inner, name] = [`${server.path}/inner`, `${server.backing}/name`];
  for (const path of [inner, name]) await (await DmaFile.create(path)).close();
  await runOrThrow("mount", ["--bind", inner, name]);
  await using _ = { [Symbol.asyncDispose]: async () => void await unmount(name) };
  await server.command("fault open delay 500");
  const open = async () => (await DmaFile.open(name)).close();
  assert(await turnsSoon(open), "No turn before the open is almost over");
});

serverTest("many opens by links to a server do not block those elsewhere", async (server) => {
  const open = async (name: string) => {
    await Deno.symlink(`${server.path}/../${name}/file`, `${server.path}-${name}`);
    return () => DmaFile.open(`${server.path}-${name}`);
  };
  await (await DmaFile.create(`${server.path}/file`)).close();
  const [onServer, elsewhere] = [await open("faulty"), await open("backing")];
  await server.command("fault open delay 1000");
  const opening = Array.from({ length: 12 }, onServer);
  const file = await elsewhere();
  const isFirst = Promise.race([...opening, false]);
  for (const each of [file, ...await Promise.all(opening)]) await each.close();
  assertEquals(await isFirst, false);
});

serverTest("more opens than a ring has entries leave room for other files", async (server) => {
  await using file = await openPattern(`${server.backing}/file`, 100);
  const paths = [`${server.path}/file/name`, `${server.backing}/link`] as const;
  await Deno.symlink(...paths);
  server.child.kill("SIGSTOP");
  const opening = Array.from({ length: 600 }, (_, index) => DmaFile.open(paths[index % 2]!))
    .map((each) => assertRejects(() => each, Deno.errors.NotADirectory));
  try {
    await within(10, "A read elsewhere", file.readAt(0, 100));
  } finally {
    server.child.kill("SIGCONT");
  }
  await Promise.all(opening);
});

// As the image of a container that is fetched on demand.
serverTest("a lower layer of an overlay on a server does not block", async (server) => {
  const mount = `${server.path}-mount`;
  const script = `cd "$0"; mkdir upper work "$2"; echo text > file
    mount -t overlay -o "lowerdir=$1,upperdir=upper,workdir=work" overlay "$2"`;
  await runOrThrow("sh", ["-ec", script, server.backing, server.path, mount]);
  await using _ = { [Symbol.asyncDispose]: async () => void await unmount(mount) };
  // This shows the module the file system of the directory.
  await (await DmaFile.create(`${mount}/new`, { atomic: true })).close();
  let file = await DmaFile.open(`${mount}/file`);
  await file.close();
  for (const each of ["open", "flush"]) await server.command(`fault ${each} delay 500`);
  const open = async () => file = await DmaFile.open(`${mount}/file`);
  assert(await turnsSoon(open), "No turn before the open is almost over");
  assert(await turnsSoon(() => file.close()), "No turn before the close is almost over");
}, ["names"]);

/** More reads than Deno has threads. */
const READS = 64;

serverTest("the threads engine at its busiest leaves threads to Deno", async (server) => {
  const file = `${server.path}/file`;
  await Deno.writeFile(file, pattern(READS * 4096));
  const args = [file, server.backing, `${server.child.pid}`] as const;
  const busy = await resultOf("busyThreads", [...args], { env: { DMA_ENGINE: "threads" } });
  assertEquals(busy, { inFlight: READS, wrong: [] });
});

// The kernel copies the file to the upper layer within the open.
diskTest("a slow open on an overlay does not block the event loop", async (disk, memory) => {
  const path = disk.file("mount");
  const script = `cd "$0"; mkdir lower upper work mount; echo text > lower/file
    mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work overlay mount`;
  await runOrThrow("sh", ["-ec", script, disk.path]);
  await using _ = { [Symbol.asyncDispose]: async () => void await unmount(path) };
  // This looks the name up, so that the open does not have to wait for that.
  await (await DmaFile.open(`${path}/file`)).close();
  await memory.command("fault write delay 500");
  const open = async () => (await DmaFile.open(`${path}/file`, { write: true })).close();
  assert(await turnsSoon(open), "No turn before the open is almost over");
}, { types: ["ext4"] });

// btrfs reads checksums within a read, and the last names of a directory within an open, as for a sync of its names.
diskTest("a slow read or directory open does not block the event loop", async (disk, memory) => {
  const path = disk.file("folder");
  const script = 'mkdir "$0"; cd "$0"; seq 1000 | xargs touch; head -c 40M /dev/zero > last';
  await runOrThrow("sh", ["-ec", script, path]);
  await disk.unmount();
  await disk.mount();
  // This looks the names up, so that the next open reads nothing else.
  await using file = await DmaFile.open(`${path}/last`);
  await file.readAt(20 << 20, 1);
  await memory.command("fault read delay 500");
  assert(await turnsSoon(() => file.readAt(0, 1)), "No turn before the read is almost over");
  const open = async () => (await DmaFile.create(`${path}/last`)).close();
  assert(await turnsSoon(open), "No turn before the open is almost over");
}, { types: ["btrfs"] });
