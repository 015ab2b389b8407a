// Imports by URL from an empty folder, as by a user without a checkout: only published files may be needed.

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { Ended } from "../setup/command.ts";
import { assertFile, filled, namesIn } from "../support/bytes.ts";
import { type TestDirectory, testInOneDirectory } from "../support/dirs.ts";
import { StaticServer } from "../support/static_server.ts";
import { FreshUser } from "./fresh_user.ts";

interface Scene {
  readonly user: FreshUser;
  /** The flags of the README, and the one for the host that serves the module. */
  readonly flags: string[];
  readonly server: StaticServer;
  readonly dir: TestDirectory;
}

const BYTES = 3_000_001;

/** The variables of this process, for runs that may download packages: they name proxies and certificates. */
const { DENO_DIR: _, ...testersEnvironment } = Deno.env.toObject();

/** Writes {@linkcode BYTES} sevens to the path in its argument, and prints the engine. */
const writer = (url: string) => `
  import { DmaFile, DmaStreamWriter, engineInfo } from "${url}";
  const file = await DmaFile.create(Deno.args[0]);
  const source = ReadableStream.from([new Uint8Array(${BYTES}).fill(7)]);
  await source.pipeTo(new DmaStreamWriter(file));
  console.log(engineInfo().engine);
`;

/** Registers a test of a user whose folder has the {@linkcode writer} as main.ts. */
function testByUrl(name: string, fn: (scene: Scene) => Promise<void>): void {
  testInOneDirectory(name, async (dir) => {
    await using server = new StaticServer();
    const user = await FreshUser.in(dir.path);
    await user.program("main.ts", writer(server.url("mod.ts")));
    const flags = ["--no-prompt", `--allow-import=${server.host}`, ...user.flags];
    await fn({ user, flags, server, dir });
    assertEquals(server.missing, [], "Something is imported that is not published");
  }, { bothEngines: false });
}

async function assertWritten(user: FreshUser, name: string): Promise<void> {
  await assertFile(`${user.data}/${name}`, filled(BYTES, 7));
}

async function assertWrote(user: FreshUser, { code, stdout, stderr }: Ended): Promise<void> {
  assertEquals(code, 0, stderr);
  assertMatch(stdout, /^(io_uring|threads)\n$/);
  await assertWritten(user, "file");
}

/** Runs the {@linkcode writer} with these flags and variables. */
function write(user: FreshUser, flags: string[], env?: Record<string, string>): Promise<Ended> {
  return user.deno(["run", ...flags, "main.ts", `${user.data}/file`], { env });
}

testByUrl("Imported by URL, it needs the README's flags only", async ({ user, flags, dir }) => {
  for (const flag of user.flags) {
    const { code, stderr } = await write(user, flags.filter((each) => each !== flag));
    assertEquals(code, 1);
    const [access] = /(?<=--allow-)[a-z]+/.exec(flag)!;
    assertStringIncludes(stderr, `NotCapable: Requires ${access} access`);
    assertEquals(await namesIn(user.data), []);
  }
  await assertWrote(user, await write(user, flags, { PATH: "" }));
  assertEquals(await namesIn(user.folder), ["main.ts"]);
  assertEquals(await namesIn(user.data), ["file"]);
  // With all permissions it needs no cache folder either. No file can be created in /proc, not even by root.
  const home = dir.file("home");
  await Deno.mkdir(home);
  for (const HOME of [home, "/proc/home"]) {
    await assertWrote(user, await write(user, ["-A"], { PATH: "", HOME }));
  }
  assertEquals(await namesIn(home), []);
});

testByUrl("Two versions work side by side in one process", async ({ user, flags, server }) => {
  await user.program(
    "both.ts",
    `import * as old from "${server.url("mod.ts", "1.0.0")}";
     import * as young from "${server.url("mod.ts", "2.0.0")}";
     const writes = Object.entries({ old, young }).map(async ([name, { DmaFile }]) => {
       const file = await DmaFile.create(Deno.args[0] + name);
       await ReadableStream.from([new Uint8Array(${BYTES}).fill(7)]).pipeTo(file.writable);
     });
     await Promise.all(writes);
     console.log(old.DmaFile === young.DmaFile, old.ioStats().writes > 0, young.ioStats().writes > 0);`,
  );
  const { stdout, stderr } = await user.deno(["run", ...flags, "both.ts", `${user.data}/`]);
  assertEquals(stdout, "false true true\n", stderr);
  for (const name of ["old", "young"]) await assertWritten(user, name);
});

testByUrl("Cached once, module and command line work offline", async ({ user, server }) => {
  const cli = server.url("cli.ts");
  const { version } = await (await fetch(server.url("deno.json"))).json();
  // No program is run, so a dynamic import is available only if Deno finds it statically.
  const cache = ["cache", `--allow-import=${server.host}`, "main.ts", cli];
  const cached = await user.deno(cache, { env: testersEnvironment });
  assertEquals(cached.code, 0, cached.stderr);
  await server[Symbol.asyncDispose]();

  const offline = ["--no-prompt", "--cached-only"];
  await assertWrote(user, await write(user, [...offline, ...user.flags]));
  const dma = async (...args: string[]) => {
    const { code, stdout, stderr } = await user.deno(["run", ...offline, "-A", cli, ...args]);
    assertEquals(code, 0, stderr);
    return stdout;
  };
  assertEquals(await dma("--version"), `${version}\n`);
  assertStringIncludes(await dma("--help"), "Commands:\n  write <dest> ");
  await dma("copy", `${user.data}/file`, `${user.data}/copy`);
  await assertWritten(user, "copy");
});

testByUrl("Bundled into one file it needs no other", async ({ user, server, dir }) => {
  const bundle = `${user.data}/bundle.js`;
  const allowImport = `--allow-import=${server.host}`;
  const args = ["bundle", "--quiet", allowImport, "--output", bundle, "main.ts"];
  const built = await user.deno(args, { env: testersEnvironment });
  assertEquals(built.code, 0, built.stderr);
  // V8 stores a source with any other character in two bytes per character.
  assertMatch(await Deno.readTextFile(bundle), /^[\0-\xff]*$/);
  await server[Symbol.asyncDispose]();
  await Deno.remove(user.folder, { recursive: true });
  const options = { env: { DENO_DIR: dir.file("other-cache") }, cwd: user.data };
  const run = ["run", "--no-prompt", "--no-remote", ...user.flags, bundle, `${user.data}/file`];
  await assertWrote(user, await user.deno(run, options));
});
