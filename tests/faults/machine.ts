// The requirements of fault tests. A test whose requirement is missing is registered as ignored, with the reason in its
// name.

import { exists, hasProgram, say } from "../setup/command.ts";
import { engineIsOfNoConcern } from "../support/once.ts";

/** Something that not every machine has. */
export type Need = "root" | "gcc" | "loop" | "fuse" | "ext4" | "xfs" | "btrfs" | "io_uring";

const checks: Record<Need, () => boolean> = {
  root: () => Deno.uid() === 0,
  gcc: () => hasProgram("gcc"),
  loop: () => hasProgram("losetup") && exists("/dev/loop-control"),
  fuse: () => exists("/dev/fuse"),
  ext4: () => hasProgram("mkfs.ext4"),
  xfs: () => hasProgram("mkfs.xfs"),
  btrfs: () => hasProgram("mkfs.btrfs"),
  io_uring: () => ringIsAllowed(),
};

const found = new Map<Need, boolean>();

function has(need: Need): boolean {
  if (!found.has(need)) found.set(need, checks[need]());
  return found.get(need)!;
}

/** Creates and closes a ring, without the module under test. */
function ringIsAllowed(): boolean {
  const symbols = {
    io_uring_queue_init: { parameters: ["u32", "buffer", "u32"], result: "i32" },
    io_uring_queue_exit: { parameters: ["buffer"], result: "void" },
  } as const;
  let liburing: Deno.DynamicLibrary<typeof symbols>;
  try {
    liburing = Deno.dlopen("liburing.so.2", symbols);
  } catch {
    return false;
  }
  const ring = new Uint8Array(4096);
  const made = liburing.symbols.io_uring_queue_init(8, ring, 0) >= 0;
  if (made) liburing.symbols.io_uring_queue_exit(ring);
  liburing.close();
  return made;
}

export function missing(needs: readonly Need[]): Need[] {
  return needs.filter((need) => !has(need));
}

const told = new Set<string>();

export interface FaultTestOptions extends Omit<Deno.TestDefinition, "name" | "fn"> {
  /** The requirements of the test. */
  needs?: readonly Need[];
  /** Whether the second run of the suite has it. @default {true} */
  bothEngines?: boolean;
}

/** Registers a test, as ignored if the machine lacks a requirement. */
export function faultTest(
  name: string,
  { needs = [], bothEngines = true, ...definition }: FaultTestOptions,
  fn: (t: Deno.TestContext) => void | Promise<void>,
): void {
  if (!bothEngines && !engineIsOfNoConcern) return;
  const lacking = missing(needs);
  const line = `Skipped for want of ${lacking.join(", ")}: tests of what needs it`;
  if (lacking.length > 0 && !told.has(line)) say(line);
  told.add(line);
  Deno.test({ ...definition, name, ignore: lacking.length > 0 || definition.ignore === true, fn });
}

/**
 * The engines for child processes: the one that the environment names, otherwise both. None in the second run of the
 * suite, because the first run had both.
 */
export const engines: readonly ("io_uring" | "threads")[] = (() => {
  if (!engineIsOfNoConcern) return [];
  const asked = Deno.env.get("DMA_ENGINE");
  if (asked === "io_uring" || asked === "threads") return [asked];
  return has("io_uring") ? ["io_uring", "threads"] : ["threads"];
})();

/** A new directory for all files of one test, on a disk if possible. */
export async function workDirectory(): Promise<string> {
  const parent = Deno.env.get("TMPDIR") ?? "/var/tmp";
  const path = await Deno.makeTempDir({ dir: Deno.realPathSync(parent), prefix: "fault-" });
  // Tests that drop root need access.
  await Deno.chmod(path, 0o755);
  return path;
}

/** Runs `fn` with a {@linkcode workDirectory}, which is removed afterwards. */
export async function inWorkDirectory<T>(fn: (path: string) => Promise<T>): Promise<T> {
  const path = await workDirectory();
  const directory = { [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
  return await whileUp(directory, () => fn(path));
}

/** As {@linkcode faultTest}, with a {@linkcode workDirectory}. */
export function folderTest(
  name: string,
  options: FaultTestOptions,
  fn: (folder: string) => Promise<void>,
): void {
  faultTest(name, options, () => inWorkDirectory(fn));
}

/**
 * Runs `fn` with a resource that is disposed afterwards. The test's own failure takes precedence over that of the
 * disposal.
 */
export async function whileUp<T extends AsyncDisposable, R>(
  thing: T,
  fn: (thing: T) => Promise<R>,
): Promise<R> {
  const result = await fn(thing).catch(async (error) => {
    await thing[Symbol.asyncDispose]().then(undefined, (reason) => console.error(reason));
    throw error;
  });
  await thing[Symbol.asyncDispose]();
  return result;
}
