// Writes the parts of a source into one file, and closes or discards the file whatever happens.
import { type AttributePlan, planAttributes } from "./attributes.ts";
import { Destination } from "./destination.ts";
import { EXIT_IO_ERROR, EXIT_OK } from "./exit_codes.ts";
import { endEarly, Interrupted, Interruption } from "./interruption.ts";
import { describe, jsonText, note, print } from "./output.ts";
import { showProgress } from "./progress.ts";
import { remedyFor } from "./remedies.ts";
import { isSlow, refuseSameFile, sizeOf, type Source } from "./source.ts";
import type { TransferOptions } from "./transfer_options.ts";
import {
  type Outcome,
  remainsOf,
  reportOf,
  summaryOf,
  type TransferReport,
} from "./transfer_report.ts";
import { Verification } from "./verification.ts";

/** The default interval at which the bytes of a slow source are written. */
const FLUSH_EVERY_MS = 1000;

/**
 * Writes a source into `dest`. Resolves to the exit code, which is 0 only if the close of the file resolved.
 *
 * @param from the path of the source, if it has one
 */
export async function transfer(
  open: () => Promise<Source>,
  dest: string,
  options: TransferOptions,
  from?: string,
): Promise<number> {
  using interruption = new Interruption();
  const outcome: Outcome = {
    ...{ dest, options, isKept: false, seconds: 0 },
    ...{ destination: undefined, verifySeconds: undefined },
  };
  let source: Source | undefined;
  try {
    // The source comes first: if it cannot be opened, the destination is not touched.
    source = await interruption.race(open());
    await run(source, from, outcome, interruption.signal);
  } catch (error) {
    const at = { source: from, dest, atomic: options.atomic, sourceOpen: source !== undefined };
    return await tellFailure(outcome, error, remedyFor(error, at));
  }
  if (options.json) return printReport(await reportOf(outcome));
  if (!options.quiet) note(summaryOf(outcome));
  return EXIT_OK;
}

async function tellFailure(outcome: Outcome, error: unknown, remedy?: string): Promise<number> {
  const { options, destination } = outcome;
  const signal = error instanceof Interrupted ? error.by : undefined;
  const isTold = !options.quiet && (signal || destination);
  const remains = isTold ? await remainsOf(outcome) : undefined;
  const exitCode = endEarly(error, remains, remedy);
  if (remains !== undefined && !signal) note(`failed; ${remains}`);
  if (!options.json) return exitCode;
  return printReport(await reportOf(outcome, { exitCode, signal, error, remedy }));
}

/** Prints the report. Returns its exit code, or that of a failure if the report cannot be printed. */
function printReport(report: TransferReport): number {
  try {
    print(jsonText(report));
    return report.exitCode;
  } catch (error) {
    const kept = `${report.bytes} bytes are in ${report.path}`;
    note(`Cannot print the JSON object: ${describe(error)}; ${kept}`);
    return report.exitCode || EXIT_IO_ERROR;
  }
}

/** Does the work, and records in `outcome` how far it came. */
async function run(
  source: Source,
  from: string | undefined,
  outcome: Outcome,
  signal: AbortSignal,
): Promise<void> {
  const began = performance.now();
  try {
    await refuseSameFile(source, outcome.dest);
    signal.throwIfAborted();
    await write(source, from, outcome, signal);
  } finally {
    if (outcome.destination) {
      outcome.seconds = (performance.now() - began) / 1000 - (outcome.verifySeconds ?? 0);
    }
    await source.close();
  }
}

async function write(
  source: Source,
  from: string | undefined,
  outcome: Outcome,
  signal: AbortSignal,
): Promise<void> {
  const { dest, options } = outcome;
  const size = sizeOf(source) ?? options.size;
  // An atomic file is not visible before its end.
  const canWait = options.atomic || !isSlow(source);
  const destination = outcome.destination = await Destination.open(dest, {
    ...options,
    flushEvery: options.flushEvery ?? (canWait ? 0 : FLUSH_EVERY_MS),
    sizeHint: size ?? 0,
    attributes: await attributesOf(source, from, outcome),
  });
  const keep = async (isWhole: boolean) => {
    await destination.keep(isWhole);
    outcome.isKept = true;
  };
  const show = options.progress && !options.quiet && Deno.stderr.isTerminal();
  const verification = options.verify ? new Verification() : undefined;
  try {
    {
      using _bar = show ? showProgress(size, () => destination.accepted) : undefined;
      const sparse = options.append ? "never" : options.sparse ?? "never";
      for await (const part of source.parts(sparse)) {
        await destination.take(verification?.watch(part) ?? part, signal);
      }
      if (sparse === "auto" && source.length) await destination.extend(await source.length());
    }
    if (verification) {
      await destination.file.syncData();
      const { file, holes, start, written } = destination;
      const began = performance.now();
      using _bar = show ? showProgress(written - holes, () => verification.readBack) : undefined;
      await verification.check(file, start, signal);
      outcome.verifySeconds = (performance.now() - began) / 1000;
    }
    signal.throwIfAborted();
  } catch (error) {
    if (options.atomic) await destination.discard(error);
    // After a failure of the file this rejects with the same error. If it fails after a signal, the failure is reported.
    else await keep(false);
    throw error;
  }
  await keep(true);
}

async function attributesOf(
  { info, times }: Source,
  from: string | undefined,
  { dest, options: { atomic, preserve } }: Outcome,
): Promise<AttributePlan> {
  const copied = from !== undefined && info?.isFile ? info : undefined;
  const replaced = atomic ? await Deno.stat(dest).catch(() => undefined) : undefined;
  return planAttributes({
    copied,
    replaced: replaced?.isFile ? replaced : undefined,
    preserved: copied && preserve ? times : undefined,
  });
}
