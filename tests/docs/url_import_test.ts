// Imports by URL from an empty folder, as a user without a checkout does: nothing but what is published may be needed.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { assertFile, namesIn, pattern } from "../support/bytes.ts";
import { type TestDirectory, testInOneDirectory } from "../support/dirs.ts";
import { FreshUser, testersCache, testersEnvironment } from "./fresh_user.ts";
import { lastLine, run, say } from "../setup/command.ts";
import { StaticServer } from "../support/static_server.ts";

interface Scene {
  readonly user: FreshUser;
  /** The flags of the README, and the one for the host that serves the module. */
  readonly flags: readonly string[];
  readonly server: StaticServer;
  readonly dir: TestDirectory;
}

/** It is about where modules come from. */
function testByUrl(name: string, fn: (scene: Scene) => Promise<void>, ignore = false): void {
  testInOneDirectory(name, async (dir) => {
    await using server = new StaticServer();
    const user = await FreshUser.in(dir.path);
    const flags = ["--no-prompt", `--allow-import=${server.host}`, ...user.flags];
    await fn({ user, flags, server, dir });
    assertEquals(server.missing, [], "Something is imported that is not published");
  }, { bothEngines: false, ignore });
}

const BYTES = 3_000_001;

/** Writes {@linkcode BYTES} sevens to the path that is its argument, and says which engine did. */
const writer = (url: string) => `
  import { DmaFile, DmaStreamWriter, engineInfo } from ${JSON.stringify(url)};
  const file = await DmaFile.create(Deno.args[0]);
  const source = ReadableStream.from([new Uint8Array(${BYTES}).fill(7)]);
  await source.pipeTo(new DmaStreamWriter(file));
  console.log(engineInfo().engine);
`;

async function assertWritten(user: FreshUser, name: string): Promise<void> {
  await assertFile(`${user.data}/${name}`, new Uint8Array(BYTES).fill(7));
}

function assertEngine(ran: { code: number; output: string; error: string }): void {
  assertEquals(ran.code, 0, ran.error);
  assert(/^(io_uring|threads)$/.test(ran.output), ran.output);
}

testByUrl("Imported by URL, it needs exactly the flags of the README", async (scene) => {
  const { user, flags, server } = scene;
  await user.program("main.ts", writer(server.url("mod.ts")));
  for (const flag of user.flags) {
    const fewer = flags.filter((each) => each !== flag);
    const { code, error } = await user.deno(["run", ...fewer, "main.ts", `${user.data}/file`]);
    assertEquals(code, 1);
    const [access] = /(?<=--allow-)[a-z]+/.exec(flag)!;
    assertStringIncludes(error, `NotCapable: Requires ${access} access`);
    assertEquals(await namesIn(user.data), []);
  }
  assertEngine(await user.deno(["run", ...flags, "main.ts", `${user.data}/file`]));
  await assertWritten(user, "file");
  assertEquals(await namesIn(user.folder), ["main.ts"]);
  assertEquals(await namesIn(user.data), ["file"]);
});

testByUrl("A host that Deno does not know has to be allowed", async ({ user, server }) => {
  await user.program("main.ts", writer(server.url("mod.ts")));
  const ran = await user.deno(["run", "--no-prompt", ...user.flags, "main.ts", `${user.data}/x`]);
  assertEquals(ran.code, 1);
  assertStringIncludes(ran.error, `Requires import access to "${server.host}"`);
  assertEquals(await namesIn(user.data), []);
});

testByUrl("No other permission, program or cache folder is needed", async (scene) => {
  const { user, server, dir } = scene;
  await user.program("main.ts", writer(server.url("mod.ts")));
  const home = dir.file("home");
  await Deno.mkdir(home);
  const others = ["--deny-net", "--deny-env", "--deny-run", "--deny-sys"];
  const flags = [...scene.flags, ...others];
  for (
    const env of [
      {},
      { HOME: home },
      { HOME: home, XDG_CACHE_HOME: `${home}/cache` },
      // Nothing can be made there, not even by root.
      { HOME: "/proc/home", XDG_CACHE_HOME: "/proc/cache" },
    ]
  ) {
    for (const allowed of [flags, ["-A"]]) {
      const args = ["run", ...allowed, "main.ts", `${user.data}/file`];
      assertEngine(await user.deno(args, { env: { PATH: "", ...env } }));
      await assertWritten(user, "file");
    }
  }
  assertEquals(await namesIn(home), []);
});

