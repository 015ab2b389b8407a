// What happens where io_uring, liburing, locked memory, descriptors or a way to be woken are not to be had: the
// module says so and goes on with what there is.

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { CLI } from "../cli/process.ts";
import { hasProgram, run, runOrThrow } from "../setup/command.ts";
import type { EngineInfo } from "../../mod.ts";
import { engines, type FaultTestOptions, folderTest } from "./machine.ts";
import { type ProgramOptions, resultOf, runProgram, spawn } from "./programs.ts";
import { copyModule } from "./module_copy.ts";
import { lines, tool } from "./tools.ts";

interface Piped {
  info: EngineInfo;
  length: number;
  wrong: number;
  inFlight: number;
}

const EPERM = 1;
const ENOSYS = 38;
/** Neither may the environment of the tests choose here. */
const free = { DMA_ENGINE: "", DMA_LIBURING: "" };

function assertWhole({ length, wrong, inFlight }: Piped): void {
  assertEquals({ length, wrong, inFlight }, {
    length: 3 * 1024 * 1024 + 5,
    wrong: -1,
    inFlight: 0,
  });
}

/** Pipes into a file in a program that runs like this. Resolves to its engine. */
async function pipe(
  directory: string,
  options: ProgramOptions = {},
  program = "pipe",
): Promise<EngineInfo> {
  const args = [`${directory}/file`];
  const piped = await resultOf<Piped>(program, { args, env: free, ...options });
  assertWhole(piped);
  return piped.info;
}

/** Demands io_uring in a program that runs like this. Resolves to what became of it. */
function demand(directory: string, options: ProgramOptions) {
  const args = [`${directory}/file`];
  return resultOf<{ error: string; exists: boolean; mapped: number }>(
    "demand_ring",
    { args, env: free, ...options },
  );
}

folderTest(
  "without any restriction auto picks io_uring and says so",
  { needs: ["io_uring"] },
  async (directory) => {
    const info = await pipe(directory);
    assertEquals(info.engine, "io_uring");
    assert(info.registeredBuffers);
  },
);

for (const [errno, name] of [[EPERM, "EPERM"], [ENOSYS, "ENOSYS"]] as const) {
  folderTest(
    `where io_uring is forbidden with ${name} a pipe runs on threads, and engineInfo() says why`,
    { needs: ["gcc", "io_uring"] },
    async (directory) => {
      const info = await pipe(directory, { wrapper: [await tool("secc"), String(errno)] });
      assertEquals(info.engine, "threads");
      assertStringIncludes(info.reason, name);
      assertStringIncludes(info.reason, "seccomp");
    },
  );

  folderTest(`where io_uring is forbidden with ${name} the doctor says so`, {
    needs: ["gcc", "io_uring"],
  }, async (directory) => {
    const wrapper = [await tool("secc"), String(errno)];
    const options = { script: CLI, args: ["doctor", directory], env: free };
    const free_ = await runProgram("", options);
    assertMatch(free_.stdout, /io_uring/);
    assert(!free_.stdout.includes(name), "The control must not name the refusal");
    const { code, stdout } = await runProgram("", { ...options, wrapper });
    assertEquals(code, 0);
    assertStringIncludes(stdout, name);
    assertMatch(stdout, /threads/);
  });

  folderTest(
    `where io_uring is forbidden with ${name} and demanded nothing opens, and the error says why`,
    { needs: ["gcc", "io_uring"] },
    async (directory) => {
      const wrapper = [await tool("secc"), String(errno)];
      const { error, exists, mapped } = await demand(directory, { wrapper });
      assertStringIncludes(error, name);
      assertEquals(exists, false);
      assert(mapped < 100, `${mapped} more mappings after 200 failures`);
    },
  );
}

folderTest("where io_uring_enter alone is refused everything runs on threads", {
  needs: ["gcc", "io_uring"],
}, async (directory) => {
  const wrapper = [await tool("secc"), "enter", String(EPERM)];
  const info = await pipe(directory, { wrapper });
  assertEquals(info.engine, "threads");
  assertStringIncludes(info.reason, "EPERM");
  const options = { script: CLI, args: ["doctor", directory], env: free, wrapper };
  const { code, stdout } = await runProgram("", options);
  assertEquals(code, 0);
  assertMatch(stdout, /threads/);
});

