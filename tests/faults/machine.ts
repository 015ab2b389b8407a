// Registers fault tests, with what they need of the machine.

import { engineIsOfNoConcern, inFreshDirectory, oneDirectory } from "../support/dirs.ts";
import { lacks } from "../support/needs.ts";
import { FaultFileSystem } from "./fault_file_system.ts";

/** Registers a test with a directory of its own, as ignored if the machine lacks a need. */
export function folderTest(
  name: string,
  fn: (folder: string) => Promise<void>,
  needs: readonly string[] = [],
): void {
  const inOneDirectory = () => inFreshDirectory(oneDirectory, ({ path }) => fn(path));
  Deno.test({ name, ignore: lacks(...needs), fn: inOneDirectory });
}

/** Registers a {@linkcode folderTest} on a {@linkcode FaultFileSystem} with these flags. */
export function serverTest(
  name: string,
  fn: (server: FaultFileSystem) => Promise<void>,
  flags: readonly string[] = [],
): void {
  folderTest(name, async (directory) => {
    await using server = await FaultFileSystem.open(directory, flags);
    await fn(server);
  }, ["root", "gcc", "fuse"]);
}

/** Registers a {@linkcode folderTest} for each of the {@linkcode engines}. */
export function engineTest(
  name: string,
  fn: (folder: string, engine: (typeof engines)[number]) => Promise<void>,
  needs?: readonly string[],
): void {
  for (const engine of engines) {
    folderTest(`${name} [${engine}]`, (folder) => fn(folder, engine), needs);
  }
}

/** The engines for child processes: both unless the environment names one, and none in the second run of the suite. */
export const engines: readonly ("io_uring" | "threads")[] = (() => {
  if (!engineIsOfNoConcern) return [];
  const asked = Deno.env.get("DMA_ENGINE");
  if (asked === "io_uring" || asked === "threads") return [asked];
  return lacks("io_uring") ? ["threads"] : ["io_uring", "threads"];
})();
