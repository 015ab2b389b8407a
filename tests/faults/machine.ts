// What a fault test needs of the machine, and what happens to it where that is missing: it is registered as
// ignored, which counts as skipped, and says why.

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

/** Makes a ring and takes it down again, without the module that is tested. */
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
  /** What the test cannot do without. */
  needs?: readonly Need[];
  /** Whether the second run of the suite has it. @default {true} */
  bothEngines?: boolean;
}

/** Registers a test; as ignored, where the machine lacks something that it needs. */
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
 * The engines to run child processes on: the one that the environment asks for, else both. None in the second run of the suite,
 * as the first had both.
 */
export const engines: readonly ("io_uring" | "threads")[] = (() => {
  if (!engineIsOfNoConcern) return [];
  const asked = Deno.env.get("DMA_ENGINE");
  if (asked === "io_uring" || asked === "threads") return [asked];
  return has("io_uring") ? ["io_uring", "threads"] : ["threads"];
})();

/** A fresh directory for everything that one test makes, on a disk where there is a choice. */
export async function workDirectory(): Promise<string> {
  const parent = Deno.env.get("TMPDIR") ?? "/var/tmp";
  const path = await Deno.makeTempDir({ dir: Deno.realPathSync(parent), prefix: "fault-" });
  // Tests that drop root must get in.
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

/** Runs `fn` with something that is disposed of afterwards. A test's own failure says more than what it broke. */
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
