// Compiles the C programs of tests/tools.

import { root, run } from "../setup/command.ts";

/** Where the programs are; removed at the end of the test file. */
let folder: Promise<string> | undefined;
const programs = new Map<string, Promise<string>>();

/** The path of a compiled program of tests/tools. Compiled once a test file. */
export function tool(name: string, flags: readonly string[] = []): Promise<string> {
  const key = [name, ...flags].join("");
  const program = programs.get(key) ?? compile(name, key, flags);
  programs.set(key, program);
  return program;
}

/** As {@linkcode tool}, of a library, with macros defined. */
export function library(name: string, ...macros: string[]): Promise<string> {
  return tool(name, ["-shared", "-fPIC", ...macros.map((macro) => `-D${macro}`)]);
}

async function compile(name: string, target: string, more: readonly string[]): Promise<string> {
  if (!folder) {
    folder = Deno.makeTempDir({ prefix: "dma-tools-" });
    const directory = await folder;
    // Tests that drop root need access.
    await Deno.chmod(directory, 0o755);
    addEventListener("unload", () => Deno.removeSync(directory, { recursive: true }));
  }
  const path = `${await folder}/${target}`;
  const flags = ["-O2", "-Wall", "-Wextra", "-Werror", "-pthread", ...more];
  const args = [...flags, "-o", path, `${root}/tests/tools/${name}.c`];
  const { success, output } = await run("gcc", args);
  if (!success) throw new Error(`Cannot compile ${name}.c: ${output}`);
  return path;
}
