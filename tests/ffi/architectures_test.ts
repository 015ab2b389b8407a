// Every architecture that ships: that the embedded shim is what its source compiles to, that it works, and that the
// numbers that differ between processors are right.

import { fileURLToPath } from "node:url";
import { assert, assertEquals, assertGreater, assertMatch } from "@std/assert";
import { incomparable, matchesSource } from "../../ffi/build.ts";
import { Errno } from "../../src/engine/linux.ts";
import { ioError } from "../../src/errors.ts";
import {
  allTargets,
  architectures,
  buildSelfTest,
  embeddedShim,
  parts,
  runSelfTest,
  SKIPPED,
  type Target,
} from "./architectures/targets.ts";
import { testOnce } from "../support/once.ts";
import { type CommandResult, hasProgram, run, runOrThrow } from "../setup/command.ts";

function assertPart({ code, output }: CommandResult): void {
  if (code === SKIPPED) console.log(`Not done here: ${output.trim()}`);
  else assert(code === 0 && /^[1-9]\d* checks, 0 failed$/m.test(output), `Exit ${code}: ${output}`);
}

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
    await t.step({ name: `It ${shows}`, ignore, fn: () => assertPart(results[part]!) });
  }
  const { code, output } = results.constants!;
  assertEquals(code, 0, output);
  const constants: Constants = JSON.parse(output);
  await t.step(
    "Flags of open are those of the headers",
    () => checkFlags(constants, target.architecture),
  );
  const fn = () => checkErrors(constants);
  // musl has no names of errors.
  await t.step({ name: "Errors are those of the headers", ignore: target.bare ?? false, fn });
}

/** The constants of the headers. Numbers that are not requested are undefined. */
interface Constants extends Record<string, unknown> {
  errors: Record<string, string>;
}

async function openFlags(architecture: string): Promise<unknown> {
  const program = fileURLToPath(new URL("architectures/open_flags.ts", import.meta.url));
  const args = ["run", "-A", "--no-check", "--no-config", program, architecture];
  const { stdout, stderr } = await run(Deno.execPath(), args);
  return stdout === "" ? stderr : JSON.parse(stdout);
}

async function checkFlags(constants: Constants, architecture: string): Promise<void> {
  const flag = (...names: string[]) =>
    names.reduce((sum, name) => {
      assertEquals(typeof constants[name], "number", name);
      return sum | constants[name] as number;
    }, 0);
  const always = flag("O_CLOEXEC", "O_NONBLOCK");
  assertEquals(await openFlags(architecture), {
    ...Object.fromEntries(
      ["O_RDONLY", "O_CLOEXEC", "O_DIRECT", "O_DIRECTORY", "O_NOFOLLOW", "O_PATH"]
        .map((name) => [name, flag(name)]),
    ),
    reading: always | flag("O_RDONLY"),
    creating: always | flag("O_RDWR", "O_CREAT", "O_EXCL"),
    unnamed: always | flag("O_RDWR", "O_TMPFILE"),
  });
}

function checkErrors({ errors }: Constants): void {
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

async function checkImage(architecture: keyof typeof processors): Promise<void> {
  const bytes = await embeddedShim(architecture);
  const path = await Deno.makeTempFile({ prefix: "dma-shim-" });
  await Deno.writeFile(path, bytes);
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
}

/** Numbers with two names: the C library has one, Deno the other. */
const sameError: Record<string, string> = { ENOTSUP: "EOPNOTSUPP" };

for (const architecture of architectures) {
  testOnce(
    `The embedded shim is for its processor, and needs nothing else: ${architecture}`,
    () => checkImage(architecture),
    { ignore: !hasProgram("readelf") },
  );

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
