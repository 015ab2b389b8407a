// Finds circles of imports among the modules that ship, imports of types included.

type Imports = ReadonlyMap<string, readonly string[]>;

/** Every module that is reached from `entries` by relative imports, as paths below `root`. */
async function importsFrom(root: string, entries: readonly string[]): Promise<Imports> {
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
  for (const entry of entries) await visit(entry);
  return imports;
}

/** The circles of imports, each as a list of paths. Of circles that share a module only one is found. */
export async function circles(root: string, entries: readonly string[]): Promise<string[][]> {
  const imports = await importsFrom(root, entries);
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
