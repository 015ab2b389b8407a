// The checks of `deno task check`, which do not run the code.

import { exists, root, say } from "./setup/command.ts";
import { importMapArguments } from "./setup/import_map.ts";
import { documented } from "./setup/passes.ts";

/** The public modules, as in deno.json's exports. */
const modules = ["mod.ts", "node.ts", "cli.ts"];

const folders = ["tests", "examples", "bench", "demo", "ffi"];

async function check(args: readonly string[]): Promise<boolean> {
  say(`deno ${args.filter((arg) => !arg.startsWith("--import-map=")).join(" ")}`);
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd: root,
    stdin: "null",
    stdout: "inherit",
    stderr: "inherit",
  }).spawn().status;
  return success;
}

/** The relative imports of every module that is reached from the public ones, types included. */
async function allImports(): Promise<ReadonlyMap<string, readonly string[]>> {
  const imports = new Map<string, string[]>();
  const visit = async (path: string): Promise<void> => {
    if (imports.has(path)) return;
    const found: string[] = [];
    imports.set(path, found);
    const text = await Deno.readTextFile(`${root}/${path}`);
    for (const [, specifier] of text.matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+)"/g)) {
      const { pathname } = new URL(specifier!, `file:///${path}`);
      found.push(pathname.slice(1));
    }
    for (const imported of found) await visit(imported);
  };
  for (const module of modules) await visit(module);
  return imports;
}

/** The modules in circles of imports, and those that lead to one: what is left without modules that import none of the rest. */
async function circles(): Promise<string[]> {
  const left = new Map(await allImports());
  for (let before = -1; before !== left.size;) {
    before = left.size;
    for (const [path, imports] of left) {
      if (!imports.some((imported) => left.has(imported))) left.delete(path);
    }
  }
  return [...left.keys()];
}

async function main(): Promise<boolean> {
  const failed: string[] = [];
  const imports = await importMapArguments();
  const checks: [name: string, ...args: string[]][] = [
    ["formatting", "fmt", "--check"],
    ["lint", "lint"],
    ["types", "check", "--quiet", ...imports, ...modules, ...folders.filter(exists)],
    ["types of examples", "check", "--quiet", "--doc", ...imports, ...documented()],
    ["documentation", "doc", "--lint", ...modules],
    ["publishing", "publish", "--dry-run", "--allow-dirty"],
  ];
  for (const [name, ...args] of checks) if (!await check(args)) failed.push(name);
  say("import circles, types included");
  const found = await circles();
  for (const path of found) console.log(path);
  if (found.length > 0) failed.push("import circles");
  console.log(failed.length === 0 ? "All checks passed" : `Failed: ${failed.join(", ")}`);
  return failed.length === 0;
}

if (import.meta.main) Deno.exit(await main() ? 0 : 1);