folderTest(
  "without liburing a pipe runs on threads, and engineInfo() names the packages",
  {},
  async (directory) => {
    const env = { ...free, DMA_LIBURING: "/nonexistent" };
    const info = await pipe(directory, { env });
    assertEquals(info.engine, "threads");
    assertMatch(info.reason, /apt install liburing2.*dnf install liburing/);
  },
);

folderTest(
  "without liburing and with io_uring demanded nothing opens, and the error names the packages",
  {},
  async (directory) => {
    const env = { ...free, DMA_LIBURING: "/nonexistent" };
    const { error, exists } = await demand(directory, { env });
    assertMatch(error, /Cannot load .*apt install liburing2/);
    assertEquals(exists, false);
  },
);

/** Commands that take the right to lock memory beyond a limit away, with the limit. */
async function withLockedMemory(kibibytes: number): Promise<string[]> {
  const limit = `${kibibytes * 1024}:${kibibytes * 1024}`;
  const drop = Deno.uid() === 0
    ? ["setpriv", "--inh-caps=-ipc_lock", "--bounding-set=-ipc_lock"]
    : [];
  const wrapper = ["prlimit", `--memlock=${limit}`, ...drop];
  const { success, output } = await run(wrapper[0]!, [...wrapper.slice(1), "true"]);
  if (!success) throw new Error(`${wrapper.join(" ")}: ${output}`);
  return wrapper;
}

folderTest("with too little locked memory for registered buffers everything works without them", {
  needs: ["root", "io_uring"],
  ignore: !hasProgram("prlimit") || !hasProgram("setpriv"),
}, async (directory) => {
  // Room for rings, which other processes of the same account count against too; buffers take 8 MiB at once.
  const wrapper = await withLockedMemory(4096);
  const result = await resultOf<{ info: EngineInfo; pinned: number; wrong: number }>(
    "many_writes",
    {
      args: [`${directory}/file`],
      env: free,
      wrapper,
    },
  );
  assertEquals(result.info.engine, "io_uring");
  assertEquals(result.wrong, -1);
  assertEquals(result.pinned, 0);
  assertEquals(result.info.registeredBuffers, false);
  const control = await resultOf<{ info: EngineInfo; pinned: number }>("many_writes", {
    args: [`${directory}/file`],
    env: free,
  });
  assert(control.pinned > 0, "Without the limit buffers are registered, and pinned for it");
  assertEquals(control.info.registeredBuffers, true);
});

folderTest("with no locked memory at all the module works, and says on which engine", {
  needs: ["io_uring"],
  ignore: !hasProgram("prlimit") || !hasProgram("setpriv"),
}, async (directory) => {
  const { engine, reason } = await pipe(directory, { wrapper: await withLockedMemory(0) });
  if (engine === "threads") assertStringIncludes(reason, "io_uring");
});

/** An account that no other test uses: a limit of threads counts all processes of one account. */
const NOBODY = 65533;

/** Runs a program as an account without any privilege, which has `home`. Resolves to what it printed last. */
async function asNobody<T>(
  directory: string,
  engine: string,
  program: string,
  args: (home: string) => string[],
): Promise<T> {
  // Neither the checkout nor Deno itself may lie where others can read.
  const module = await copyModule(`${directory}/module`);
  const deno = `${directory}/deno`;
  await Deno.copyFile(Deno.execPath(), deno);
  await Deno.chmod(deno, 0o755);
  const home = `${directory}/home`;
  await Deno.mkdir(home);
  await Deno.chown(home, NOBODY, NOBODY);
  const drop = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups", "--inh-caps=-all"];
  const script = `${module}/tests/faults/programs/${program}.ts`;
  const command = [
    `DENO_DIR=${directory}/home/deno`,
    `DMA_ENGINE=${engine}`,
    "DENO_NO_UPDATE_CHECK=1",
    "setpriv",
    ...drop,
    "--bounding-set=-all",
    deno,
    "run",
    "-A",
    "--no-check",
    script,
    ...args(home),
  ];
  for (let attempt = 0;; attempt++) {
    const { success, output } = await run("env", command);
    if (success) return JSON.parse(output.trim().split("\n").at(-1)!);
    // Deno ends where it cannot start a thread of its own: seen in half of the tries on a busy machine, with 2.9.6.
    const isDenos = output.includes("Deno could not start: unable to create worker threads");
    assert(isDenos && attempt < 20, output);
  }
}

