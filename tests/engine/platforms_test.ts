// Where the module cannot run: a program that imports it starts all the same, and is told so once it opens a file.

import { assertEquals, assertMatch } from "@std/assert";
import { namesIn } from "../support/bytes.ts";
import { engineIsOfNoConcern } from "../support/once.ts";
import { type CommandResult, run } from "../setup/command.ts";

const module = new URL("../../mod.ts", import.meta.url).href;
const cli = new URL("../../cli.ts", import.meta.url).pathname;

/** A platform as `Deno.build` tells it. */
interface Platform {
  os: string;
  arch: string;
}

/** Linux on another processor, and other systems, one of them with Linux's kernel. */
const others: Platform[] = [
  { os: "darwin", arch: "aarch64" },
  { os: "windows", arch: "x86_64" },
  { os: "android", arch: "aarch64" },
  { os: "linux", arch: "riscv64" },
];

const errorFor = ({ os, arch }: Platform) =>
  `Cannot run on ${os} ${arch}: Direct I/O and io_uring need Linux on x86_64 or aarch64`;

/**
 * What makes a process take itself for one on another platform. Libraries cannot be opened there, and Windows knows
 * fewer signals.
 */
function disguise({ os, arch }: Platform): string {
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

type Ran = Pick<CommandResult, "code" | "stdout" | "stderr">;

/** Runs a program in the disguise, in a directory of its own, in which it may leave nothing. */
async function runAs(
  platform: Platform,
  commandIn: (directory: string) => Promise<string[]>,
  env: Record<string, string> = {},
): Promise<Ran> {
  const directory = await Deno.makeTempDir({ prefix: "dma-platform-" });
  try {
    const preload = `${directory}/disguise.js`;
    await Deno.writeTextFile(preload, disguise(platform));
    const command = await commandIn(directory);
    const before = await namesIn(directory);
    const args = ["run", "--quiet", "--no-check", `--preload=${preload}`, ...command];
    const options = { env: { NO_COLOR: "1", ...env }, cwd: directory };
    const { code, stdout, stderr } = await run(Deno.execPath(), args, options);
    assertEquals(await namesIn(directory), before);
    return { code, stdout: stdout.trimEnd(), stderr: stderr.trimEnd() };
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** Runs code in which `dma` is this module. */
function runCode(
  platform: Platform,
  code: string,
  { flags = ["-A"], env = {} }: { flags?: string[]; env?: Record<string, string> } = {},
): Promise<Ran> {
  return runAs(platform, async (directory) => {
    const path = `${directory}/main.js`;
    await Deno.writeTextFile(path, `import * as dma from "${module}";\n${code}`);
    return ["--no-config", "--no-prompt", ...flags, path];
  }, env);
}

function runCli(platform: Platform, ...args: string[]): Promise<Ran> {
  return runAs(platform, () => Promise.resolve(["-A", cli, ...args]));
}

/** Each way to a first file. */
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

for (const platform of engineIsOfNoConcern ? others : []) {
  const name = `${platform.os} ${platform.arch}`;
  const message = errorFor(platform);

  Deno.test(`On ${name} importing needs nothing, and opening says what is wrong`, async () => {
    const program = `
      console.log(Deno.build.os, Deno.build.arch);
      dma.configure({ threads: 4 });
      console.log(dma.engineInfo().engine, dma.ioStats().reads);
      ${firstUses}`;
    // Without any permission, so that nothing but memory can be touched.
    assertEquals(await runCode(platform, program, { flags: [] }), {
      code: 0,
      stdout: [name, "null 0", ...Array(6).fill(`true ${message}`)].join("\n"),
      stderr: "",
    });
  });

  Deno.test(`On ${name} neither variables nor options lead past that`, async () => {
    for (
      const [program, env] of [
        [firstUses, { DMA_SHIM: "/lib/shim.so", DMA_LIBURING: "/lib/uring.so" }],
        [firstUses, { DMA_ENGINE: "threads" }],
        [`dma.configure({ engine: "io_uring" }); ${firstUses}`, {}],
      ] as const
    ) {
      assertEquals(await runCode(platform, program, { env }), {
        code: 0,
        stdout: Array(6).fill(`true ${message}`).join("\n"),
        stderr: "",
      });
    }
  });

  Deno.test(`On ${name} the command line says so in one line and touches nothing`, async () => {
    const failed = { code: 1, stdout: "", stderr: `dma: ${message}` };
    assertEquals(await runCli(platform, "write", "dest"), failed);
    assertEquals(await runCli(platform, "write", "--atomic", "--quiet", "dest"), failed);
    assertEquals(await runCli(platform, "copy", "disguise.js", "dest"), failed);
    // Wrong arguments are wrong anywhere.
    assertEquals((await runCli(platform, "write")).code, 2);
  });

  Deno.test(`On ${name} doctor says so`, async () => {
    const { code, stdout, stderr } = await runCli(platform, "doctor");
    assertEquals([code, stderr], [1, ""]);
    const lines = stdout.split("\n");
    assertEquals(lines.slice(0, 2), [`Does not work: ${message}`, ""]);
    assertMatch(lines[2]!, /^ok {2}Deno +\d/);
    assertEquals(lines.slice(3), [`!!  Platform      ${name}`]);
    const { code: jsonCode, stdout: json } = await runCli(platform, "doctor", "--json");
    const report = JSON.parse(json);
    assertEquals(jsonCode, 1);
    assertEquals(
      [report.works, report.platform, report.platformError, report.engine.engine],
      [false, name, message, null],
    );
  });
}
