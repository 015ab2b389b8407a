// Missing io_uring, liburing, locked memory, descriptors or epoll: the module reports it, and works with the rest.

import { assert, assertEquals, assertMatch } from "@std/assert";
import type { EngineInfo } from "../../mod.ts";
import { CLI } from "../cli/process.ts";
import { hasProgram, runOrThrow } from "../setup/command.ts";
import { engines, folderTest, type Need } from "./machine.ts";
import { copyModule } from "./module_copy.ts";
import { type jobs, PIPED } from "./programs/jobs.ts";
import { type ProgramOptions, resultOf, runProgram } from "./programs.ts";
import { tool } from "./tools.ts";

const EPERM = 1;
const ENOSYS = 38;
/** The environment of the tests must not choose the engine here. */
const free = { DMA_ENGINE: "", DMA_LIBURING: "" };

type Piped = Awaited<ReturnType<typeof jobs.pipe>>;

function assertWhole({ length, wrong, inFlight }: Piped): void {
  assertEquals({ length, wrong, inFlight }, { length: PIPED, wrong: -1, inFlight: 0 });
}

/** Pipes into a file in a program with these settings. Resolves to its engine. */
async function pipe(directory: string, options: ProgramOptions = {}): Promise<EngineInfo> {
  const piped = await resultOf("pipe", [`${directory}/file`], { env: free, ...options });
  assertWhole(piped);
  return piped.info;
}

// ---- no io_uring -----------------------------------------------------------------------------------------------