for (const engine of engines) {
  const definition: FaultTestOptions = { needs: ["root"], ignore: !hasProgram("setpriv") };
  folderTest(
    `an account without any privilege can do everything [${engine}]`,
    definition,
    async (directory) => {
      const file = `${directory}/home/file`;
      const piped = await asNobody<Piped>(directory, engine, "pipe", () => [file]);
      assertWhole(piped);
      assertEquals(piped.info.engine, engine);
      assertEquals((await Deno.stat(file)).uid, NOBODY);
    },
  );

  folderTest(`where no further thread starts everything is done, and closed [${engine}]`, {
    ...definition,
    ignore: !hasProgram("setpriv") || !hasProgram("prlimit"),
  }, async (directory) => {
    const found = await asNobody(directory, engine, "no_more_threads", (home) => {
      Deno.mkdirSync(`${home}/files`);
      Deno.chownSync(`${home}/files`, NOBODY, NOBODY);
      return [`${home}/files`];
    });
    assertEquals(found, { engine, open: 0, inFlight: 0 });
  });
}

for (const engine of ["auto", ...engines]) {
  folderTest(
    `with few descriptors opening fails with EMFILE, nothing hangs, and all is given back [${engine}]`,
    { ignore: !hasProgram("prlimit") },
    async (directory) => {
      const env = { ...free, DMA_ENGINE: engine === "auto" ? "" : engine };
      let opened = 0;
      for (let spare = 2; spare <= 14; spare += 2) {
        const child = spawn("descriptors", { args: [directory], env });
        const output = lines(child.stdout);
        const ready = (await output.next()).value as string;
        const limit = Number(ready.split(" ")[1]) + spare;
        await runOrThrow("prlimit", ["--pid", String(child.pid), `--nofile=${limit}:${limit}`]);
        const deadline = setTimeout(() => child.kill("SIGKILL"), 20_000);
        const input = child.stdin.getWriter();
        await input.write(new TextEncoder().encode("go\n"));
        await input.close();
        const { value } = await output.next();
        const [{ signal }, stderr] = await Promise.all([
          child.status,
          new Response(child.stderr).text(),
        ]);
        clearTimeout(deadline);
        await output.return?.();
        assertEquals(signal, null, `${spare} to spare: ${value} ${stderr}`);
        assert(value, `${spare} to spare: ${stderr}`);
        const result = JSON.parse(value);
        assert(result.failure, "The limit must be met");
        // Where not even the shim can be loaded its message says why in words.
        if (result.opened > 0) {
          assertEquals(result.failure.code, "EMFILE");
          assertEquals(result.failure.op, "open");
          assertEquals(result.failure.path, `${directory}/${result.opened}`);
        }
        // Deno itself takes one or two for a while.
        assert(result.again >= result.opened - 2, `${result.opened}, then ${result.again} files`);
        opened = Math.max(opened, result.opened);
      }
      assert(opened > 0, "With the most to spare some files must open");
    },
  );
}

folderTest(
  "where epoll cannot be had a thread wakes the event loop",
  { needs: ["io_uring"] },
  async (directory) => {
    for (const [program, way] of [["pipe", "epoll"], ["pipe_without_epoll", "thread"]] as const) {
      const { features } = await pipe(directory, {}, program);
      assert(features.some((feature) => feature.endsWith(way)), features.join());
    }
  },
);
