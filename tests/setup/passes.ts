// The runs of `deno test` that make up the test suite. Runs each one and counts its tests.

import { tool as compile } from "../faults/tools.ts";
import { exists, say, searchPath } from "./command.ts";

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
  /** A program `tests/tools/<name>.c` that starts Deno under a restriction, and its arguments. */
  readonly wrapper?: readonly [tool: string, ...args: string[]];
  /** Variables with a similar effect, if that program cannot be compiled. */
  readonly insteadOfWrapper?: Readonly<Record<string, string>>;
  /** After this many minutes the run is stopped, and counts as failed. */
  readonly minutes: number;
}

/** The number of tests by outcome. */
export interface Tally {
  passed: number;
  failed: number;
  skipped: number;
}

/** The settings that all passes share. */
export interface Surroundings {
  readonly root: string;
  readonly workDirectory: string;
  readonly env: Readonly<Record<string, string>>;
  /** Arguments that make imports resolve. */
  readonly importArguments: readonly string[];
  readonly signal: AbortSignal;
}

const EPERM = 1;

/** Tests of features that can differ in an older Deno: the public classes, permissions and the command line. */
const TESTS_OF_OLDEST = [
  "tests/cli/cli_test.ts",
  "tests/engine/versions_test.ts",
  "tests/file/file_test.ts",
  "tests/file/permissions_test.ts",
  "tests/file/random_access_test.ts",
  "tests/reader/reader_test.ts",
  "tests/writer/node_streams_test.ts",
  "tests/writer/stream_test.ts",
  "tests/writer/writer_test.ts",
];

/** Folders of tests that take longest, so that no long one is left for the end. The others follow. */
const LONGEST_FIRST = ["faults", "writer", "cli", "ffi", "engine", "docs", "reader", "file"];

/**
 * The passes of a whole run: each folder of tests with io_uring and without it, the oldest Deno, and the documentation.
 * `oldest` is the path of the oldest Deno that the module accepts.
 */
export function allPasses(
  root: string,
  workDirectory: string,
  oldest: string | undefined,
): Pass[] {
  const others = [...Deno.readDirSync(`${root}/tests`)].map(({ name }) => name)
    .filter((name) => !LONGEST_FIRST.includes(name) && hasTests(`${root}/tests/${name}`));
  const folders = [...LONGEST_FIRST, ...others.sort()].map((name) => `tests/${name}/`);
  return [
    ...folders.map((folder) => ({ name: folder, args: [folder], minutes: 12 })),
    ...oldest === undefined ? [] : [{
      name: "oldest Deno",
      deno: oldest,
      // In Deno 2.8 `collectGarbage` cannot set the flag at run time.
      args: ["--v8-flags=--expose-gc", ...TESTS_OF_OLDEST],
      env: { DMA_TEST_DIRS: `${workDirectory}/temp` },
      minutes: 3,
    }],
    ...folders.map((folder): Pass => ({
      name: `${folder} without io_uring`,
      args: [folder],
      // io_uring is refused as by container runtimes, so that the module's own choice of the engine is tested too.
      wrapper: ["secc", String(EPERM)],
      insteadOfWrapper: { DMA_ENGINE: "threads" },
      // DMA_TEST_AGAIN leaves out the tests that do not depend on the engine. An empty DMA_ENGINE counts as unset.
      env: { DMA_ENGINE: "", DMA_TEST_AGAIN: "1" },
      minutes: 12,
    })),
    {
      name: "documentation",
      // Examples name files without a directory. These must not be created in the checkout.
      cwd: `${workDirectory}/temp`,
      args: ["--doc", "--config", `${root}/deno.json`, ...documented(root)],
      minutes: 3,
    },
  ];
}

function hasTests(directory: string): boolean {
  try {
    return [...Deno.readDirSync(directory)].some(({ name }) => name.endsWith("_test.ts"));
  } catch {
    return false;
  }
}

/** The files whose examples are run: every page, and every module that is published. */
export function documented(root: string): string[] {
  const files = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "bench/README.md",
    "bench/FINDINGS.md",
    "tests/README.md",
    "mod.ts",
  ].map((name) => `${root}/${name}`).filter(exists);
  for (const { name } of Deno.readDirSync(`${root}/docs`)) {
    if (name.endsWith(".md")) files.push(`${root}/docs/${name}`);
  }
  const visit = (directory: string) => {
    for (const entry of Deno.readDirSync(directory)) {
      const path = `${directory}/${entry.name}`;
      if (entry.isDirectory) visit(path);
      else if (/(?<!_test)\.ts$/.test(entry.name)) files.push(path);
    }
  };
  visit(`${root}/src`);
  return files.sort();
}

