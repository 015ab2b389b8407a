// Every architecture that ships: that the embedded shim is what its source compiles to, that it works, and that the
// numbers that differ between processors are right.

import { fileURLToPath } from "node:url";
import {
  assert,
  assertEquals,
  assertGreater,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { incomparable, matchesSource } from "../../ffi/build.ts";
import { Errno } from "../../src/engine/linux.ts";
import { ioError } from "../../src/errors.ts";
import {
  allTargets,
  architectures,
  buildSelfTest,
  embeddedShim,
  emulatorFor,
  parts,
  runSelfTest,
  SKIPPED,
  type Target,
} from "./architectures/targets.ts";
import { assertFile, pattern } from "../support/bytes.ts";
import { testInOneDirectory } from "../support/dirs.ts";
import { testOnce } from "../support/once.ts";
import { type CommandResult, hasProgram, run, runOrThrow } from "../setup/command.ts";

/** The results of each part of a target's self-test. */
type Results = Readonly<Record<string, CommandResult>>;

/** User-mode emulation has no io_uring, and liburing is made for another C library than musl. */
const hasRing = ({ emulator, bare }: Target) => emulator.length === 0 && !bare;

const isDone = (part: string, target: Target) => !part.startsWith("ring") || hasRing(target);

/** Builds the self-test and runs its parts concurrently, because some wait five seconds for a timeout. */
async function selfTest(target: Target, directory: string): Promise<Results> {
  await Deno.mkdir(directory);
  const program = await buildSelfTest(target, directory);
  const shim = `${directory}/shim.so`;
  await Deno.writeFile(shim, await embeddedShim(target.architecture));
  const results = Object.keys(parts).filter((part) => isDone(part, target)).map(async (part) => {
    const folder = `${directory}/${part}`;
    await Deno.mkdir(folder);
    return [part, await runSelfTest(target, program, [shim, folder, part])];
  });
  const constants = runSelfTest(target, program, ["constants"]);
  return Object.fromEntries([...await Promise.all(results), ["constants", await constants]]);
}

async function checkTarget(t: Deno.TestContext, target: Target, results: Results): Promise<void> {
  for (const [part, shows] of Object.entries(parts)) {
    const ignore = !isDone(part, target);
    const fn = () => {
      const { code, output } = results[part]!;
      if (code === SKIPPED) return console.log(`Not done here: ${output.trim()}`);
      assert(code === 0 && /^[1-9]\d* checks, 0 failed$/m.test(output), `Exit ${code}: ${output}`);
    };
    await t.step({ name: `It ${shows}`, ignore, fn });
  }
  const { errors, ...flags } = JSON.parse(results.constants!.output);
  await t.step("Flags of open are those of the headers", async () => {
    assertEquals(await openFlags(target.architecture), flags);
  });
  const fn = () => checkErrors(errors);
  // musl has no names of errors.
  await t.step({ name: "Errors are those of the headers", ignore: target.bare ?? false, fn });
}

/** The flags of open(2) in src/engine/linux.ts. They are fixed when it is loaded, so each architecture needs a process. */
async function openFlags(architecture: string): Promise<unknown> {
  const program = `
    Object.assign(Deno, { build: { ...Deno.build, arch: "${architecture}" } });
    const linux = await import("${new URL("../../src/engine/linux.ts", import.meta.url)}");
    const flags = Object.entries(linux).filter(([name]) => name.startsWith("O_"));
    console.log(JSON.stringify(Object.fromEntries(flags)));`;
  const args = ["eval", "--no-check", "--no-config", program];
  return JSON.parse(await runOrThrow(Deno.execPath(), args));
}

/** Numbers with two names: the C library has one, Deno the other. */
const sameError: Record<string, string> = { ENOTSUP: "EOPNOTSUPP" };

function checkErrors(errors: Record<string, string>): void {
  assertGreater(Object.keys(errors).length, 120);
  for (const [number, name] of Object.entries(errors)) {
    assertEquals(ioError(Number(number), "write", "/a").code, sameError[name] ?? name, number);
  }
  for (const [name, number] of Object.entries(Errno)) {
    const header = errors[number] ?? "";
    assertEquals(sameError[header] ?? header, name);
  }
  const unknown = ioError(4095, "open", "x");
  assertEquals(unknown.code, "E4095");
  assertEquals(unknown.message, "Unknown error 4095 (os error 4095): open 'x'");
}

/** Processors as readelf(1) names them, and the alignment of segments for their largest pages. */
const processors = { x86_64: ["X86-64", "0x1000"], aarch64: ["AArch64", "0x10000"] } as const;

for (const architecture of architectures) {
  testOnce(`The embedded shim needs nothing else: ${architecture}`, async () => {
    const path = await Deno.makeTempFile({ prefix: "dma-shim-" });
    await Deno.writeFile(path, await embeddedShim(architecture));
    const elf = await runOrThrow("readelf", ["-hldW", "--dyn-syms", path]);
    await Deno.remove(path);
    const [machine, alignment] = processors[architecture];
    assertMatch(elf, new RegExp(`Type: +DYN [^]*Machine: .*${machine}\n`));
    // Where memory may not be written and executed at once, a segment or stack with both would be refused.
    const segments = [...elf.matchAll(/^ +(LOAD|INTERP|GNU_STACK) .* (R[W ][E ]) +(\S+)$/gm)];
    assertEquals(segments.map(([, type, flags, aligned]) => [type, flags, aligned]), [
      ["LOAD", "R E", alignment],
      ["LOAD", "RW ", alignment],
      ["GNU_STACK", "RW ", "0x10"],
    ]);
    assertMatch(elf, /\(FLAGS_1\) .*NODELETE/);
    // It needs no library, and no symbol of a loaded one.
    assertEquals(elf.match(/\((NEEDED|TEXTREL)\)| UND \S+$/gm), null);
  }, { ignore: !hasProgram("readelf") });

  const reason = await incomparable(architecture);
  const why = reason === undefined ? "" : ` (${reason})`;
  testOnce(`The embedded shim is what ffi/shim.c compiles to: ${architecture}${why}`, async () => {
    assert(await matchesSource(architecture), "Run `deno task build`");
  }, { ignore: reason !== undefined });
}

testOnce("The shim that ships passes its self-test", async (t) => {
  const directory = await Deno.makeTempDir({ prefix: "dma-shim-" });
  try {
    const targets = allTargets();
    const all = targets.map(async (target, index) =>
      target.missing.length > 0 ? undefined : await selfTest(target, `${directory}/${index}`)
    );
    for (const [index, results] of (await Promise.all(all)).entries()) {
      const target = targets[index]!;
      const why = results ? "" : ` (without ${target.missing.join(" and ")})`;
      await t.step({
        name: `${target.name}${why}`,
        ignore: results === undefined,
        fn: (t) => checkTarget(t, target, results!),
      });
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

// ---- the module on the other architecture: a Deno for aarch64, run by user-mode emulation, without io_uring -----------

const copyProgram = fileURLToPath(new URL("architectures/copy.ts", import.meta.url));

/** Set by the setup, if it could fetch one. */
const emulatedDeno = Deno.env.get("DMA_TEST_EMULATED_DENO");

const emulator = emulatorFor("aarch64");
const possible = emulatedDeno !== undefined && emulator.length > 0 && hasProgram(emulator[0]!);
const how = possible ? "" : " (none to be had, or no emulator)";

testInOneDirectory(`Every operation does its work on a Deno for aarch64${how}`, async (dir) => {
  const content = pattern(1_000_001);
  await Deno.writeFile(dir.file("source"), content);
  const [command = "", ...before] = [...emulator, emulatedDeno!];
  const flags = ["run", "-A", "--no-check", "--no-config", copyProgram];
  const args = [...before, ...flags, dir.file("source"), dir.file("target")];
  const { code, stdout, stderr } = await run(command, args, {
    // It has a separate cache of compiled code.
    env: { DENO_DIR: dir.file("cache"), DMA_ENGINE: "auto", NO_COLOR: "1" },
    signal: AbortSignal.timeout(120_000),
  });
  assertEquals(code, 0, stderr);
  // Emulators drop the part of statx about Direct I/O.
  assertStringIncludes(stdout, "copied on aarch64 by threads");
  for (const copied of ["target", "target.atomic"]) await assertFile(dir.file(copied), content);
}, { bothEngines: false, ignore: !possible });