/** The ways to lack io_uring, and the reported reasons. */
const without: { name: string; secc?: string[]; env?: Record<string, string>; reason: RegExp }[] = [
  { name: "io_uring is forbidden with EPERM", secc: [`${EPERM}`], reason: /EPERM.*seccomp/s },
  { name: "io_uring is forbidden with ENOSYS", secc: [`${ENOSYS}`], reason: /ENOSYS/ },
  { name: "io_uring_enter alone is refused", secc: ["enter", `${EPERM}`], reason: /EPERM/ },
  {
    name: "liburing is missing",
    env: { DMA_LIBURING: "/nonexistent" },
    reason: /Cannot load \/nonexistent, which DMA_LIBURING names \(.*apt install liburing2.*dnf/,
  },
];

for (const { name, secc, env, reason } of without) {
  const needs: Need[] = secc ? ["gcc", "io_uring"] : [];
  const restricted = async (): Promise<ProgramOptions> => ({
    env: { ...free, ...env },
    wrapper: secc ? [await tool("secc"), ...secc] : [],
  });

  folderTest(`where ${name} threads are used, with the reason`, { needs }, async (directory) => {
    const info = await pipe(directory, await restricted());
    assertEquals(info.engine, "threads");
    assertMatch(info.reason, reason);
  });

  folderTest(`where ${name} the doctor reports it`, { needs }, async (directory) => {
    const options = { script: CLI, args: ["doctor", directory], env: free };
    const control = await runProgram("", options);
    assert(!reason.test(control.stdout), control.stdout);
    const { code, stdout } = await runProgram("", { ...options, ...await restricted() });
    assertEquals(code, 0);
    assertMatch(stdout.replace(/\s+/g, " "), reason);
    assertMatch(stdout, /threads/);
  });

  folderTest(`where ${name} and it is demanded nothing opens`, { needs }, async (directory) => {
    const demanded = await resultOf("demandRing", [`${directory}/file`], await restricted());
    const { error, exists, mapped } = demanded;
    assertMatch(error, reason);
    assertEquals(exists, false);
    assert(mapped < 100, `${mapped} more mappings after 200 failures`);
  });
}

/** The final way of waking the event loop. */
const wokenBy = ({ features }: EngineInfo) => features.at(-1);

folderTest("the control: without any restriction auto picks io_uring", {
  needs: ["io_uring"],
}, async (directory) => {
  const info = await pipe(directory);
  const found = [info.engine, info.registeredBuffers, wokenBy(info)];
  assertEquals(found, ["io_uring", true, "woken by epoll"]);
});

for (const how of ["node:process refuses", "handles take no eventfd", "no signal comes"]) {
  folderTest(`where epoll cannot be had (${how}) a thread wakes the event loop`, {
    needs: ["io_uring"],
  }, async (directory) => {
    const args = [`${directory}/file`, how] as const;
    const piped = await resultOf("pipeWithoutEpoll", [...args], { env: free });
    assertWhole(piped);
    assertEquals(wokenBy(piped.info), "woken by thread");
  });
}

// ---- no locked memory ------------------------------------------------------------------------------------------

const ignore = !hasProgram("prlimit") || !hasProgram("setpriv");

/** Commands that remove the right to lock memory beyond a limit. */
async function withLockedMemory(bytes: number): Promise<string[]> {
  const drop = ["setpriv", "--inh-caps=-ipc_lock", "--bounding-set=-ipc_lock"];
  const wrapper = ["prlimit", `--memlock=${bytes}:${bytes}`, ...Deno.uid() === 0 ? drop : []];
  await runOrThrow("env", [...wrapper, "true"]);
  return wrapper;
}

folderTest("with too little locked memory for registered buffers everything works without them", {
  needs: ["root", "io_uring"],
  ignore,
}, async (directory) => {
  const run = async (options: ProgramOptions) => {
    const written = await resultOf("manyWrites", [`${directory}/file`], { env: free, ...options });
    const { info: { engine, registeredBuffers }, pinned, wrong } = written;
    return { engine, registeredBuffers, pins: pinned > 0, wrong };
  };
  const expected = {
    engine: "io_uring" as const,
    registeredBuffers: false,
    pins: false,
    wrong: -1,
  };
  // Room for rings, of which other processes of the same account use a part; buffers take 8 MiB at once.
  assertEquals(await run({ wrapper: await withLockedMemory(4 << 20) }), expected);
  assertEquals(await run({}), { ...expected, registeredBuffers: true, pins: true });
});

folderTest("with no locked memory at all the module works, and names the engine", {
  needs: ["io_uring"],
  ignore,
}, async (directory) => {
  const { engine, reason } = await pipe(directory, { wrapper: await withLockedMemory(0) });
  if (engine === "threads") assertMatch(reason, /io_uring/);
});

// ---- no privileges, threads or descriptors ---------------------------------------------------------------------

/** An account that no other test uses: a limit of threads counts all processes of one account. */
const NOBODY = 65533;

/** Calls `run` with a path of an account without privileges, and the settings for a program of that account. */
async function asNobody<T>(
  directory: string,
  engine: string,
  run: (path: string, options: ProgramOptions) => Promise<T>,
): Promise<T> {
  // Other accounts may not be able to read the checkout and Deno.
  const module = await copyModule(`${directory}/module`);
  const deno = `${directory}/deno`;
  await Deno.copyFile(Deno.execPath(), deno);
  await Deno.chmod(deno, 0o755);
  const home = `${directory}/home`;
  await Deno.mkdir(`${home}/data`, { recursive: true });
  for (const folder of [home, `${home}/data`]) await Deno.chown(folder, NOBODY, NOBODY);
  const drop = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups", "--inh-caps=-all"];
  const options = {
    deno,
    module,
    env: { DENO_DIR: `${home}/deno`, DENO_NO_UPDATE_CHECK: "1", DMA_ENGINE: engine },
    wrapper: ["setpriv", ...drop, "--bounding-set=-all"],
  };
  for (let attempt = 1;; attempt++) {
    try {
      return await run(`${home}/data/file`, options);
    } catch (error) {
      // Deno ends if it cannot start a thread for itself: seen in half of the tries on a busy machine, with 2.9.6.
      if (attempt === 20 || !/unable to create worker threads/.test(String(error))) throw error;
    }
  }
}

for (const engine of engines) {
  folderTest(`an account without any privilege can do everything [${engine}]`, {
    needs: ["root"],
    ignore,
  }, async (directory) => {
    const pipe = (path: string, options: ProgramOptions) => resultOf("pipe", [path], options);
    const piped = await asNobody(directory, engine, pipe);
    assertWhole(piped);
    assertEquals(piped.info.engine, engine);
    assertEquals((await Deno.stat(`${directory}/home/data/file`)).uid, NOBODY);
  });

  folderTest(`where no further thread starts everything is done, and closed [${engine}]`, {
    needs: ["root"],
    ignore,
  }, async (directory) => {
    const work = (path: string, options: ProgramOptions) =>
      resultOf("noMoreThreads", [path], options);
    const found = await asNobody(directory, engine, work);
    assertEquals(found, { engine, open: 0, inFlight: 0 });
  });
}

for (const engine of ["auto", ...engines]) {
  folderTest(`with few descriptors opening fails, and all is given back [${engine}]`, {
    ignore: !hasProgram("prlimit"),
  }, async (directory) => {
    const env = { ...free, DMA_ENGINE: engine === "auto" ? "" : engine };
    let most = 0;
    for (let spare = 2; spare <= 14; spare += 2) {
      const found = await resultOf("descriptors", [directory, String(spare)], { env });
      const { opened, again, failed, failure } = found;
      assert(failed, "The limit must be met");
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
