// Processes that lack io_uring, liburing, epoll, threads, locked memory, privileges, descriptors or /proc: the module
// reports it, and works with the rest.

import { assert, assertEquals, assertMatch } from "@std/assert";
import type { EngineInfo } from "../../mod.ts";
import { CLI } from "../cli/process.ts";
import { root, runOrThrow } from "../setup/command.ts";
import { firstWrong } from "../support/bytes.ts";
import { runChild } from "../support/child.ts";
import { engines, engineTest, folderTest } from "./machine.ts";
import { type ProgramOptions, resultOf, runProgram } from "./programs.ts";
import { tool } from "./tools.ts";

const EPERM = "1";
const ENOSYS = "38";
/** The environment of the tests must not choose the engine here. */
const free = { DMA_ENGINE: "", DMA_LIBURING: "" };

/** Runs all kinds of work in a program with these settings. Resolves to what its engine found. */
async function work(folder: string, options: ProgramOptions = {}): Promise<EngineInfo> {
  const { wrong, used, info } = await resultOf("allWork", [folder], { env: free, ...options });
  assertEquals({ wrong, used }, { wrong: [], used: 0 });
  return info;
}

folderTest("the control: without any restriction auto picks io_uring", async (folder) => {
  const { engine, registeredBuffers, features } = await work(folder);
  assertEquals([engine, registeredBuffers, features.at(-1)], ["io_uring", true, "woken by epoll"]);
}, ["io_uring"]);

