// Loads the module under test, with or without a mistake.

import type { ModuleUnderTest } from "../program/session.ts";

/** The files of the module whose exports the simulator uses. */
const FILES = [
  "mod.ts",
  "src/configure.ts",
  "src/dma_file.ts",
  "src/file/program_end.ts",
  "src/engine/event_loop.ts",
];

const root = new URL("../../../", import.meta.url);

export interface Change {
  /** The path, relative to the root of the module. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** Loads the module with these changes, each of which must match exactly once; with `anew` another copy of it. */
export async function loadModule(changes: readonly Change[] = [], anew = changes.length > 0) {
  const made = new Map<string, Promise<string>>();
  /** A module with the changes, and so the modules that it imports, as the URL of a blob. */
  const changed = (href: string): Promise<string> => {
    let making = made.get(href);
    if (!making) made.set(href, making = change(href));
    return making;
  };
  const change = async (href: string) => {
    let text = await Deno.readTextFile(new URL(href));
    for (const { file, from, to } of changes) {
      if (new URL(file, root).href !== href) continue;
      if (text.split(from).length !== 2) throw new Error(`Not exactly once in ${file}: ${from}`);
      text = text.replace(from, () => to);
    }
    for (const [statement, path] of text.matchAll(/(?:from|import) "(\.\.?\/[^"]+)"/g)) {
      const imported = await changed(new URL(path!, href).href);
      text = text.replace(statement, () => statement.replace(path!, imported));
    }
    return URL.createObjectURL(new Blob([text], { type: "application/typescript" }));
  };
  const parts = [];
  for (const file of FILES) {
    const { href } = new URL(file, root);
    parts.push(await import(anew ? await changed(href) : href));
  }
  const module: ModuleUnderTest = Object.assign({}, ...parts);
  // The first load takes longer.
  await module.eventLoopTurn();
  return module;
}
