// Copies of the module, unchanged or with a replaced part: for accounts that cannot read the checkout, and for mutants
// that show that a test can fail.

import { fileURLToPath } from "node:url";
import { runOrThrow } from "../setup/command.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const parts = [
  "mod.ts",
  "deno.json",
  "src",
  "ffi",
  "tests/faults",
  "tests/simulator/random.ts",
  "tests/support",
];

/** One change of a file's text. */
export interface Replacement {
  /** The path, relative to the root of the module. */
  file: string;
  from: string;
  to: string;
}

/** Copies the module, and the programs that tests run, to the new folder `target`, which it resolves to. */
export async function copyModule(target: string, replacement?: Replacement): Promise<string> {
  await Deno.mkdir(target);
  await runOrThrow("cp", ["-r", "--parents", ...parts, target], { cwd: root });
  if (replacement) {
    const path = `${target}/${replacement.file}`;
    const [before, after, ...more] = (await Deno.readTextFile(path)).split(replacement.from);
    // An unchanged mutant would test nothing.
    if (after === undefined || more.length > 0) throw new Error(`Not once: ${replacement.from}`);
    await Deno.writeTextFile(path, before + replacement.to + after);
  }
  return target;
}
