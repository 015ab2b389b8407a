// The runs of `deno test` that make up the test suite, and how each is run and counted.

import { run, say, searchPath } from "./command.ts";

/** One run of `deno test` over the suite, or over a part of it. */
export interface Pass {
  readonly name: string;
  /** What follows `deno test -A`. */
  readonly args: readonly string[];
  /** The Deno that runs it, default the one at work. */
  readonly deno?: string;
  /** Where to run it, default the root of the project. */
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /**
   * The name of a program of ours, `tests/tools/<name>.c`, and arguments: it starts Deno under some
   * restriction.
   */
  readonly wrapper?: readonly [tool: string, ...args: string[]];
  /** What has the same effect, more or less, where that program cannot be compiled. */
  readonly insteadOfWrapper?: Readonly<Record<string, string>>;
  /** After this many minutes the run is stopped, and counts as failed. */
  readonly minutes: number;
}

/** How many tests ended in which way. */
export interface Tally {
  passed: number;
  failed: number;
  skipped: number;
}

/** Everything a pass needs from the machine around it. */
export interface Surroundings {
  readonly root: string;
  readonly workDirectory: string;
  readonly env: Readonly<Record<string, string>>;
  /** Arguments that make imports resolve. */
  readonly importArguments: readonly string[];
  readonly signal: AbortSignal;
}

const EPERM = 1;

/** What an older Deno could do in another way: the calls of each public class, permissions and the command line. */
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
 * The passes of a whole run: each folder of tests on io_uring and without it, and what else there
 * is to run. `oldest` is the oldest Deno that the module accepts.
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
      // In 2.8 the flag cannot be set later, as `collectGarbage` does.
      args: ["--v8-flags=--expose-gc", ...TESTS_OF_OLDEST],
      env: { DMA_TEST_DIRS: `${workDirectory}/temp` },
      minutes: 3,
    }],
    ...folders.map((folder): Pass => ({
      name: `${folder} without io_uring`,
      args: [folder],
      // Refused for real, as container runtimes do: what the module then chooses is tested along with the rest.
      wrapper: ["secc", String(EPERM)],
      insteadOfWrapper: { DMA_ENGINE: "threads" },
      // Keeps out what the first pass had, and what has nothing to do with the engine.
      env: { DMA_ENGINE: "", DMA_TEST_AGAIN: "1" },
      minutes: 12,
    })),
    {
      name: "documentation",
      // Examples name files without a directory, as a reader would: they must not land in the
      // checkout.
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
  ].map((name) => `${root}/${name}`).filter(isFile);
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

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

/** Is told of a pass while it runs. */
export interface PassListener {
  /** It printed this. */
  output(bytes: Uint8Array): void;
  /** A test has failed. */
  failed(test: string): void;
}

/** Runs one pass, and counts what Deno's last summary says. */
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
    const path = await buildTool(tool, surroundings);
    if (path !== undefined) wrapper = [path, ...args];
    else instead = pass.insteadOfWrapper ?? {};
  }
  // Types are the business of `deno task check`: here one wrong type would hide every test.
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
    // A test that never gives the event loop back is deaf to it.
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

/** Deno colours for a terminal, but sees a pipe here. */
function colour(): Record<string, string> {
  if (Deno.noColor) return {};
  return Deno.stdout.isTerminal() ? { FORCE_COLOR: "1" } : { NO_COLOR: "1" };
}

/** What `deno test` said. */
interface Counted {
  /** The tests that ended, counted one by one. */
  readonly ended: Tally;
  /** Its own count, which comes last: none where it was stopped. */
  summary: Tally | undefined;
}

/** Hands everything on, and counts. */
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

/** Compiles a program of ours with gcc; undefined where that cannot be done. */
async function buildTool(
  name: string,
  { root, workDirectory, signal }: Surroundings,
): Promise<string | undefined> {
  const path = `${workDirectory}/${name}`;
  const source = `${root}/tests/tools/${name}.c`;
  const { success, output } = await run("gcc", ["-O2", "-o", path, source], { signal });
  if (success) return path;
  say(`tests/tools/${name}.c cannot be compiled: ${output.split("\n")[0]}`);
  return undefined;
}
