// Registers a test once, or once for each directory to test in, so that every file system is tested for the same promises.

import { assert } from "@std/assert";
import { mountOf } from "../setup/mounts.ts";
import { collectGarbage, descriptorTargets } from "./leaks.ts";
import { lacks } from "./needs.ts";

/** Whether this run registers the tests that do not depend on the engine. The second one, with io_uring refused, does not. */
export const engineIsOfNoConcern: boolean = !Deno.env.get("DMA_TEST_AGAIN");

export interface TestDirectory {
  readonly path: string;
  /** Its name in the names of tests, for example "ext4 4096". */
  readonly label: string;
  /** The kernel's name of the file system, for example "ext4". */
  readonly fileSystem: string;
  file(name: string): string;
}

/** Gets the directory of the test, and the path of a file in it that is not there yet. */
type TestBody = (directory: TestDirectory, path: string) => void | Promise<void>;

/** Settings of tests: those of `Deno.test`, and the programs and rights without which a test is ignored (needs.ts). */
interface TestOptions extends Omit<Deno.TestDefinition, "name" | "fn"> {
  needs?: readonly string[];
}

/** Settings of {@linkcode testInEachDirectory}, with a choice of directories. */
export interface TestInEachDirectoryOptions extends TestOptions {
  /** If it returns false, no test is registered for the directory, and none is counted as skipped. */
  where?: (directory: TestDirectory) => boolean;
  /** Whether the engine matters. If not, the second run of the suite leaves the test out. @default {true} */
  bothEngines?: boolean;
}

/** The two runs of the suite share the sector sizes of the images: each has every file system, with one of them. */
const LEFT_OUT: ReadonlySet<string> = new Set(
  engineIsOfNoConcern
    ? ["ext4 512", "xfs 4096", "btrfs 512"]
    : ["ext4 4096", "xfs 512", "btrfs 4096"],
);

/** The directories to test in: those of `DMA_TEST_DIRS`, else the one for temporary files. Each test makes its own in them. */
export const testDirectories: readonly TestDirectory[] = labelled(
  (Deno.env.get("DMA_TEST_DIRS") || Deno.env.get("TMPDIR") || "/tmp").split(",").filter(Boolean),
).filter(({ label }) => !LEFT_OUT.has(label));

/** Whether files in the directory are written past the page cache, in whole blocks. */
export function hasDirectIo({ fileSystem }: TestDirectory): boolean {
  return fileSystem !== "tmpfs";
}

/** Whether files in the directory are on a disk, in a file system that writes them where they stay. */
export function isOnDisk({ fileSystem }: TestDirectory): boolean {
  return fileSystem === "ext4" || fileSystem === "xfs";
}

/** For behaviour that does not depend on the directory. Below /dev Deno opens files only with all permissions. */
export const oneDirectory: TestDirectory = [...testDirectories, ...labelled(["/tmp"])]
  .find(({ path }) => !path.startsWith("/dev/"))!;
const onePast = testDirectories.find(hasDirectIo);
const oneThrough = testDirectories.find((directory) => !hasDirectIo(directory));

/** Registers a test for each directory, for what depends on the file system. It has a fresh directory, removed afterwards. */
export function testInEachDirectory(
  name: string,
  fn: TestBody,
  options: TestInEachDirectoryOptions = {},
  parents = testDirectories,
): void {
  const { where = () => true, bothEngines = true, ...more } = options;
  if (!bothEngines && !engineIsOfNoConcern) return;
  for (const parent of parents.filter(where)) {
    register(`${name} [${parent.label}]`, () => inFreshDirectory(parent, fn), more);
  }
}

type Registration = Parameters<typeof testInEachDirectory>;

/** Like {@linkcode testInEachDirectory}, in one directory with Direct I/O and one without: for what depends on blocks only. */
export function testDirectAndCached(...[name, fn, options = {}]: Registration): void {
  const where = (directory: TestDirectory) =>
    (directory === onePast || directory === oneThrough) && options.where?.(directory) !== false;
  testInEachDirectory(name, fn, { ...options, where });
}

/** Like {@linkcode testInEachDirectory}, but in {@linkcode oneDirectory}. */
export function testInOneDirectory(...[name, fn, options]: Registration): void {
  testInEachDirectory(name, fn, options, [oneDirectory]);
}

/** Registers a test that does not depend on the engine, and needs no directory. */
export function testOnce(name: string, fn: () => void | Promise<void>, options?: TestOptions) {
  if (engineIsOfNoConcern) register(name, fn, options);
}

function register(name: string, fn: () => void | Promise<void>, options: TestOptions = {}): void {
  const { needs = [], ignore = lacks(...needs), ...definition } = options;
  Deno.test({ ...definition, name, fn, ignore });
}

/** Runs `fn` with a fresh directory below `parent`, and removes it whatever happens. */
export async function inFreshDirectory(parent: TestDirectory, fn: TestBody): Promise<void> {
  const path = await Deno.makeTempDir({ dir: parent.path, prefix: "t-" });
  // Tests that drop root need access.
  await Deno.chmod(path, 0o755);
  try {
    await fn(testDirectory(path, parent.label, parent.fileSystem), `${path}/file`);
  } catch (caught) {
    await Deno.remove(path, { recursive: true }).catch(() => {});
    // The test's own failure takes precedence over those of disposals.
    let error = caught;
    for (; error instanceof SuppressedError; error = error.suppressed) console.error(error.error);
    throw error;
  }
  await assertLetGo(path);
  await Deno.remove(path, { recursive: true });
}

/** Registers one test for each pair of directories: `fn` goes from a fresh directory in one to one in the other. */
export function testPairs(
  name: string,
  fn: (from: TestDirectory, to: TestDirectory) => Promise<void>,
): void {
  for (const from of testDirectories) {
    for (const to of testDirectories.filter((directory) => directory !== from)) {
      Deno.test(`${name} from ${from.label} to ${to.label}`, async () => {
        await inFreshDirectory(from, (from) => inFreshDirectory(to, (to) => fn(from, to)));
      });
    }
  }
}

/** Throws if a descriptor of this process leads to the directory, or into it, when a test has ended. */
async function assertLetGo(path: string): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (descriptorTargets(path).length > 0) {
    assert(performance.now() < deadline, `Descriptors are left: ${descriptorTargets(path)}`);
    // A dropped file is closed when it is collected.
    await collectGarbage();
  }
}

function testDirectory(path: string, label: string, fileSystem: string): TestDirectory {
  return { path, label, fileSystem, file: (name) => `${path}/${name}` };
}

function labelled(paths: string[]): TestDirectory[] {
  const seen = new Set<string>();
  return paths.map((given) => {
    const path = Deno.realPathSync(given);
    const { mountPoint, type: fileSystem } = mountOf(path);
    const folder = mountPoint.slice(mountPoint.lastIndexOf("/") + 1);
    // The folder of an image has its file system and sector size as its name: ext4-512.
    let label = folder.startsWith(fileSystem) ? folder.replaceAll("-", " ") : fileSystem;
    if (seen.has(label)) label += ` ${path}`;
    seen.add(label);
    return testDirectory(path, label, fileSystem);
  });
}