/** Receives the events of a running pass. */
export interface PassListener {
  output(bytes: Uint8Array): void;
  failed(test: string): void;
}

/** Runs one pass. Resolves to the counts of Deno's last summary. */
export async function runPass(
  pass: Pass,
  surroundings: Surroundings,
  listener: PassListener,
): Promise<Tally> {
  const { root, importArguments, signal } = surroundings;
  const tell = (line: string) => listener.output(new TextEncoder().encode(`# ${line}\n`));
  let wrapper: string[] = [];
  let instead: Readonly<Record<string, string>> = {};
  if (pass.wrapper) {
    const [tool, ...args] = pass.wrapper;
    try {
      wrapper = [await compile(tool), ...args];
    } catch (error) {
      say(`${error}`);
      instead = pass.insteadOfWrapper ?? {};
    }
  }
  // `deno task check` checks the types. Here one wrong type would prevent all tests of the pass.
  const deno = [
    pass.deno ?? Deno.execPath(),
    "test",
    "-A",
    "--no-check",
    ...importArguments,
    ...pass.args,
  ];
  const [program = "", ...args] = [...wrapper, ...deno];
  tell(`Pass ${pass.name}`);
  const deadline = AbortSignal.timeout(pass.minutes * 60_000);
  const child = new Deno.Command(program, {
    args,
    cwd: pass.cwd ?? root,
    env: { ...colour(), PATH: searchPath, ...surroundings.env, ...pass.env, ...instead },
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const stopping = AbortSignal.any([signal, deadline]);
  let hard: ReturnType<typeof setTimeout> | undefined;
  const stop = () => {
    child.kill("SIGTERM");
    // A test that blocks the event loop does not react to SIGTERM.
    hard = setTimeout(() => child.kill("SIGKILL"), 5_000);
  };
  stopping.addEventListener("abort", stop);
  if (stopping.aborted) stop();
  const [counted, status] = await Promise.all([showAndCount(child.stdout, listener), child.status]);
  stopping.removeEventListener("abort", stop);
  clearTimeout(hard);
  if (deadline.aborted && !signal.aborted) {
    tell(`Pass ${pass.name} was stopped after ${pass.minutes.toFixed(1)} minutes`);
  }
  const { ended, summary } = counted;
  const tally = summary ?? ended;
  if ((!status.success || !summary) && tally.failed === 0) {
    tell(`Pass ${pass.name} ended with ${status.signal ?? `exit code ${status.code}`}`);
    tally.failed = 1;
  }
  return tally;
}

/** Variables that turn colours on or off, because Deno's output is a pipe here. */
function colour(): Record<string, string> {
  if (Deno.noColor) return {};
  return Deno.stdout.isTerminal() ? { FORCE_COLOR: "1" } : { NO_COLOR: "1" };
}

interface Counted {
  /** The tests that ended, counted one by one. */
  readonly ended: Tally;
  /** The summary of `deno test`, which comes last; undefined if the pass was stopped. */
  summary: Tally | undefined;
}

/** Passes the output to the listener, and counts the tests in it. */
async function showAndCount(
  stream: ReadableStream<Uint8Array>,
  listener: PassListener,
): Promise<Counted> {
  const decoder = new TextDecoder();
  const counted: Counted = { ended: { passed: 0, failed: 0, skipped: 0 }, summary: undefined };
  let unread = "";
  for await (const chunk of stream) {
    listener.output(chunk);
    const lines = (unread + decoder.decode(chunk, { stream: true })).split("\n");
    unread = lines.pop()!;
    for (const line of lines) countLine(line, counted, listener);
  }
  countLine(unread, counted, listener);
  return counted;
}

const ENDED = /^(.*) \.\.\. (ok|FAILED|ignored) /;
const STEPS = String.raw`(?: \(\d+ steps?\))?`;
const SUMMARY = new RegExp(
  String.raw`^(?:ok|FAILED) \| (\d+) passed${STEPS} \| (\d+) failed${STEPS}(?: \| (\d+) ignored)?`,
);

function countLine(coloured: string, counted: Counted, listener: PassListener): void {
  // deno-lint-ignore no-control-regex
  const line = coloured.replace(/\x1b\[[0-9;]*m/g, "");
  const [, test = "", how] = ENDED.exec(line) ?? [];
  if (how === "ok") counted.ended.passed++;
  else if (how === "FAILED") {
    counted.ended.failed++;
    listener.failed(test);
  } else if (how === "ignored") counted.ended.skipped++;
  const summary = SUMMARY.exec(line);
  if (!summary) return;
  const [passed = 0, failed = 0, skipped = 0] = summary.slice(1).map((count) => Number(count ?? 0));
  counted.summary = { passed, failed, skipped };
}
