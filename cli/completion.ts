// Completion for shells, generated from the tree of commands, so that it is never out of date.
import type { Command } from "npm:commander@14.0.3";
import { bashScript } from "./completion_bash.ts";
import { fishScript } from "./completion_fish.ts";
import { type Completable, completables } from "./completion_tree.ts";
import { zshScript } from "./completion_zsh.ts";

const SCRIPTS: Record<string, (name: string, commands: Completable[]) => string[]> = {
  bash: bashScript,
  zsh: zshScript,
  fish: fishScript,
};

export const SHELLS: readonly string[] = Object.keys(SCRIPTS);

/** The script for one of {@linkcode SHELLS}. The command line is installed as `name`. */
export function completion(root: Command, shell: string, name: string): string {
  return SCRIPTS[shell]!(name, completables(root)).join("\n");
}
