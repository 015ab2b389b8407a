// Copies of the module, as they are or with a piece of their text replaced: for accounts that cannot read the
// checkout, and for mutants that show that a test can fail.

import { fileURLToPath } from "node:url";
import { runOrThrow } from "../setup/command.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
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
export async function copyModule(target: string, replacement?: Replacement): Promise<string> {
  await Deno.mkdir(target);
  await runOrThrow("cp", ["-r", "--parents", ...parts, target], { cwd: root });
  if (replacement) {
    const path = `${target}/${replacement.file}`;
    const [before, after, ...more] = (await Deno.readTextFile(path)).split(replacement.from);
    // A mutant that is none would make a test of nothing.
    if (after === undefined || more.length > 0) throw new Error(`Not once: ${replacement.from}`);
    await Deno.writeTextFile(path, before + replacement.to + after);
  }
  return target;
}
