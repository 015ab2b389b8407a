// The checks of `deno task check`, which do not run the code.

import { fileURLToPath } from "node:url";
import { exists } from "./setup/command.ts";
import { importMapArguments } from "./setup/import_map.ts";
import { documented } from "./setup/passes.ts";

const root = fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, "");

/** The public modules, as in deno.json's exports. */
const modules = ["mod.ts", "node.ts", "cli.ts"];

/** The other modules with types. */
const folders = ["tests", "examples", "bench", "demo", "ffi"];

/** Runs one check, and shows its output. */
async function check(args: readonly string[]): Promise<boolean> {
  const shown = args.filter((arg) => !arg.startsWith("--import-map="));
  console.log(`# deno ${shown.join(" ")}`);
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

/** The circles of imports, each as a list of paths. Of circles that share a module only one is found. */
async function circles(): Promise<string[][]> {
  const imports = await allImports();
  const done = new Set<string>();
  const found: string[][] = [];
  const visit = (path: string, way: readonly string[]): void => {
    const at = way.indexOf(path);
    if (at >= 0) found.push([...way.slice(at), path]);
    if (at >= 0 || done.has(path)) return;
    for (const imported of imports.get(path) ?? []) visit(imported, [...way, path]);
    done.add(path);
  };
  for (const path of imports.keys()) visit(path, []);
  return found;
}

async function main(): Promise<boolean> {
  const failed: string[] = [];
  const imports = await importMapArguments(root);
  const checks: [name: string, ...args: string[]][] = [
    ["formatting", "fmt", "--check"],
    ["lint", "lint"],
    ["types", "check", "--quiet", ...imports, ...modules, ...folders.filter(exists)],
    ["types of examples", "check", "--quiet", "--doc", ...imports, ...documented(root)],
    ["documentation", "doc", "--lint", ...modules],
    ["publishing", "publish", "--dry-run", "--allow-dirty"],
  ];
  for (const [name, ...args] of checks) {
    if (!await check(args)) failed.push(name);
  }
  console.log("# import circles, types included");
  const found = await circles();
  for (const circle of found) console.log(circle.join(" -> "));
  if (found.length > 0) failed.push("import circles");
  console.log(failed.length === 0 ? "All checks passed" : `Failed: ${failed.join(", ")}`);
  return failed.length === 0;
}

if (import.meta.main) Deno.exit(await main() ? 0 : 1);
