// Compiles ffi/shim.c and writes one base64 module for each architecture, so that an import from a URL needs no compiler.
// The same compiler gives the same bytes.
//
//   deno task build    builds for every architecture with a compiler on this machine

import { fileURLToPath } from "node:url";

const folder = new URL(".", import.meta.url);
const source = fileURLToPath(new URL("shim.c", folder));
const headers = "/usr/include";

/** Deno's names of the architectures that the shim is built for. */
export type Architecture = "x86_64" | "aarch64";

/** The compilers that can build for an architecture, best first, and its own flags. */
const targets: Record<Architecture, { compilers: readonly string[]; flags: readonly string[] }> = {
  x86_64: { compilers: ["x86_64-linux-gnu-gcc", "cc"], flags: [] },
  // gcc would call a library for atomic operations.
  aarch64: { compilers: ["aarch64-linux-gnu-gcc", "cc"], flags: ["-mno-outline-atomics"] },
};

// No libc, no unwind tables, no build id, one segment layout: the result is small, and the same bytes each time.
// On aarch64 the linker's default page size is 64 KiB, which kernels there can have.
const flags = [
  "-std=gnu11",
  "-O2",
  "-Wall",
  "-Wextra",
  "-Werror",
  "-fPIC",
  "-shared",
  "-nostdlib",
  "-ffreestanding",
  "-fvisibility=hidden",
  "-fno-asynchronous-unwind-tables",
  "-fno-stack-protector",
  "-s",
  "-Wl,--build-id=none",
  "-Wl,-z,noseparate-code",
  "-Wl,-z,norelro",
  // Keeps the library mapped when Deno closes it: see ffi/shim.ts.
  "-Wl,-z,nodelete",
  // Last: a cross compiler takes only liburing's headers from there, which do not depend on the architecture.
  "-idirafter",
  headers,
];

async function run(command: string, args: string[]): Promise<string | undefined> {
  try {
    const { success, stdout, stderr } = await new Deno.Command(command, { args }).output();
    if (success) return new TextDecoder().decode(stdout);
    throw new Error(`${command} failed: ${new TextDecoder().decode(stderr)}`);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

interface Compiler {
  command: string;
  version: string;
}

/** The first compiler that builds for `architecture`, with its version. */
async function findCompiler(architecture: Architecture): Promise<Compiler | undefined> {
  for (const command of targets[architecture].compilers) {
    const machine = await run(command, ["-dumpmachine"]);
    if (machine === undefined || !machine.startsWith(architecture)) continue;
    const version = (await run(command, ["--version"]))!.split("\n", 1)[0]!;
    return { command, version };
  }
  return undefined;
}

async function compile(
  architecture: Architecture,
  { command }: Compiler,
): Promise<Uint8Array<ArrayBuffer>> {
  const output = await Deno.makeTempFile();
  const all = [...flags, ...targets[architecture].flags, "-o", output, source];
  try {
    await run(command, all);
    return await Deno.readFile(output);
  } finally {
    await Deno.remove(output);
  }
}

function moduleText(bytes: Uint8Array<ArrayBuffer>, version: string): string {
  const lines = bytes.toBase64().match(/.{1,110}/g)!;
  return [
    `// Generated from ffi/shim.c by \`deno task build\`. Do not edit.`,
    `// ${version}`,
    `/** The compiled shim, in base64. */`,
    `export const base64: string = \`${lines.join("\n")}\`;`,
    "",
  ].join("\n");
}

function moduleOf(architecture: Architecture): URL {
  return new URL(`shim_${architecture}.ts`, folder);
}

/** The version without the name of the command: one compiler can have two names, such as `cc` and `gcc`. */
function withoutName(version: string): string {
  return version.replace(/^\S+ /, "");
}

/** The reason why a committed module cannot be compared with its source on this machine; undefined if it can. */
export async function incomparable(architecture: Architecture): Promise<string | undefined> {
  const compiler = await findCompiler(architecture);
  if (!compiler) return `no compiler (looked for ${targets[architecture].compilers.join(", ")})`;
  const present = await Deno.stat(`${headers}/liburing.h`).then(() => true, () => false);
  if (!present) return `no headers of liburing in ${headers}`;
  const madeWith = versionIn(await Deno.readTextFile(moduleOf(architecture)));
  return withoutName(madeWith) === withoutName(compiler.version)
    ? undefined
    : `made with "${madeWith}", but this machine has "${compiler.version}"`;
}

/** Whether a committed module equals the compiled source, byte for byte. It must not be {@linkcode incomparable}. */
export async function matchesSource(architecture: Architecture): Promise<boolean> {
  const committed = await Deno.readTextFile(moduleOf(architecture));
  const bytes = await compile(architecture, (await findCompiler(architecture))!);
  return committed === moduleText(bytes, versionIn(committed));
}

/** The compiler of a module, from its second line. */
function versionIn(text: string): string {
  return text.split("\n", 2)[1]?.replace("// ", "") ?? "";
}

async function build(architecture: Architecture): Promise<void> {
  const compiler = await findCompiler(architecture);
  if (!compiler) {
    console.log(
      `${architecture}: no compiler (looked for ${targets[architecture].compilers.join(", ")})`,
    );
    return;
  }
  const bytes = await compile(architecture, compiler);
  await Deno.writeTextFile(moduleOf(architecture), moduleText(bytes, compiler.version));
  console.log(`${architecture}: ${bytes.length} bytes, by ${compiler.version}`);
}

if (import.meta.main) {
  for (const architecture of Object.keys(targets) as Architecture[]) await build(architecture);
}