testByUrl("Several Workers use it beside the main thread", async ({ user, flags, server }) => {
  const url = JSON.stringify(server.url("mod.ts"));
  await user.program(
    "worker.ts",
    `import { DmaFile } from ${url};
     self.onmessage = async ({ data: path }) => {
       const file = await DmaFile.create(path);
       await ReadableStream.from([new Uint8Array(${BYTES}).fill(7)]).pipeTo(file.writable);
       self.postMessage("written");
     };`,
  );
  await user.program(
    "main.ts",
    `import { DmaFile } from ${url};
     const write = (path) => new Promise((resolve, reject) => {
       const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
       worker.onerror = reject;
       worker.onmessage = ({ data }) => {
         worker.terminate();
         resolve(data);
       };
       worker.postMessage(path);
     });
     const [folder] = Deno.args;
     const file = await DmaFile.create(folder + "/main");
     const [first, second] = await Promise.all([
       write(folder + "/first"),
       write(folder + "/second"),
       ReadableStream.from([new Uint8Array(${BYTES}).fill(7)]).pipeTo(file.writable),
     ]);
     console.log(first, second);`,
  );
  // Deno itself wants to read what a Worker starts with.
  const reading = `--allow-read=${user.data},worker.ts`;
  const { output, error } = await user.deno(["run", ...flags, reading, "main.ts", user.data]);
  assertEquals(output, "written written", error);
  for (const name of ["main", "first", "second"]) await assertWritten(user, name);
});

testByUrl("Two versions work side by side in one process", async ({ user, flags, server }) => {
  await user.program(
    "main.ts",
    `import * as old from ${JSON.stringify(server.url("mod.ts", "1.0.0"))};
     import * as young from ${JSON.stringify(server.url("mod.ts", "2.0.0"))};
     const [folder] = Deno.args;
     const bytes = new Uint8Array(${BYTES}).fill(7);
     const write = async (dma, name) => {
       const file = await dma.DmaFile.create(folder + name);
       await ReadableStream.from([bytes]).pipeTo(new dma.DmaStreamWriter(file));
     };
     await Promise.all([write(old, "/old"), write(young, "/young")]);
     // A reader of one is any stream of bytes to the other.
     const source = await old.DmaFile.open(folder + "/old");
     const target = await young.DmaFile.create(folder + "/piped");
     await source.readable.pipeTo(target.writable);
     const foreign = await old.DmaFile.create(folder + "/foreign");
     try {
       new young.DmaStreamWriter(foreign);
     } catch (error) {
       console.log(error.message);
     }
     await foreign.close();
     console.log(old.DmaFile === young.DmaFile, old.ioStats().writes > 0, young.ioStats().writes > 0);`,
  );
  const { output, error } = await user.deno(["run", ...flags, "main.ts", user.data]);
  assertEquals(
    output,
    "Cannot write to an object (DmaFile): it comes from another copy of this module: " +
      "import it from one place, in one version\nfalse true true",
    error,
  );
  for (const name of ["old", "young", "piped"]) await assertWritten(user, name);
});

testByUrl("Cached once, everything works offline", async ({ user, server }) => {
  await user.program("main.ts", writer(server.url("mod.ts")));
  const cli = server.url("cli.ts");
  // Nothing is run, so that what is imported late is there only where Deno can see it beforehand.
  const allowed = `--allow-import=${server.host}`;
  const env = testersEnvironment();
  const cached = await user.deno(["cache", allowed, "main.ts", cli], { env });
  assertEquals(cached.code, 0, cached.error);
  await server[Symbol.asyncDispose]();

  const offline = ["run", "--no-prompt", "--cached-only", ...user.flags];
  assertEngine(await user.deno([...offline, "main.ts", `${user.data}/file`]));
  await assertWritten(user, "file");
  const copied = await user.deno([
    "run",
    "-A",
    "--cached-only",
    cli,
    "copy",
    `${user.data}/file`,
    `${user.data}/copy`,
  ]);
  assertEquals(copied.code, 0, copied.error);
  await assertWritten(user, "copy");
});

testByUrl(
  "Types are available by URL, also with checks of remote modules",
  async ({ user, server }) => {
    const url = server.url("mod.ts");
    await user.program("right.ts", writer(url).replace("Deno.args[0]", "Deno.args[0]!"));
    await user.program(
      "wrong.ts",
      `import { DmaFile } from ${JSON.stringify(url)};
     await DmaFile.create("file", { atomic: "yes" });`,
    );
    const flags = ["--quiet", "--all", `--allow-import=${server.host}`];
    const { code, error } = await user.deno(["check", ...flags, "right.ts", "wrong.ts"]);
    assertEquals(code, 1);
    // Of the one mistake in one of both programs.
    assertStringIncludes(error, "Type 'string' is not assignable to type 'boolean");
    assertEquals(error.match(/^TS\d+/gm)?.length, 1, error);
  },
);

