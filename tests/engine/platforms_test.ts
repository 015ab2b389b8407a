// Unsupported platforms: a program that imports the module starts, and gets an error when it opens a file.

import { fileURLToPath } from "node:url";
import { assertEquals, assertMatch } from "@std/assert";
import { namesIn } from "../support/bytes.ts";
import { testOnce } from "../support/once.ts";
import { run } from "../setup/command.ts";

const module = new URL("../../mod.ts", import.meta.url).href;
const cli = fileURLToPath(new URL("../../cli.ts", import.meta.url));

/** Linux on another processor, and other systems, one of them with Linux's kernel. */
const others = ["darwin aarch64", "windows x86_64", "android aarch64", "linux riscv64"];

/**
 * Disguises a process as one on another platform. Libraries cannot be opened there, and Windows has fewer signals.
 */
function disguise(platform: string): string {
  const [os, arch] = platform.split(" ");
  return `
    Object.assign(Deno, {
      build: { ...Deno.build, os: ${JSON.stringify(os)}, arch: ${JSON.stringify(arch)} },
      dlopen(path) {
        console.log("dlopen of", path);
        throw new Error("Could not open library");
      },
    });
    const listen = Deno.addSignalListener;
    Deno.addSignalListener = (name, handler) => {
      if (Deno.build.os === "windows" && name === "SIGTERM") {
        throw new TypeError("Windows only supports ctrl-c (SIGINT), ctrl-break (SIGBREAK)");
      }
      listen(name, handler);
    };`;
}

/** Runs a program in the disguise, in a directory of its own, in which it may leave nothing. */
async function runAs(
  platform: string,
  program: string,
  args: string[],
  env: Record<string, string> = {},
) {
  const cwd = await Deno.makeTempDir({ prefix: "dma-platform-" });
  try {
    await Deno.writeTextFile(`${cwd}/disguise.js`, disguise(platform));
    await Deno.writeTextFile(`${cwd}/main.js`, program);
    const own = ["--quiet", "--no-check", "--no-prompt", `--preload=${cwd}/disguise.js`];
    const options = { env: { NO_COLOR: "1", ...env }, cwd };
    const ran = await run(Deno.execPath(), ["run", ...own, ...args], options);
    assertEquals(await namesIn(cwd), ["disguise.js", "main.js"]);
    return { code: ran.code, stdout: ran.stdout.trimEnd(), stderr: ran.stderr.trimEnd() };
  } finally {
    await Deno.remove(cwd, { recursive: true });
  }
}

/** Tries each way to a first file. */
const firstUses = `
  for (const use of [
    () => dma.DmaFile.open("file"),
    () => dma.DmaFile.open(new URL("file:///C:/file")),
    () => dma.DmaFile.create("file"),
    () => dma.DmaFile.create("file", { atomic: true }),
    () => dma.DmaFile.temp(),
    () => dma.DmaFile.open("file"),
  ]) {
    const error = await use().catch((error) => error);
    console.log(error instanceof Deno.errors.NotSupported, error.message);
  }`;

for (const platform of others) {
  const message =
    `Cannot run on ${platform}: Direct I/O and io_uring need Linux on x86_64 or aarch64`;
  const refused = Array(6).fill(`true ${message}`).join("\n");
  const runCode = (code: string, flags: string[], env?: Record<string, string>) => {
    const program = `import * as dma from "${module}";\n${code}`;
    return runAs(platform, program, ["--no-config", ...flags, "main.js"], env);
  };
  const runCli = (...args: string[]) => runAs(platform, "", ["-A", cli, ...args]);

  testOnce(`On ${platform} the import works, and an open names the platform`, async () => {
    const program = `
      console.log(Deno.build.os, Deno.build.arch);
      dma.configure({ threads: 4 });
      console.log(dma.engineInfo().engine, dma.ioStats().reads);
      ${firstUses}`;
    const stdout = `${platform}\nnull 0\n${refused}`;
    // Without any permission, so that nothing but memory can be touched.
    assertEquals(await runCode(program, []), { code: 0, stdout, stderr: "" });
    // Neither variables nor options change that.
    const libraries = { DMA_SHIM: "/lib/shim.so", DMA_LIBURING: "/lib/uring.so" };
    for (const env of [libraries, { DMA_ENGINE: "threads" }, { DMA_ENGINE: "io_uring" }]) {
      assertEquals(await runCode(program, ["-A"], env), { code: 0, stdout, stderr: "" });
    }
  });

  testOnce(`On ${platform} the command line prints one line, touches nothing`, async () => {
    for (
      const args of [
        ["write", "dest"],
        ["write", "--atomic", "--quiet", "dest"],
        ["copy", "disguise.js", "dest"],
        ["read", "disguise.js"],
        ["bench"],
      ]
    ) assertEquals(await runCli(...args), { code: 1, stdout: "", stderr: `dma: ${message}` });
    // Wrong arguments are reported on every platform.
    assertEquals((await runCli("write")).code, 2);
  });

  testOnce(`On ${platform} the doctor reports it`, async () => {
    const { code, stdout, stderr } = await runCli("doctor");
    assertEquals([code, stderr], [1, ""]);
    const [verdict, empty, deno, ...rest] = stdout.split("\n");
    assertEquals([verdict, empty], [`Does not work: ${message}`, ""]);
    assertMatch(deno!, /^ok {2}Deno +\d/);
    assertEquals(rest, [`!!  Platform      ${platform}`]);
    const json = await runCli("doctor", "--json");
    const { works, platform: name, platformError, engine: { engine } } = JSON.parse(json.stdout);
    assertEquals(
      [json.code, works, name, platformError, engine],
      [1, false, platform, message, null],
    );
  });
}