/** The ways to lack io_uring, and the reported reasons. */
const without: { name: string; secc?: string[]; env?: Record<string, string>; reason: RegExp }[] = [
  { name: "io_uring is forbidden with EPERM", secc: [EPERM], reason: /EPERM.*seccomp/s },
  { name: "io_uring is forbidden with ENOSYS", secc: [ENOSYS], reason: /ENOSYS/ },
  { name: "io_uring_enter alone is refused", secc: ["enter", EPERM], reason: /EPERM/ },
  {
    name: "liburing is missing",
    env: { DMA_LIBURING: "/nonexistent" },
    reason: /Cannot load \/nonexistent, which DMA_LIBURING names \(.*apt install liburing2.*dnf/,
  },
];

for (const { name, secc, env, reason } of without) {
  folderTest(`where ${name} threads are used, and the reason is told`, async (folder) => {
    const wrapper = secc ? [await tool("secc"), ...secc] : [];
    const options = { env: { ...free, ...env }, wrapper };
    const info = await work(folder, options);
    assertEquals(info.engine, "threads");
    assertMatch(info.reason, reason);
    const doctor = { script: CLI, args: ["doctor", folder], ...options };
    const { code, stdout } = await runProgram("", doctor);
    assertEquals(code, 0);
    assertMatch(stdout.replace(/\s+/g, " "), reason);
    assertMatch(stdout, /threads/);
    // If io_uring is demanded, nothing opens.
    const { error, exists, mapped } = await resultOf("demandRing", [`${folder}/new`], options);
    assertMatch(error, reason);
    assertEquals(exists, false);
    assert(mapped < 100, `${mapped} more mappings after 200 failures`);
  }, secc ? ["gcc", "io_uring"] : []);
}

for (const how of ["Node refuses", "handles refuse", "handles throw", "no signal comes"]) {
  folderTest(`where ${how} a thread wakes the event loop instead of epoll`, async (folder) => {
    const { wrong, info } = await resultOf("withoutEpoll", [folder, how], { env: free });
    assertEquals([wrong, info.features.at(-1)], [[], "woken by thread"]);
  }, ["io_uring"]);
}

folderTest("where the program's own calls use all threads the ring works", async (folder) => {
  // Deno has 32 threads. Each waits for a program that writes to the FIFO.
  const code = `const file = await dma.DmaFile.open("data");
    await file.readAt(0, 1);
    for (let call = 0; call < 40; call++) Deno.open("fifo");
    const { length } = await file.readAt(0, 1);
    await file.close();
    console.log(length);
    if (self.postMessage) postMessage(0);
    // With --watch an exit does not end the process.
    else new Worker(import.meta.url, { type: "module" }).onmessage = () => Deno.kill(Deno.pid);`;
  await runOrThrow("mkfifo", [`${folder}/fifo`]);
  await Deno.writeTextFile(`${folder}/data`, "text");
  const options = { cwd: folder, env: free, shell: 'set -- timeout 100 "$@"' };
  for (const flags of [["-A"], ["-A", "--watch"]]) {
    assertEquals((await runChild(code, { ...options, flags })).output, "1\n1");
  }
}, ["io_uring"]);

/** Commands that limit locked memory to some rings, which the account shares. Buffers take 8 MiB at once. */
const limited = [
  ...["prlimit", `--memlock=${4 << 20}:${4 << 20}`],
  ...["setpriv", "--inh-caps=-ipc_lock", "--bounding-set=-ipc_lock"],
];

folderTest("with too little locked memory no buffer is registered", async (folder) => {
  for (const wrapper of [limited, []]) {
    const place = await Deno.makeTempDir({ dir: folder });
    const result = await resultOf("allWork", [place, "60"], { env: free, wrapper });
    const { engine, registeredBuffers } = result.info;
    const isFree = wrapper.length === 0;
    assertEquals([engine, registeredBuffers, result.pinned > 0], ["io_uring", isFree, isFree]);
    assertEquals(result.wrong, []);
  }
}, ["root", "io_uring", "prlimit", "setpriv"]);

/** An account that owns nothing. */
const NOBODY = 65533;

/** As {@linkcode work}, by an account without privileges. */
async function workAsNobody(directory: string, engine: string): Promise<void> {
  // Other accounts may not be able to read the checkout and Deno.
  const [module, deno, home] = ["module", "deno", "home"].map((name) => `${directory}/${name}`);
  await Deno.mkdir(module!);
  const tests = ["faults", "mounts", "setup", "support"].map((name) => `tests/${name}`);
  const parts = ["mod.ts", "deno.json", "src", "ffi", ...tests];
  await runOrThrow("cp", ["-r", "--parents", ...parts, module!], { cwd: root });
  await Deno.copyFile(Deno.execPath(), deno!);
  await Deno.chmod(deno!, 0o755);
  const folder = `${home}/data`;
  await Deno.mkdir(folder, { recursive: true });
  for (const path of [home!, folder]) await Deno.chown(path, NOBODY, NOBODY);
  const drop = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups", "--inh-caps=-all"];
  const env = { DENO_DIR: `${home}/deno`, DENO_NO_UPDATE_CHECK: "1", DMA_ENGINE: engine };
  const wrapper = ["setpriv", ...drop, "--bounding-set=-all"];
  const info = await work(folder, { deno: deno!, module: module!, env, wrapper });
  assertEquals(info.engine, engine);
  assertEquals((await Deno.stat(`${folder}/file`)).uid, NOBODY);
}

engineTest("an account without privileges can do everything", workAsNobody, ["root", "setpriv"]);

for (const engine of ["", ...engines]) {
  const name = `with few descriptors opening fails, and all is given back [${engine || "auto"}]`;
  folderTest(name, async (directory) => {
    let most = 0;
    for (let spare = 2; spare <= 14; spare += 2) {
      const env = { ...free, DMA_ENGINE: engine };
      const found = await resultOf("descriptors", [directory, String(spare)], { env });
      const { opened, again, failure } = found;
      // If the shim cannot be loaded, its message has the reason in words.
      const expected = { code: "EMFILE", op: "open", path: `${directory}/${opened}` };
      if (opened > 0) assertEquals(failure, expected);
      // Deno itself takes one or two for a while.
      assert(again >= opened - 2, `${opened}, then ${again} files`);
      most = Math.max(most, opened);
    }
    assert(most > 0, "With the most to spare some files must open");
  });
}

const [major = 0, minor = 0] = Deno.osRelease().split(".").map(Number);
/** Whether the kernel links a descriptor for everybody. */
const linksDescriptors = major > 6 || (major === 6 && minor >= 10);

engineTest("without /proc an atomic file is whole, or not there", async (dir, engine) => {
  const path = `${dir}/data/file`;
  await Deno.mkdir(`${dir}/data`);
  await Deno.symlink(path, `${dir}/link`);
  for (const refused of ["", "refused"]) {
    await Deno.writeFile(path, new Uint8Array(1000));
    const { proc, names, after } = await resultOf("atomicWithoutProc", [path, refused], {
      env: { DMA_ENGINE: engine, XDG_CACHE_HOME: dir },
      wrapper: ["unshare", "-m", "sh", "-c", 'umount -l /proc && exec "$0" "$@"'],
    });
    assertEquals([proc, after], [false, ["file"]]);
    // Without a name if the kernel can link a descriptor, otherwise under a hidden name. That is known at once.
    const hidden = names.filter((name) => /^\.file\..*\.tmp$/.test(name));
    if (refused || linksDescriptors) assertEquals(hidden.length, refused ? 1 : 0);
    assertEquals(firstWrong(await Deno.readFile(path), 100_000), -1);
  }
}, ["root", "unshare"]);
