// Compiles ffi/shim.c and writes it as one base64 module an architecture, so that an import from a URL
// needs no compiler. The same compiler gives the same bytes.
//
//   deno task build            every architecture a compiler is found for
//   deno task build --check    fails when a committed module is not what the source compiles to
//   deno task build --sanitize FILE   a build with AddressSanitizer and UndefinedBehaviorSanitizer, for tests

const folder = new URL(".", import.meta.url);
const source = new URL("shim.c", folder).pathname;

/** Deno's name of an architecture, and the compilers that may build for it, best first. */
const targets: Record<string, readonly string[]> = {
  x86_64: ["x86_64-linux-gnu-gcc", "cc"],
  aarch64: ["aarch64-linux-gnu-gcc", "cc"],
};

// No libc, no unwind tables, no build id, one segment layout: small, and the same bytes each time.
// Pages of 64 KiB exist on aarch64, which the linker's default there allows for.
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
  // Stays mapped when Deno closes it: see ffi/shim.ts.
  "-Wl,-z,nodelete",
];

const sanitizeFlags = [
  "-std=gnu11",
  "-O1",
  "-g",
  "-Wall",
  "-Wextra",
  "-fPIC",
  "-shared",
  "-fvisibility=hidden",
  "-fno-omit-frame-pointer",
  "-fsanitize=address,undefined",
  "-Wl,-z,nodelete",
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

/** The first compiler that builds for `architecture`, with its version. */
async function findCompiler(
  architecture: string,
): Promise<{ command: string; version: string } | undefined> {
  for (const command of targets[architecture]!) {
    const machine = await run(command, ["-dumpmachine"]);
    if (machine === undefined || !machine.startsWith(architecture)) continue;
    const version = (await run(command, ["--version"]))!.split("\n", 1)[0]!;
    return { command, version };
  }
  return undefined;
}

async function includes(command: string): Promise<string[]> {
  // A cross compiler does not look where the host's liburing headers are; they do not depend on the
  // architecture. Only liburing's own are offered to it, by a folder of links.
  if (command === "cc" || command.startsWith(Deno.build.arch)) return [];
  const links = await Deno.makeTempDir();
  await Deno.symlink("/usr/include/liburing.h", `${links}/liburing.h`);
  await Deno.symlink("/usr/include/liburing", `${links}/liburing`);
  return ["-I", links];
}

async function compile(architecture: string): Promise<string | undefined> {
  const compiler = await findCompiler(architecture);
  if (!compiler) {
    console.log(`${architecture}: no compiler (looked for ${targets[architecture]!.join(", ")})`);
    return undefined;
  }
  const output = await Deno.makeTempFile({ suffix: ".so" });
  try {
    const include = await includes(compiler.command);
    await run(compiler.command, [...flags, ...include, "-o", output, source]);
    if (include[1]) await Deno.remove(include[1], { recursive: true });
    const bytes = await Deno.readFile(output);
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
    console.log(`${architecture}: ${bytes.length} bytes, sha256 ${digest}`);
    const lines = bytes.toBase64().match(/.{1,110}/g)!;
    return [
      `// Generated from ffi/shim.c by \`deno task build\`. Do not edit.`,
      `// ${compiler.version}`,
      `/** SHA-256 of the compiled shim. */`,
      `export const sha256: string = "${digest}";`,
      `/** The compiled shim, in base64. */`,
      `export const base64: string = \`${lines.join("\n")}\`;`,
      "",
    ].join("\n");
  } finally {
    await Deno.remove(output);
  }
}

async function main(): Promise<number> {
  const [mode, file] = Deno.args;
  if (mode === "--sanitize") {
    await run("cc", [...sanitizeFlags, "-o", file!, source]);
    return 0;
  }
  let wrong = 0;
  for (const architecture of Object.keys(targets)) {
    const text = await compile(architecture);
    if (text === undefined) continue;
    const module = new URL(`shim_${architecture}.ts`, folder);
    if (mode !== "--check") {
      await Deno.writeTextFile(module, text);
    } else if ((await Deno.readTextFile(module)) !== text) {
      console.error(`${module.pathname} is not what ffi/shim.c compiles to`);
      wrong++;
    }
  }
  return wrong ? 1 : 0;
}

if (import.meta.main) Deno.exit(await main());
