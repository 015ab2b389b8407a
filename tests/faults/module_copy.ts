// Copies of the module, as they are or with a piece of their text replaced: for accounts that cannot read the
// checkout, and for mutants that show that a test can fail.

const root = new URL("../../", import.meta.url).pathname;
const parts = [
  "mod.ts",
  "deno.json",
  "src",
  "ffi",
  "tests/faults/programs",
  "tests/faults/content.ts",
  "tests/faults/scenarios.ts",
  "tests/faults/written.ts",
  "tests/simulator/random.ts",
  "tests/support/descriptors.ts",
];

/** One change of a file's text. */
export interface Replacement {
  /** From the root of the module. */
  file: string;
  from: string;
  to: string;
}

/** Copies the module, and the programs that tests run, to the new folder `target`, which it resolves to. */
export async function copyModule(
  target: string,
  replacements: readonly Replacement[] = [],
): Promise<string> {
  for (const part of parts) await copy(`${root}${part}`, `${target}/${part}`);
  for (const { file, from, to } of replacements) {
    const path = `${target}/${file}`;
    const text = await Deno.readTextFile(path);
    // A mutant that is none would make a test of nothing.
    if (text.split(from).length !== 2) {
      throw new Error(`${file} does not have exactly one: ${from}`);
    }
    await Deno.writeTextFile(path, text.replace(from, () => to));
  }
  return target;
}

async function copy(source: string, target: string): Promise<void> {
  await Deno.mkdir(target.slice(0, target.lastIndexOf("/")), { recursive: true });
  if (!(await Deno.stat(source)).isDirectory) return await Deno.copyFile(source, target);
  await Deno.mkdir(target, { recursive: true });
  for await (const { name } of Deno.readDir(source)) {
    await copy(`${source}/${name}`, `${target}/${name}`);
  }
}
