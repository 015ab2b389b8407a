// How the libraries are loaded: those that the environment names, and the shim, which is a file in the cache folder if the
// kernel refuses to load code from memory. Without liburing: faults/restricted_test.ts.

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { namesIn } from "../support/bytes.ts";
import { runChild } from "../support/child.ts";
import { testInOneDirectory, testOnce } from "../support/dirs.ts";
import { tool } from "../faults/tools.ts";
import { FreshUser } from "../docs/fresh_user.ts";
import { type Ended, urlOf } from "../setup/command.ts";

testOnce("A library that the environment names and that cannot be loaded is reported", async () => {
  const open = `await report(() => dma.DmaFile.open(${JSON.stringify(import.meta.filename)}));`;
  const cases: [variable: string, path: string, why: string][] = [
    ["DMA_SHIM", "/nonexistent.so", "/nonexistent.so: cannot open shared object file"],
    ["DMA_SHIM", "libm.so.6", "dma_"],
    ["DMA_LIBURING", "libm.so.6", "io_uring_"],
  ];
  for (const [variable, path, why] of cases) {
    const { output } = await runChild(open, { env: { DMA_ENGINE: "io_uring", [variable]: path } });
    assertStringIncludes(output, `Cannot load ${path}, which ${variable} names (`);
    assertStringIncludes(output, why);
    assert(!output.includes("Could not open library"), output);
  }
});

testOnce("The shim loads where its descriptor was that of another library", async () => {
  const { output } = await runChild(`
    const { openLibc } = await import("${urlOf("ffi/library.ts")}");
    const symbols = openLibc({
      open: { parameters: ["buffer", "i32"], result: "i32" },
      close: { parameters: ["i32"], result: "i32" },
    });
    const [library] = /\\/\\S+\\/libm\\.so\\S*/.exec(Deno.readTextFileSync("/proc/self/maps"));
    const fd = symbols.open(new TextEncoder().encode(library + "\\0"), 0);
    Deno.dlopen("/proc/self/fd/" + fd, { cos: { parameters: ["f64"], result: "f64" } });
    symbols.close(fd);
    await report(() => dma.DmaFile.temp().then((file) => file.close()));`);
  assertEquals(output, "ok undefined");
});

testOnce("A limit on the size of files that is too low for the shim is reported", async () => {
  // The signal would end Deno, which writes to its caches too.
  const shell = "trap '' XFSZ; ulimit -f 5; unset HOME XDG_CACHE_HOME";
  const { output } = await runChild("await report(() => dma.DmaFile.temp());", { shell });
  assertMatch(output, /Cannot load the shim: neither from memory \(its \d+ bytes .* ulimit -f/);
});

const program = `
  import { DmaFile } from "${urlOf("mod.ts")}";
  const file = await DmaFile.create(Deno.args[0]);
  await ReadableStream.from([new Uint8Array(100_000)]).pipeTo(file.writable);
  console.log((await Deno.stat(Deno.args[0])).size);
`;

const EACCES = 13;

/** Runs the program with these variables, with other flags than `-A` or for another file if given. */
type Run = (env: Record<string, string>, flags?: string[], name?: string) => Promise<Ended>;

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
  }, { bothEngines: false, needs: ["gcc"] });
}

function assertWorks({ code, stdout, stderr }: Ended): void {
  assertEquals([code, stdout], [0, "100000\n"], stderr);
}

testWithoutMemfd("The cache folder has the file for a moment", async (run, home) => {
  const folder = `${home}/.cache/denodma`;
  // Processes that start at once share the folder, and later ones find it.
  for (const names of [["a", "b", "c"], ["d"]]) {
    for (const ran of await Promise.all(names.map((name) => run({ HOME: home }, ["-A"], name)))) {
      assertWorks(ran);
    }
    assertEquals(await namesIn(folder), []);
    assertEquals((await Deno.stat(folder)).mode! & 0o777, 0o700);
  }
  // XDG_CACHE_HOME comes before HOME, unless it is relative.
  await Deno.remove(`${home}/.cache`, { recursive: true });
  assertWorks(await run({ HOME: home, XDG_CACHE_HOME: `${home}/elsewhere` }));
  assertEquals(await namesIn(home), ["elsewhere"]);
  assertWorks(await run({ HOME: home, XDG_CACHE_HOME: "relative" }));
  assertEquals(await namesIn(home), [".cache", "elsewhere"]);
});

testWithoutMemfd("A cache folder that others may change is not used", async (run, home) => {
  const folder = `${home}/.cache/denodma`;
  const changes = [
    () => Deno.chmod(folder, 0o777),
    () => Deno.chmod(folder, 0o770),
    async () => {
      await Deno.rename(folder, `${folder}-elsewhere`);
      await Deno.symlink(`${folder}-elsewhere`, folder);
    },
  ];
  if (Deno.uid() === 0) changes.push(() => Deno.chown(folder, 65_534, 65_534));
  for (const change of changes) {
    await Deno.mkdir(folder, { recursive: true });
    await Deno.chmod(folder, 0o700);
    await change();
    const { code, stderr } = await run({ HOME: home });
    assertEquals(code, 1);
    assertStringIncludes(stderr, `${folder} is a link, belongs to another user, or others`);
    await Deno.remove(`${home}/.cache`, { recursive: true });
  }
});

testWithoutMemfd("Without a writable folder the error has both reasons", async (run) => {
  const unread = "neither XDG_CACHE_HOME nor HOME can be read";
  const withoutEnv = ["--allow-ffi", "--allow-read", "--allow-write"];
  const cases: [running: Promise<Ended>, reason: string][] = [
    [run({}), unread],
    [run({ HOME: "/proc/home" }), "No such file or directory"],
    [run({ HOME: "/nowhere" }, withoutEnv), unread],
  ];
  for (const [running, reason] of cases) {
    const { code, stderr } = await running;
    assertEquals(code, 1);
    const both = "Cannot load the shim: neither from memory (memfd_create failed) nor from a file";
    assertStringIncludes(stderr, both);
    assertStringIncludes(stderr, reason);
  }
});
