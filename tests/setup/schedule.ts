// Runs passes, two at once if the machine has two processors, and counts their tests.

import { tool as compile } from "../faults/tools.ts";
import { say, searchPath } from "./command.ts";
import type { Pass } from "./passes.ts";

export interface Tally {
  passed: number;
  failed: number;
  skipped: number;
}

/** The settings that all passes share. */
export interface Surroundings {
  readonly root: string;
  readonly env: Readonly<Record<string, string>>;
  /** Arguments that make imports resolve. */
  readonly importArguments: readonly string[];
  readonly signal: AbortSignal;
}

/** After this time a pass is stopped, and counts as failed. */
const LONGEST_MINUTES = 20;

/**
 * Runs all passes, in their order. With two at once the output of each is shown as a whole when it ends, so that lines are
 * not mixed. The name of a failed test is printed at once.
 */
export async function runPasses(
  passes: readonly Pass[],
  surroundings: Surroundings,
  tally: Tally,
): Promise<void> {
  const queue = [...passes];
  const atOnce = navigator.hardwareConcurrency > 1 ? Math.min(2, passes.length) : 1;
  const runSome = async () => {
    for (let pass = queue.shift(); pass; pass = queue.shift()) {
      const output = new Output(atOnce > 1);
      try {
        const { passed, failed, skipped } = await runPass(pass, surroundings, output);
        tally.passed += passed;
        tally.failed += failed;
        tally.skipped += skipped;
      } finally {
        output.end();
      }
      surroundings.signal.throwIfAborted();
    }
  };
  const results = await Promise.allSettled(Array.from({ length: atOnce }, runSome));
  for (const result of results) if (result.status === "rejected") throw result.reason;
}

/** Runs one pass. Resolves to the counts of Deno's last summary, or if there is none, to those of the tests that ended. */
async function runPass(pass: Pass, surroundings: Surroundings, output: Output): Promise<Tally> {
  const { root, importArguments, signal } = surroundings;
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
  const test = ["test", "-A", "--no-check", ...importArguments, ...pass.args];
  const command = [...wrapper, pass.deno ?? Deno.execPath(), ...test];
  output.tell(`Pass ${pass.name}`);
  const child = new Deno.Command("timeout", {
    // A test that blocks the event loop does not react to SIGTERM. In the foreground, what signals this group reaches it.
    args: ["--foreground", "--kill-after=5s", `${LONGEST_MINUTES}m`, ...command],
    cwd: pass.cwd ?? root,
    env: { ...colour(), PATH: searchPath, ...surroundings.env, ...pass.env, ...instead },
    signal,
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const [{ ended, summary }, status] = await Promise.all([
    showAndCount(child.stdout, output),
    child.status,
  ]);
  const tally = summary ?? ended;
  if ((!status.success || !summary) && tally.failed === 0) {
    // timeout(1) ends with 124 if the time is over.
    output.tell(`Pass ${pass.name} ended with ${status.signal ?? `exit code ${status.code}`}`);
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

/** Passes the output on, and counts the tests in it. */
async function showAndCount(stream: ReadableStream<Uint8Array>, output: Output): Promise<Counted> {
  const decoder = new TextDecoder();
  const counted: Counted = { ended: { passed: 0, failed: 0, skipped: 0 }, summary: undefined };
  let unread = "";
  for await (const chunk of stream) {
    output.show(chunk);
    const lines = (unread + decoder.decode(chunk, { stream: true })).split("\n");
    unread = lines.pop()!;
    for (const line of lines) countLine(line, counted, output);
  }
  countLine(unread, counted, output);
  return counted;
}

const ENDED = /^(.*) \.\.\. (ok|FAILED|ignored) /;
const STEPS = String.raw`(?: \(\d+ steps?\))?`;
const SUMMARY = new RegExp(
  String.raw`^(?:ok|FAILED) \| (\d+) passed${STEPS} \| (\d+) failed${STEPS}(?: \| (\d+) ignored)?`,
);

function countLine(coloured: string, counted: Counted, output: Output): void {
  // deno-lint-ignore no-control-regex
  const line = coloured.replace(/\x1b\[[0-9;]*m/g, "");
  const [, test = "", how] = ENDED.exec(line) ?? [];
  if (how === "ok") counted.ended.passed++;
  else if (how === "FAILED") {
    counted.ended.failed++;
    output.failed(test);
  } else if (how === "ignored") counted.ended.skipped++;
  const summary = SUMMARY.exec(line);
  if (!summary) return;
  const [passed = 0, failed = 0, skipped = 0] = summary.slice(1).map((count) => Number(count ?? 0));
  counted.summary = { passed, failed, skipped };
}

class Output {
  readonly #collected: Uint8Array[] = [];

  /** What is collected is shown at the end. */
  constructor(readonly collects: boolean) {}

  show(bytes: Uint8Array): void {
    if (this.collects) this.#collected.push(bytes);
    else showNow(bytes);
  }

  tell(line: string): void {
    this.show(new TextEncoder().encode(`# ${line}\n`));
  }

  failed(test: string): void {
    if (this.collects) say(`Failed: ${test}`);
  }

  end(): void {
    this.#collected.splice(0).forEach(showNow);
  }
}

function showNow(output: Uint8Array): void {
  for (let shown = 0; shown < output.length;) {
    shown += Deno.stdout.writeSync(output.subarray(shown));
  }
}
