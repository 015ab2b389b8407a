// The peers other than Deno. They are found, installed or built once; a missing one is noted.

import { fileURLToPath } from "node:url";
import { hasProgram } from "../../tests/setup/command.ts";
import { tryCommand } from "./measured_process.ts";

/** Paths of the peers; undefined: not available on this machine. */
export interface Tools {
  readonly deno: string;
  readonly node: string | undefined;
  readonly bun: string | undefined;
  readonly fio: string | undefined;
  readonly dd: string | undefined;
  readonly glommio: string | undefined;
  /** The system calls of small files alone, in C. */
  readonly files: string | undefined;
}

/** The folder in which peers are kept from one run to the next. */
function cacheDirectory(): string {
  const base = Deno.env.get("XDG_CACHE_HOME") || `${Deno.env.get("HOME") ?? "/var/tmp"}/.cache`;
  return `${base}/denodma-bench`;
}

/** Bun's binary comes in a package per platform, of which npm picks the right one. */
async function findBunBinary(directory: string): Promise<string | undefined> {
  const packages = await Array.fromAsync(Deno.readDir(`${directory}/node_modules/@oven`))
    .catch(() => []);
  for (const { name } of packages) {
    const path = `${directory}/node_modules/@oven/${name}/bin/bun`;
    if (await tryCommand([path, "--version"])) return path;
  }
  return undefined;
}

async function installBun(say: (line: string) => void): Promise<string | undefined> {
  const directory = `${cacheDirectory()}/npm`;
  const there = await findBunBinary(directory);
  if (there) return there;
  say("Installing Bun from npm");
  await Deno.mkdir(directory, { recursive: true });
  await tryCommand(
    ["npm", "install", "--prefix", directory, "--no-audit", "--no-fund", "--ignore-scripts", "bun"],
  );
  return await findBunBinary(directory);
}

async function buildGlommio(say: (line: string) => void): Promise<string | undefined> {
  const source = fileURLToPath(new URL("../glommio/", import.meta.url));
  // Built beside a copy of the source, so that no output stays in the checkout.
  const directory = `${cacheDirectory()}/glommio`;
  await Deno.mkdir(`${directory}/src`, { recursive: true });
  for (const file of ["Cargo.toml", "src/main.rs"]) {
    const text = await Deno.readTextFile(source + file);
    const old = await Deno.readTextFile(`${directory}/${file}`).catch(() => undefined);
    if (text !== old) await Deno.writeTextFile(`${directory}/${file}`, text);
  }
  say("Building the program on glommio");
  const manifest = `${directory}/Cargo.toml`;
  const build = ["build", "--release", "--quiet", "--manifest-path", manifest];
  const built = await tryCommand(["cargo", ...build, "--target-dir", `${directory}/target`]);
  return built === undefined ? undefined : `${directory}/target/release/glommio-stream`;
}

async function buildFiles(): Promise<string | undefined> {
  const path = `${cacheDirectory()}/files`;
  const source = fileURLToPath(new URL("../programs/files.c", import.meta.url));
  const built = await tryCommand(["cc", "-O2", "-Wall", "-pthread", "-o", path, source]);
  return built === undefined ? undefined : path;
}

/** The tools if only Deno takes part. */
export const ONLY_DENO: Tools = {
  deno: Deno.execPath(),
  node: undefined,
  bun: undefined,
  fio: undefined,
  dd: undefined,
  glommio: undefined,
  files: undefined,
};

/** Finds, installs or builds every peer. */
export async function findTools(say: (line: string) => void): Promise<Tools> {
  const [node, fio, dd] = ["node", "fio", "dd"].map((name) => hasProgram(name) ? name : undefined);
  const bun = await installBun(say);
  const glommio = await buildGlommio(say);
  const files = await buildFiles();
  const missing: [unknown, string][] = [
    [node, "Node.js: no `node` on the PATH"],
    [bun, "Bun: npm could not install it"],
    [fio, "fio: not installed (apt-get install fio)"],
    [dd, "dd: not installed (apt-get install coreutils)"],
    [glommio, "glommio: cargo, or its registry, is not to be had"],
    [files, "the system calls alone: no C compiler"],
  ];
  for (const [path, reason] of missing) if (!path) say(`Skipped, ${reason}`);
  return { deno: Deno.execPath(), node, bun, fio, dd, glommio, files };
}
