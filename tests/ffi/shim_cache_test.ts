// If the kernel refuses to load code from memory, the shim is loaded from a file in the cache folder.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { namesIn } from "../support/bytes.ts";
import { testInOneDirectory } from "../support/dirs.ts";
import { tool } from "../faults/tools.ts";
import { FreshUser, type UserRan } from "../docs/fresh_user.ts";
import { hasProgram } from "../setup/command.ts";

const url = JSON.stringify(new URL("../../mod.ts", import.meta.url).href);
const program = `
  import { DmaFile } from ${url};
  const file = await DmaFile.create(Deno.args[0]);
  await ReadableStream.from([new Uint8Array(100_000)]).pipeTo(file.writable);
  console.log((await Deno.stat(Deno.args[0])).size);
`;

const EACCES = 13;

/** Runs the program with these variables, with other flags than `-A` or for another file if given. */
type Run = (env: Record<string, string>, flags?: string[], name?: string) => Promise<UserRan>;

function testWithoutMemfd(name: string, fn: (run: Run, home: string) => Promise<void>): void {
  testInOneDirectory(name, async (dir) => {
    const user = await FreshUser.in(dir.path);
    await user.program("main.js", program);
    const home = dir.file("home");
    await Deno.mkdir(home);
    const wrapper = await tool("secc");
    await fn((env, flags = ["-A"], name = "file") => {
      const args = ["run", "--no-prompt", ...flags, "main.js", `${user.data}/${name}`];
      return user.run(wrapper, ["memfd", String(EACCES), Deno.execPath(), ...args], { env });
    }, home);
  }, { bothEngines: false, ignore: !hasProgram("gcc") });
}

function assertWorks({ code, output, error }: UserRan): void {
  assertEquals([code, output], [0, "100000"], error);
}

testWithoutMemfd("The cache folder has the file for a moment", async (run, home) => {
  // Twice: the second time the folder is there.
  for (let time = 0; time < 2; time++) {
    assertWorks(await run({ HOME: home }));
    const folder = `${home}/.cache/denodma`;
    assertEquals(await namesIn(folder), []);
    assertEquals((await Deno.stat(folder)).mode! & 0o777, 0o700);
  }
});

const changes: Record<string, (folder: string) => Promise<void>> = {
  "others may write to it": (folder) => Deno.chmod(folder, 0o777),
  "a group may write to it": (folder) => Deno.chmod(folder, 0o770),
  "it is a link": async (folder) => {
    await Deno.rename(folder, `${folder}-elsewhere`);
    await Deno.symlink(`${folder}-elsewhere`, folder);
  },
};
if (Deno.uid() === 0) {
  changes["it is another user's"] = (folder) => Deno.chown(folder, 65_534, 65_534);
}

for (const [name, change] of Object.entries(changes)) {
  testWithoutMemfd(`The cache folder is not used where ${name}`, async (run, home) => {
    const folder = `${home}/.cache/denodma`;
    await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
    await change(folder);
    const { code, error } = await run({ HOME: home });
    assertEquals(code, 1);
    assertStringIncludes(error, `${folder} is a link, belongs to another user, or others`);
  });
}

testWithoutMemfd("XDG_CACHE_HOME comes before HOME, unless it is relative", async (run, home) => {
  assertWorks(await run({ HOME: home, XDG_CACHE_HOME: `${home}/elsewhere` }));
  assertEquals(await namesIn(home), ["elsewhere"]);
  assertWorks(await run({ HOME: home, XDG_CACHE_HOME: "relative" }));
  assertEquals(await namesIn(home), [".cache", "elsewhere"]);
});

testWithoutMemfd("Processes that start at once share the folder", async (run, home) => {
  const names = ["a", "b", "c"];
  for (const ran of await Promise.all(names.map((name) => run({ HOME: home }, ["-A"], name)))) {
    assertWorks(ran);
  }
  assertEquals(await namesIn(`${home}/.cache/denodma`), []);
});

testWithoutMemfd("Without a writable folder the error has both reasons", async (run) => {
  const unread = "neither XDG_CACHE_HOME nor HOME can be read";
  const withoutEnv = ["--allow-ffi", "--allow-read", "--allow-write"];
  for (
    const [running, reason] of [
      [run({}), unread],
      [run({ HOME: "/proc/home" }), "No such file or directory"],
      [run({ HOME: "/nowhere" }, withoutEnv), unread],
    ] as const
  ) {
    const { code, error } = await running;
    assertEquals(code, 1);
    const both = "Cannot load the shim: neither from memory (memfd_create failed) nor from a file";
    assertStringIncludes(error, both);
    assertStringIncludes(error, reason);
  }
});
