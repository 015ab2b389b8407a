// Makes the first file system in memory that an emulated machine starts from, with the kernel's drivers in it.

import { readdirSync } from "node:fs";
import { basename } from "node:path";
import { runOrThrow } from "./command.ts";

/** The paths of the kernel's drivers below a folder, by their names. */
function findModules(folder: string): Map<string, string> {
  const paths = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((path) => /\.ko(\.xz)?$/.test(path));
  return new Map(paths.map((path) => [basename(path).split(".ko")[0]!, `${folder}/${path}`]));
}

function readModule(path: string): Uint8Array<ArrayBuffer> {
  if (!path.endsWith(".xz")) return Deno.readFileSync(path);
  const { success, stdout } = new Deno.Command("xz", { args: ["-dc", path] }).outputSync();
  if (!success) throw new Error(`Cannot unpack ${path}`);
  return stdout;
}

/** The drivers, and before each what it depends on. One that is not there is built in. */
function inOrder(modules: Map<string, string>, drivers: readonly string[]): string[] {
  const order = new Set<string>();
  const add = (name: string) => {
    if (order.has(name)) return;
    const path = modules.get(name);
    if (path === undefined) return;
    const text = new TextDecoder("latin1").decode(readModule(path));
    for (const needed of /\0depends=([^\0]*)/.exec(text)?.[1]?.split(",") ?? []) add(needed);
    order.add(name);
  };
  drivers.forEach(add);
  return [...order];
}

/** Packs a folder as the kernel unpacks it, by cpio(1). */
export async function pack(folder: string, path: string): Promise<void> {
  const script = 'cd "$0"; find . | cpio --quiet --create --format=newc --owner=0:0 >"$1"';
  await runOrThrow("sh", ["-ec", script, folder, path]);
}

/** Puts drivers, and what they depend on, into the folder `modules`. Returns their names in the order to load them. */
export function copyModules(from: string, drivers: readonly string[], folder: string): string[] {
  const modules = findModules(from);
  const order = inOrder(modules, drivers);
  for (const name of order) {
    Deno.writeFileSync(`${folder}/modules/${name}.ko`, readModule(modules.get(name)!));
  }
  return order;
}
