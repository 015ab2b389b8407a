// Runs passes, two at once if the machine has two processors, and counts their tests.

import { lines, root, say, searchPath } from "./command.ts";
import type { Pass } from "./passes.ts";

export interface Tally {
  passed: number;
  failed: number;
  skipped: number;
}

/** The settings that all passes share. */
export interface Surroundings {
  readonly env: Readonly<Record<string, string>>;
  readonly importArguments: readonly string[];
  readonly signal: AbortSignal;
}

/** After this time a pass is stopped, and counts as failed. */
const LONGEST_MINUTES = 20;

/** Runs all passes in order. With two at once each output is shown whole at its end, and the name of a failed test at once. */
export async function runPasses(passes: readonly Pass[], surroundings: Surroundings, tally: Tally) {
  const queue = [...passes];
  const atOnce = navigator.hardwareConcurrency > 1 ? Math.min(2, passes.length) : 1;
  const runSome = async () => {
    for (let pass = queue.shift(); pass; pass = queue.shift()) {
      const collected: Uint8Array[] = [];
      const show: Show = atOnce > 1 ? (output) => collected.push(output) : showNow;
      const counts = await runPass(pass, surroundings, show)
        .finally(() => collected.forEach(showNow));
      for (const count of ["passed", "failed", "skipped"] as const) tally[count] += counts[count];
      surroundings.signal.throwIfAborted();
    }
  };
  const results = await Promise.allSettled(Array.from({ length: atOnce }, runSome));
  for (const result of results) if (result.status === "rejected") throw result.reason;
}

type Show = (output: Uint8Array) => unknown;

/** Runs one pass. Resolves to the counts of Deno's last summary. Without a summary the pass counts as one failure. */
async function runPass(pass: Pass, surroundings: Surroundings, show: Show): Promise<Tally> {
  const { importArguments, signal } = surroundings;
  // `deno task check` checks the types. Here one wrong type would prevent all tests of the pass.
  const test = ["test", "-A", "--no-check", ...importArguments, ...pass.args];
  const command = [...pass.wrapper ?? [], pass.deno ?? Deno.execPath(), ...test];
  const tell = (line: string) => show(new TextEncoder().encode(`# ${line}\n`));
  tell(`Pass ${pass.name}`);
  const child = new Deno.Command("timeout", {
    // A test that blocks the event loop does not react to SIGTERM. In the foreground, what signals this group reaches it.
    args: ["--foreground", "--kill-after=5s", `${LONGEST_MINUTES}m`, ...command],
    cwd: pass.cwd ?? root,
    env: { ...colour(), PATH: searchPath, ...surroundings.env, ...pass.env },
    signal,
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const [summary, status] = await Promise.all([showAndCount(child.stdout, show), child.status]);
  const tally = summary ?? { passed: 0, failed: 0, skipped: 0 };
  if ((!status.success || !summary) && tally.failed === 0) {
    // timeout(1) ends with 124 if the time is over.
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

const FAILED = /^(.*) \.\.\. FAILED /;
const STEPS = String.raw`(?: \(\d+ steps?\))?`;
const SUMMARY = new RegExp(
  String.raw`^(?:ok|FAILED) \| (\d+) passed${STEPS} \| (\d+) failed${STEPS}(?: \| (\d+) ignored)?`,
);

/** Passes the output on. Resolves to the counts of the summary of `deno test`; undefined if the pass was stopped. */
async function showAndCount(stream: ReadableStream<Uint8Array>, show: Show) {
  let tally: Tally | undefined;
  const [shown, counted] = stream.tee();
  const showing = shown.pipeTo(new WritableStream({ write: (chunk) => void show(chunk) }));
  for await (const coloured of lines(counted)) {
    // deno-lint-ignore no-control-regex
    const line = coloured.replace(/\x1b\[[0-9;]*m/g, "");
    const [, test] = FAILED.exec(line) ?? [];
    if (test !== undefined && show !== showNow) say(`Failed: ${test}`);
    const counts = SUMMARY.exec(line)?.slice(1).map((count) => Number(count ?? 0));
    if (counts) tally = { passed: counts[0]!, failed: counts[1]!, skipped: counts[2]! };
  }
  await showing;
  return tally;
}

function showNow(output: Uint8Array): void {
  for (let shown = 0; shown < output.length;) {
    shown += Deno.stdout.writeSync(output.subarray(shown));
  }
}
