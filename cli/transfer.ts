// Writes the parts of a source into one file, and closes or discards the file whatever happens.
import { type AttributePlan, planAttributes } from "./attributes.ts";
import { Destination } from "./destination.ts";
import { EXIT_IO_ERROR, EXIT_OK, STOPPING_SIGNALS } from "./exit_codes.ts";
import { Interrupted, Interruption } from "./interruption.ts";
import { describe, jsonText, note, noteError, print } from "./output.ts";
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
  const job = new Job(dest, options, from);
  try {
    await job.run(open, interruption);
  } catch (error) {
    return await tellFailure(job, error);
  }
  if (options.json) return printReport(await reportOf(job));
  if (!options.quiet) note(summaryOf(job));
  return EXIT_OK;
}

async function tellFailure(job: Job, error: unknown): Promise<number> {
  const { options, destination } = job;
  const signal = error instanceof Interrupted ? error.by : undefined;
  const exitCode = signal === undefined ? EXIT_IO_ERROR : STOPPING_SIGNALS[signal];
  const remedy = job.remedy(error);
  if (signal === undefined) noteError(error, remedy);
  if (!options.quiet && (signal || destination)) {
    note(`${signal ? `stopped by ${signal}` : "failed"}; ${await remainsOf(job)}`);
  }
  if (!options.json) return exitCode;
  return printReport(await reportOf(job, { exitCode, signal, error, remedy }));
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

class Job implements Outcome {
  readonly dest: string;
  readonly options: TransferOptions;
  readonly #from: string | undefined;
  #source: Source | undefined;
  destination: Destination | undefined;
  isKept = false;
  verifySeconds: number | undefined;
  #began: number | undefined;
  #ended: number | undefined;

  constructor(dest: string, options: TransferOptions, from: string | undefined) {
    this.dest = dest;
    this.options = options;
    this.#from = from;
  }

  get seconds(): number {
    if (this.#began === undefined || this.#ended === undefined) return 0;
    return (this.#ended - this.#began) / 1000 - (this.verifySeconds ?? 0);
  }

  async run(open: () => Promise<Source>, interruption: Interruption): Promise<void> {
    // The source comes first: if it cannot be opened, the destination is not touched.
    const source = this.#source = await interruption.race(open());
    try {
      await refuseSameFile(source, this.dest);
      interruption.signal.throwIfAborted();
      this.#began = performance.now();
      await this.#write(source, interruption.signal);
    } finally {
      this.#ended = performance.now();
      await source.close();
    }
  }

  async #write(source: Source, signal: AbortSignal): Promise<void> {
    const { atomic, progress, quiet } = this.options;
    const size = sizeOf(source) ?? this.options.size;
    // An atomic file is not visible before its end.
    const canWait = atomic || !isSlow(source);
    const flushEvery = this.options.flushEvery ?? (canWait ? 0 : FLUSH_EVERY_MS);
    const destination = this.destination = await Destination.open(this.dest, {
      ...this.options,
      flushEvery,
      sizeHint: size ?? 0,
      attributes: await this.#attributes(source),
    });
    const show = progress && !quiet && Deno.stderr.isTerminal();
    const verification = this.options.verify ? new Verification() : undefined;
    try {
      {
        using _bar = show ? showProgress(size, () => destination.accepted) : undefined;
        await this.#takeAll(source, destination, verification, signal);
      }
      if (verification) {
        await destination.file.syncData();
        const { file, holes, start, written } = destination;
        const began = performance.now();
        using _bar = show ? showProgress(written - holes, () => verification.readBack) : undefined;
        await verification.check(file, start, signal);
        this.verifySeconds = (performance.now() - began) / 1000;
      }
      signal.throwIfAborted();
    } catch (error) {
      if (atomic) await destination.discard(error);
      // After a failure of the file this rejects with the same error. If it fails after a signal, the failure is reported.
      else await this.#keep(destination, false);
      throw error;
    }
    await this.#keep(destination, true);
  }

  async #takeAll(
    source: Source,
    destination: Destination,
    verification: Verification | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const { append, sparse = "never" } = this.options;
    const mode = append ? "never" : sparse;
    for await (const part of source.parts(mode)) {
      await destination.take(verification?.watch(part) ?? part, signal);
    }
    if (mode === "auto" && source.length) await destination.extend(await source.length());
  }

  async #attributes({ info, times }: Source): Promise<AttributePlan> {
    const { atomic, preserve } = this.options;
    const copied = this.#from !== undefined && info?.isFile ? info : undefined;
    const replaced = atomic ? await Deno.lstat(this.dest).catch(() => undefined) : undefined;
    return planAttributes({
      copied,
      replaced: replaced?.isFile ? replaced : undefined,
      preserved: copied && preserve ? times : undefined,
    });
  }

  async #keep(destination: Destination, isWhole: boolean): Promise<void> {
    await destination.keep(isWhole);
    this.isKept = true;
  }

  /** The remedy for an error, if one is known. */
  remedy(error: unknown): string | undefined {
    const sourceOpen = this.#source !== undefined;
    const { atomic = false } = this.options;
    return remedyFor(error, { source: this.#from, dest: this.dest, atomic, sourceOpen });
  }
}
