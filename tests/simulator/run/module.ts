// Loads the module under test, with or without a mistake.

import type { substituteEngine } from "../../../src/configure.ts";
import type { ModuleUnderTest } from "../program/session.ts";

const root = new URL("../../../", import.meta.url);

/** One change of a file's text. */
export interface Change {
  /** The path, relative to the root of the module. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** The module, and the function that replaces its engine. */
export interface LoadedModule extends ModuleUnderTest {
  readonly substituteEngine: typeof substituteEngine;
}

/** Loads the module with these changes, each of which must match exactly once; with `anew` another copy of it. */
export async function loadModule(
  changes: readonly Change[] = [],
  anew: boolean = changes.length > 0,
): Promise<LoadedModule> {
  const made = new Map<string, Promise<string>>();
  const url = (path: string) => {
    const { href } = new URL(path, root);
    return anew ? changed(href, changes, made) : Promise.resolve(href);
  };
  const publicModule = await import(await url("mod.ts"));
  const { substituteEngine } = await import(await url("src/configure.ts"));
  const { descriptorNumber } = await import(await url("src/dma_file.ts"));
  const programEnd = await import(await url("src/file/program_end.ts"));
  const { eventLoopTurn } = await import(await url("src/engine/event_loop.ts"));
  // The first load takes longer.
  await eventLoopTurn();
  return { ...publicModule, ...programEnd, descriptorNumber, substituteEngine };
}

/** A module as the URL of a blob, with the changes, and so the modules that it imports. */
function changed(
  href: string,
  changes: readonly Change[],
  made: Map<string, Promise<string>>,
): Promise<string> {
  let making = made.get(href);
  if (!making) made.set(href, making = change(href, changes, made));
  return making;
}

async function change(
  href: string,
  changes: readonly Change[],
  made: Map<string, Promise<string>>,
): Promise<string> {
  let text = await Deno.readTextFile(new URL(href));
  for (const { file, from, to } of changes) {
    if (new URL(file, root).href !== href) continue;
    if (text.split(from).length !== 2) throw new Error(`Not exactly once in ${file}: ${from}`);
    text = text.replace(from, () => to);
  }
  for (const [statement, path] of text.matchAll(/(?:from|import) "(\.\.?\/[^"]+)"/g)) {
    const imported = await changed(new URL(path!, href).href, changes, made);
    text = text.replace(statement, () => statement.replace(path!, imported));
  }
  return URL.createObjectURL(new Blob([text], { type: "application/typescript" }));
}
