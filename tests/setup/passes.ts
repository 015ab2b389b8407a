// The runs of `deno test` that make up the test suite.

import { readdirSync } from "node:fs";
import { dirname } from "node:path";
import { Errno } from "../../src/engine/linux.ts";
import { tool } from "../faults/tools.ts";
import { exists, root, say } from "./command.ts";

/** One run of `deno test` over the suite, or over a part of it. */
export interface Pass {
  readonly name: string;
  /** The arguments after `deno test -A`. */
  readonly args: readonly string[];
  /** The Deno that runs it; default the current one. */
  readonly deno?: string;
  /** The working directory; default the root of the project. */
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** A command that starts Deno under a restriction. */
  readonly wrapper?: readonly string[];
}

/** Tests of features that can differ in an older Deno: the public classes, permissions and the command line. */
const TESTS_OF_OLDEST = [
  ...["cli/cli", "engine/platforms", "file/file", "file/permissions", "file/random_access"],
  ...["reader/reader", "writer/node_streams", "writer/stream", "writer/writer"],
].map((name) => `tests/${name}_test.ts`);

/** Folders of tests that take longest, so that no long one is left for the end. The others follow. */
const LONGEST_FIRST = ["faults", "writer", "cli", "ffi", "engine", "docs", "reader", "file"]
  .map((name) => `tests/${name}`);

/** All passes: each folder with io_uring and without it, the oldest Deno that is accepted (its path), and the documentation. */
export async function allPasses(directory: string, oldest: string | undefined): Promise<Pass[]> {
  // io_uring is refused as by container runtimes, so that the module's own choice of the engine is tested too. Without a
  // compiler the engine is chosen instead. An empty DMA_ENGINE counts as unset.
  const refused = await tool("secc").then(
    (secc) => ({ wrapper: [secc, `${Errno.EPERM}`], engine: "" }),
    (error) => (say(`${error}`), { wrapper: [], engine: "threads" }),
  );
  const all = pathsIn("tests").filter((path) => path.endsWith("_test.ts")).map(dirname).sort();
  const folders = [...new Set([...LONGEST_FIRST, ...all])].map((path) => `${path}/`);
  return [
    ...folders.map((folder) => ({ name: folder, args: [folder] })),
    ...oldest === undefined ? [] : [{
      name: "oldest Deno",
      deno: oldest,
      // In Deno 2.8 `collectGarbage` cannot set the flag at run time.
      args: ["--v8-flags=--expose-gc", ...TESTS_OF_OLDEST],
      env: { DMA_TEST_DIRS: `${directory}/temp` },
    }],
    ...folders.map((folder): Pass => ({
      name: `${folder} without io_uring`,
      args: [folder],
      wrapper: refused.wrapper,
      // DMA_TEST_AGAIN leaves out the tests that do not depend on the engine.
      env: { DMA_ENGINE: refused.engine, DMA_TEST_AGAIN: "1" },
    })),
    {
      name: "documentation",
      // Examples name files without a directory. These must not be created in the checkout.
      cwd: `${directory}/temp`,
      args: ["--doc", "--config", `${root}/deno.json`, ...documented()],
    },
  ];
}

/** The paths of all files in a folder of the project. */
function pathsIn(folder: string): string[] {
  const paths = readdirSync(`${root}/${folder}`, { recursive: true, encoding: "utf8" });
  return paths.map((path) => `${folder}/${path}`);
}

/** The files whose examples are run: every page, and every module that is published. */
export function documented(): string[] {
  return [
    ...["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "mod.ts", "node.ts"],
    ...["bench/README.md", "bench/FINDINGS.md", "tests/README.md"],
    ...["docs", "src"].flatMap(pathsIn).filter((path) => /\.(md|ts)$/.test(path)),
  ].map((path) => `${root}/${path}`).filter(exists).sort();
}