testByUrl("The command line by URL gives help, its version and what it copied", async (scene) => {
  const { user, server } = scene;
  const cli = server.url("cli.ts");
  const env = testersEnvironment();
  const help = await user.deno(["run", "-A", cli, "--help"], { env });
  assertEquals(help.code, 0, help.error);
  assertStringIncludes(help.output, "Commands:\n  write <dest> ");

  const version = await user.deno(["run", "-A", cli, "--version"], { env });
  const configured = await (await fetch(server.url("deno.json"))).json();
  assertEquals(version.output, configured.version, version.error);

  const input = pattern(BYTES);
  const path = `${user.data}/written`;
  const written = await user.deno(["run", "-A", cli, "write", path], { env, input });
  assertEquals(written.code, 0, written.error);
  await assertFile(path, input);

  const none = await user.deno(["run", "-A", cli, "write"], { env });
  assertEquals(none.code, 2, none.error);
});

/** What `deno info --json` says, as far as it is asked here. */
interface ModuleGraph {
  modules: { error?: string; dependencies?: { code?: { error?: string } }[] }[];
}

testByUrl("Modules that the command line imports lazily are found by URL", async (scene) => {
  const { user, server } = scene;
  // The progress bar, which is loaded only for a terminal, and left out where it cannot be had.
  const env = testersEnvironment();
  const found = await user.deno(["info", "--json", server.url("cli.ts")], { env });
  assertEquals(found.code, 0, found.error);
  const { modules }: ModuleGraph = JSON.parse(found.output);
  const broken = modules.flatMap(({ error, dependencies = [] }) =>
    [error, ...dependencies.map(({ code }) => code?.error)].filter((message) => message)
  );
  assertEquals(broken, []);
});

testByUrl("Bundled into one file it needs no other", async ({ user, server, dir }) => {
  await user.program("main.ts", writer(server.url("mod.ts")));
  const elsewhere = dir.file("elsewhere");
  await Deno.mkdir(elsewhere);
  const bundle = ["--quiet", `--allow-import=${server.host}`, "-o", `${elsewhere}/bundle.js`];
  const made = await user.deno(["bundle", ...bundle, "main.ts"], { env: testersEnvironment() });
  assertEquals(made.code, 0, made.error);
  await server[Symbol.asyncDispose]();
  await Deno.remove(user.folder, { recursive: true });

  const env = { DENO_DIR: dir.file("other-cache") };
  const run = ["run", "--no-prompt", "--no-remote", ...user.flags];
  const args = [...run, "bundle.js", `${user.data}/file`];
  assertEngine(await user.deno(args, { env, cwd: elsewhere }));
  await assertWritten(user, "file");
});

/** Why there is no `deno compile` here: the runtime that it puts into programs is a download of its own. */
const noCompile = await (async () => {
  const directory = await Deno.makeTempDir({ prefix: "dma-compile-" });
  try {
    await Deno.writeTextFile(`${directory}/empty.ts`, "");
    const args = ["compile", "--quiet", "--output", `${directory}/empty`, `${directory}/empty.ts`];
    const { success, stderr } = await run(Deno.execPath(), args, {
      env: { NO_COLOR: "1" },
      cwd: directory,
      signal: AbortSignal.timeout(60_000),
    });
    if (success) return undefined;
    return lastLine(stderr.split("\n\nStack backtrace")[0]!).trim();
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
})();
if (noCompile !== undefined) {
  say(`deno compile cannot be had here, and is not tested: ${noCompile}`);
}

testByUrl("Compiled into a program it needs no other file", async (scene) => {
  const { user, server, dir } = scene;
  await user.program("main.ts", writer(server.url("mod.ts")));
  const program = dir.file("program");
  // The runtime that was downloaded above, unless it came from elsewhere.
  await Deno.mkdir(`${await testersCache()}/dl`, { recursive: true });
  await Deno.symlink(`${await testersCache()}/dl`, `${user.cache}/dl`);
  const flags = ["--quiet", `--allow-import=${server.host}`, ...user.flags, "--output", program];
  const made = await user.deno(["compile", ...flags, "main.ts"], { env: testersEnvironment() });
  assertEquals(made.code, 0, made.error);
  await server[Symbol.asyncDispose]();
  await Deno.remove(user.folder, { recursive: true });

  const env = { DENO_DIR: dir.file("other-cache") };
  assertEngine(await user.run(program, [`${user.data}/file`], { env, cwd: user.data }));
  await assertWritten(user, "file");
}, noCompile !== undefined);
