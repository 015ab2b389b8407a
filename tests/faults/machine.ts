// The requirements of fault tests. A test whose requirement is missing is registered as ignored, and a line names it.

import { exists, hasProgram, say } from "../setup/command.ts";
import { engineIsOfNoConcern, inFreshDirectory, oneDirectory } from "../support/dirs.ts";
import { FaultFileSystem } from "./fault_file_system.ts";

/** Requirements beside programs. */
const checks: Readonly<Record<string, () => boolean>> = {
  root: () => Deno.uid() === 0,
  loop: () => hasProgram("losetup") && exists("/dev/loop-control"),
  fuse: () => exists("/dev/fuse"),
  io_uring: () => ringIsAllowed,
};

/** Which of these programs and {@linkcode checks} this machine lacks. */
export function missing(needs: readonly string[]): string[] {
  return needs.filter((need) => !(checks[need] ?? (() => hasProgram(need)))());
}

/** Whether a ring can be created, without the module under test. */
const ringIsAllowed = (() => {
  try {
    const { symbols } = Deno.dlopen("liburing.so.2", {
      io_uring_queue_init: { parameters: ["u32", "buffer", "u32"], result: "i32" },
      io_uring_queue_exit: { parameters: ["buffer"], result: "void" },
    });
    const ring = new Uint8Array(4096);
    const isAllowed = symbols.io_uring_queue_init(8, ring, 0) >= 0;
    if (isAllowed) symbols.io_uring_queue_exit(ring);
    return isAllowed;
  } catch {
    return false;
  }
})();

const told = new Set<string>();

/** Registers a test with a directory of its own, as ignored if the machine lacks a requirement. */
export function folderTest(
  name: string,
  fn: (folder: string) => Promise<void>,
  needs: readonly string[] = [],
): void {
  const lacking = missing(needs);
  const line = `Skipped for want of ${lacking.join(", ")}: tests of what needs it`;
  if (lacking.length > 0 && !told.has(line)) say(line);
  told.add(line);
  const inOneDirectory = () => inFreshDirectory(oneDirectory, ({ path }) => fn(path));
  Deno.test({ name, ignore: lacking.length > 0, fn: inOneDirectory });
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
  return missing(["io_uring"]).length === 0 ? ["io_uring", "threads"] : ["threads"];
})();
