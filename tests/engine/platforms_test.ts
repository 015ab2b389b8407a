// Other systems, processors and runtimes, and older Denos: a program that imports the module gets one clear error.

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { OLDEST_DENO } from "../../src/runtime.ts";
import { assertRefused, dma } from "../cli/process.ts";
import { namesIn } from "../support/bytes.ts";
import { runChild } from "../support/child.ts";
import { type TestDirectory, testInOneDirectory, testOnce } from "../support/dirs.ts";
import { type Ended, root, run, urlOf } from "../setup/command.ts";

/** Linux on another processor, and other systems, one of them with Linux's kernel. */
const others = ["darwin aarch64", "windows x86_64", "android aarch64", "linux riscv64"];

const refusal = (platform: string) =>
  `Cannot run on ${platform}: Direct I/O and io_uring need Linux on x86_64 or aarch64`;

/** A flag that disguises a process, before the import. No library opens there, and Windows has fewer signals. */
async function disguise(dir: TestDirectory, platform: string): Promise<string> {
  const [os, arch] = platform.split(" ");
  const program = `
    Object.assign(Deno, {
      build: { ...Deno.build, os: "${os}", arch: "${arch}" },
      dlopen(path) {
        console.log("dlopen of", path);
        throw new Error("Could not open library");
      },
    });
    const listen = Deno.addSignalListener;
    Deno.addSignalListener = (name, handler) => {
      if (Deno.build.os !== "windows" || name !== "SIGTERM") return listen(name, handler);
      throw new TypeError("Windows only supports ctrl-c (SIGINT), ctrl-break (SIGBREAK)");
    };`;
  await Deno.writeTextFile(dir.file("disguise.js"), program);
  return `--preload=${dir.file("disguise.js")}`;
}

const firstUses = `
  dma.configure({ threads: 4 });
  console.log(dma.engineInfo().reason, Object.values(dma.ioStats()).some(Boolean));
  for (const use of [
    () => dma.DmaFile.open("file"),
    () => dma.DmaFile.open(new URL("file:///C:/file")),
    () => dma.DmaFile.create("file", { atomic: true }),
    () => dma.DmaFile.temp(),
  ]) {
    const error = await use().catch((error) => error);
    console.log(error instanceof Deno.errors.NotSupported, error.message);
  }`;

for (const platform of others) {
  testInOneDirectory(`On ${platform} an import works, an open names it`, async (dir) => {
    const expected = [
      "not chosen before the first file is opened false",
      ...Array(4).fill(`true ${refusal(platform)}`),
    ].join("\n");
    const libraries = { DMA_SHIM: "/lib/shim.so", DMA_LIBURING: "/lib/uring.so" };
    for (const env of [{}, libraries, { DMA_ENGINE: "threads" }, { DMA_ENGINE: "io_uring" }]) {
      // Without any permission nothing but memory can be touched.
      const flags = [await disguise(dir, platform)];
      if (Object.keys(env).length > 0) flags.push("-A");
      const { code, output } = await runChild(firstUses, { flags, env, cwd: dir.path });
      assertEquals([code, output], [0, expected]);
    }
    assertEquals(await namesIn(dir.path), ["disguise.js"]);
  }, { bothEngines: false });
}

testInOneDirectory("On another platform the command line prints one line", async (dir) => {
  const platform = "windows x86_64";
  const message = refusal(platform);
  const flags = ["-A", await disguise(dir, platform)];
  const runCli = (command: string) => dma(command.split(" "), undefined, { flags, cwd: dir.path });
  for (const command of ["write --atomic dest", "copy disguise.js dest", "read x", "bench"]) {
    assertRefused(await runCli(command), 1, message);
  }
  assertEquals(await namesIn(dir.path), ["disguise.js"]);
  // Wrong arguments are reported on every platform.
  assertEquals((await runCli("write")).code, 2);
  const { code, stdout } = await runCli("doctor");
  const says = `^Does not work: ${message}\n\nok  Deno +\\d.*\n!!  Platform +${platform}\n$`;
  assertEquals(code, 1);
  assertMatch(stdout, new RegExp(says));
}, { bothEngines: false });

/** Runs a program without a configuration. */
function evaluate(program: string): Promise<Ended> {
  return run(Deno.execPath(), ["eval", "--quiet", "--no-config", "--no-lock", program]);
}

/** Imports the module in a Deno that reports `version`, and opens a file. */
const importIn = (version: string) =>
  evaluate(`
    Object.defineProperty(Deno, "version", { value: { ...Deno.version, deno: "${version}" } });
    const { DmaFile } = await import("${urlOf("mod.ts")}");
    await (await DmaFile.open(Deno.execPath())).close();
    console.log("opened");`);

testOnce("A Deno that is older than README.md promises gets one clear sentence", async () => {
  for (const version of ["1.46.3", "2.1.4", "2.7.14"]) {
    const { code, output } = await importIn(version);
    assertEquals(code, 1);
    const needs = `@denodma/dma needs Deno ${OLDEST_DENO} or newer, and this is Deno ${version}`;
    assertStringIncludes(output, `${needs}: run \`deno upgrade\``);
  }
  for (const version of [OLDEST_DENO, "2.10.0", "2.9.6+abc1234", "3.0.0-rc.1", "10.0.0"]) {
    assertEquals((await importIn(version)).output, "opened\n", version);
  }
  const readme = await Deno.readTextFile(`${root}/README.md`);
  assertStringIncludes(readme, `Deno ${OLDEST_DENO.replace(/\.0$/, "")} or newer`);
});

testOnce("In another runtime both modules throw: only on Deno", async () => {
  for (const entry of ["mod.ts", "node.ts"]) {
    const program = `delete globalThis.Deno; await import("${urlOf(entry)}");`;
    const { code, stderr } = await evaluate(program);
    assertEquals(code, 1);
    assertMatch(stderr, /Error: @denodma\/dma runs only on Deno: /);
  }
});
