// Runs passes, two at once if the machine has two processors.

import { say } from "./command.ts";
import { type Pass, type PassListener, runPass, type Surroundings, type Tally } from "./passes.ts";

/** Seconds that Deno takes to start on the machine for which the time limits of passes were chosen. */
const START_SECONDS = 0.1;

/**
 * Runs all passes, in their order. With two at once the output of each is shown as a whole when it ends, so that lines are
 * not mixed. The name of a failed test is printed at once.
 */
export async function runPasses(
  passes: readonly Pass[],
  surroundings: Surroundings,
  tally: Tally,
): Promise<void> {
  const slowness = await measureSlowness();
  const queue = [...passes];
  const atOnce = navigator.hardwareConcurrency > 1 ? Math.min(2, passes.length) : 1;
  const runSome = async () => {
    for (let pass = queue.shift(); pass; pass = queue.shift()) {
      const output = new Output(atOnce > 1);
      try {
        const limit = pass.minutes * slowness;
        const result = await runPass({ ...pass, minutes: limit }, surroundings, output);
        tally.passed += result.passed;
        tally.failed += result.failed;
        tally.skipped += result.skipped;
      } finally {
        output.end();
      }
      surroundings.signal.throwIfAborted();
    }
  };
  const results = await Promise.allSettled(Array.from({ length: atOnce }, runSome));
  for (const result of results) if (result.status === "rejected") throw result.reason;
}

/** The factor for time limits on this machine, from 1 to 4, by the time that Deno takes to start. */
async function measureSlowness(): Promise<number> {
  const seconds: number[] = [];
  for (let run = 0; run < 3; run++) {
    const start = performance.now();
    await new Deno.Command(Deno.execPath(), { args: ["eval", ""] }).output();
    seconds.push((performance.now() - start) / 1000);
  }
  const slowness = Math.min(4, Math.max(1, Math.min(...seconds) / START_SECONDS));
  if (slowness > 1) say(`Deno starts slowly here: limits are ${slowness.toFixed(1)} times longer`);
  return slowness;
}

class Output implements PassListener {
  #collected: Uint8Array[] = [];

  /** What is collected is shown at the end. */
  constructor(readonly collects: boolean) {}

  output(bytes: Uint8Array): void {
    if (this.collects) this.#collected.push(bytes);
    else showNow(bytes);
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
