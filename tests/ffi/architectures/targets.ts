// The ways to build and run the shim's self-test: on this processor, with another C library, and by user-mode emulation.

import { exists, hasProgram, root, run, runOrThrow } from "../../setup/command.ts";

const sources = `${root}/tests/tools/shim`;

/** Deno's names of the architectures that the shim is built for. */
export const architectures = ["x86_64", "aarch64"] as const;

export type Architecture = typeof architectures[number];

/** The parts of the self-test, as tests/tools/shim/self_test.c names them. */
export const parts = ["memory", "calls", "prepare", "reap", "ring", "ring-end", "thread-end"];

export interface Target {
  /** As in names of tests. */
  readonly name: string;
  readonly architecture: Architecture;
  readonly compiler: string;
  /** The emulator and its arguments, before the program. */
  readonly emulator: readonly string[];
  /** The C library's own folder of headers, to which the kernel's must be added. */
  readonly bare: boolean;
  /** What is not installed, and without which nothing can be tested. */
  readonly missing: readonly string[];
}

/** Exit code of a part that cannot be done here. */
export const SKIPPED = 77;

/** What stands before a program for this architecture. Debian's cross compiler brings the libraries along. */
export function emulatorFor(architecture: Architecture): string[] {
  if (architecture === Deno.build.arch) return [];
  // The package with the older name has the statically linked ones, which go by that name.
  const names = [`qemu-${architecture}-static`, `qemu-${architecture}`];
  return [names.find(hasProgram) ?? names[0]!, "-L", `/usr/${architecture}-linux-gnu`];
}

/** Every target, testable here or not. */
export function allTargets(): Target[] {
  const targets = architectures.map((architecture) =>
    architecture === Deno.build.arch
      ? target(architecture, architecture, "cc")
      : target(`${architecture}, emulated`, architecture, `${architecture}-linux-gnu-gcc`)
  );
  const native = Deno.build.arch as Architecture;
  return [...targets, target(`${native}, musl`, native, "musl-gcc", true)];
}

function target(name: string, architecture: Architecture, compiler: string, bare = false): Target {
  const emulator = emulatorFor(architecture);
  const missing = [compiler, ...emulator.slice(0, 1)].filter((program) => !hasProgram(program));
  if (!exists("/usr/include/liburing.h")) missing.push("liburing.h");
  return { name, architecture, compiler, emulator, bare, missing };
}

/** Compiles the self-test into `directory`, and resolves to its path. */
export async function buildSelfTest(target: Target, directory: string): Promise<string> {
  const program = `${directory}/self_test`;
  const headers = `${directory}/headers`;
  await Deno.mkdir(headers);
  // Links to the required headers only: the others of the host are for another C library or processor.
  const wanted = ["liburing.h", "liburing"];
  if (target.bare) wanted.push("linux", "asm-generic");
  for (const name of wanted) await Deno.symlink(`/usr/include/${name}`, `${headers}/${name}`);
  if (target.bare) {
    await Deno.symlink(`/usr/include/${target.architecture}-linux-gnu/asm`, `${headers}/asm`);
  }
  const files = [...Deno.readDirSync(sources)].map(({ name }) => name);
  const flags = "-std=gnu11 -O1 -Wall -Wextra -Werror -D_GNU_SOURCE -pthread".split(" ");
  const inputs = files.filter((name) => name.endsWith(".c")).map((name) => `${sources}/${name}`);
  await runOrThrow(target.compiler, [...flags, "-isystem", headers, "-o", program, ...inputs]);
  return program;
}

/** The bytes that ship for an architecture. */
export async function embeddedShim(architecture: Architecture): Promise<Uint8Array<ArrayBuffer>> {
  const { base64 } = architecture === "aarch64"
    ? await import("../../../ffi/shim_aarch64.ts")
    : await import("../../../ffi/shim_x86_64.ts");
  return Uint8Array.fromBase64(base64);
}

export function runSelfTest({ emulator }: Target, program: string, args: readonly string[]) {
  const [command = "", ...rest] = [...emulator, program, ...args];
  if (emulator.length > 0) rest.push("emulated");
  return run(command, rest, { signal: AbortSignal.timeout(300_000) });
}
