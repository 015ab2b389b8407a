// Every architecture that ships: its embedded shim is what the source compiles to, and works, and its numbers are right.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { incomparable, matchesSource } from "../../ffi/build.ts";
import { Errno } from "../../src/engine/linux.ts";
import { ioError } from "../../src/errors.ts";
import { allTargets, architectures, emulatorFor, type Target } from "./architectures/targets.ts";
import { buildSelfTest, embeddedShim, parts, runSelfTest } from "./architectures/targets.ts";
import { SKIPPED } from "./architectures/targets.ts";
import { resultOf } from "../faults/programs.ts";
import { testInOneDirectory, testOnce } from "../support/dirs.ts";
import { hasProgram, runOrThrow } from "../setup/command.ts";

/** Builds the self-test and runs its parts concurrently, because some wait five seconds for a timeout. */
async function selfTest(target: Target, directory: string): Promise<void> {
  const program = await buildSelfTest(target, directory);
  const shim = `${directory}/shim.so`;
  await Deno.writeFile(shim, await embeddedShim(target.architecture));
  // User-mode emulation has no io_uring, and liburing is made for another C library than musl.
  const hasRing = target.emulator.length === 0 && !target.bare;
  const all = parts.filter((part) => hasRing || !part.startsWith("ring"));
  await Promise.all(all.map(async (part) => {
    const { code, output } = await runSelfTest(target, program, [shim, part]);
    if (code === SKIPPED) return console.log(`Not done here: ${output.trim()}`);
    const isGood = code === 0 && /^[1-9]\d* checks, 0 failed$/m.test(output);
    assert(isGood, `The part ${part} ended with ${code}: ${output}`);
  }));
  const { output } = await runSelfTest(target, program, ["constants"]);
  const { errors, ...flags } = JSON.parse(output);
  assertEquals(await openFlags(target.architecture), flags);
  // musl has no names of errors.
  if (!target.bare) checkErrors(errors);
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
  assert(Object.keys(errors).length > 120);
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
  }, { needs: ["readelf"] });

  const reason = await incomparable(architecture);
  const why = reason === undefined ? "" : ` (${reason})`;
  testOnce(`The embedded shim is what ffi/shim.c compiles to: ${architecture}${why}`, async () => {
    assert(await matchesSource(architecture), "Run `deno task build`");
  }, { ignore: reason !== undefined });
}

for (const target of allTargets()) {
  const { name, missing } = target;
  const why = missing.length > 0 ? ` (without ${missing.join(" and ")})` : "";
  testInOneDirectory(`The shim that ships passes its self-test: ${name}${why}`, (dir) => {
    return selfTest(target, dir.path);
  }, { bothEngines: false, ignore: missing.length > 0 });
}

/** Set by the setup, if it could fetch one. */
const emulatedDeno = Deno.env.get("DMA_TEST_EMULATED_DENO");

const emulator = emulatorFor("aarch64");
const possible = emulatedDeno !== undefined && emulator.length > 0 && hasProgram(emulator[0]!);
const how = possible ? "" : " (none to be had, or no emulator)";

testInOneDirectory(`The promises are kept on a Deno for aarch64${how}`, async (dir) => {
  const { wrong, used, info } = await resultOf("allWork", [dir.path, "1"], {
    wrapper: emulator,
    deno: emulatedDeno!,
    // It has a separate cache of compiled code.
    env: { DENO_DIR: dir.file("cache"), DMA_ENGINE: "auto" },
    seconds: 600,
  });
  assertEquals([info.engine, used], ["threads", 0]);
  // ENOSYS: emulators lack pwritev2(2).
  assertEquals(wrong.filter((each) => !each.includes("(os error 38)")), []);
}, { bothEngines: false, ignore: !possible });
