// The main job: one stream into one file, stopped in good order, and one line, or one object, about how it went.
import { assertPlatform } from "../ffi/platform.ts";
import { engineInfo } from "../mod.ts";
import { type AttributePlan, planAttributes } from "./attributes.ts";
import { Descriptor } from "./descriptor.ts";
import { Destination, type DestinationOptions } from "./destination.ts";
import { EXIT_IO_ERROR, EXIT_OK, STOPPING_SIGNALS } from "./exit_codes.ts";
import { Interrupted, Interruption } from "./interruption.ts";
import { describe, jsonText, note, print } from "./output.ts";
import { showProgress } from "./progress.ts";
import { errorFacts, remedyFor } from "./remedies.ts";
import { comesInTime, refuseSameFile, sizeOf, type Source, type SparseMode } from "./source.ts";
import type { TransferReport } from "./transfer_report.ts";
import { Verification } from "./verification.ts";
import { formatCount, formatPace, formatSize } from "./units.ts";

/** After so many milliseconds what a slow source sent is written, unless told otherwise. */
export const FLUSH_EVERY_MS = 1000;

/** What the command line says of a transfer. */
export interface TransferOptions
  extends Omit<DestinationOptions, "flushEvery" | "sizeHint" | "attributes"> {
  /** As in {@linkcode DestinationOptions.flushEvery}; what suits the source where it is absent. */
  flushEvery?: number;
  /** Bytes expected from a source of unknown length. */
  size?: number;
  /** Keep mode, owner and times of the file that is copied. */
  preserve?: boolean;
  /** Keep the holes of the file that is copied. */
  sparse?: SparseMode;
  /** Read back what was written, and compare. */
  verify?: boolean;
  /** Draw progress, where there is a terminal. */
  progress: boolean;
  /** Say nothing but errors. */
  quiet?: boolean;
  /** One JSON object on standard output instead of a line on standard error. */
  json?: boolean;
}

/**
 * Writes a source into `dest`. Resolves to the exit code; it is 0 only when the close of the file resolved.
 *
 * @param from the path that is read, where it has one
 */
export async function transfer(
  open: () => Promise<Source>,
  dest: string,
  options: TransferOptions,
  from?: string,
): Promise<number> {
  // First of all: elsewhere the signals that are listened for differ as well.
  assertPlatform();
  using interruption = new Interruption();
  const job = new Job(dest, options, from);
  try {
    await job.run(open, interruption);
  } catch (error) {
    return await tellFailure(job, error, options);
  }
  if (options.json) return printReport(await job.report(EXIT_OK));
  if (!options.quiet) note(job.summary());
  return EXIT_OK;
}

/** Resolves to the exit code of the report, or to that of a failure where nobody could be given it. */
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

async function tellFailure(job: Job, error: unknown, options: TransferOptions): Promise<number> {
  const by = error instanceof Interrupted ? error.by : undefined;
  const code = by === undefined ? EXIT_IO_ERROR : STOPPING_SIGNALS[by];
  if (by === undefined) {
    const remedy = job.remedy(error);
    note(remedy === undefined ? describe(error) : `${describe(error)}; ${remedy}`);
  }
  if (!options.quiet && (by || job.started)) {
    note(`${by ? `stopped by ${by}` : "failed"}; ${await job.remains()}`);
  }
  return options.json ? printReport(await job.report(code, error)) : code;
}

class Job {
  readonly #dest: string;
  readonly #options: TransferOptions;
  readonly #from: string | undefined;
  #source: Source | undefined;
  #destination: Destination | undefined;
  /** Whether what was accepted is in the file for good, and durable where that was wanted. */
  #kept = false;
  /** How long it took to read back what was written; undefined where it was not, or was not what came. */
  #verifySeconds: number | undefined;
  #began: number | undefined;
  #ended: number | undefined;

  constructor(dest: string, options: TransferOptions, from: string | undefined) {
    this.#dest = dest;
    this.#options = options;
    this.#from = from;
  }

  /** Whether the file was opened for writing, so that something of it may have changed. */
  get started(): boolean {
    return this.#destination !== undefined;
  }

  async run(open: () => Promise<Source>, interruption: Interruption): Promise<void> {
    // The source first: where it cannot be opened, nothing happens to the destination.
    const source = this.#source = await interruption.race(open());
    try {
      await refuseSameFile(source, this.#dest);
      interruption.signal.throwIfAborted();
      this.#began = performance.now();
      await this.#write(source, interruption.signal);
    } finally {
      this.#ended = performance.now();
      await source.close();
    }
  }

  async #write(source: Source, signal: AbortSignal): Promise<void> {
    const { atomic, progress, quiet } = this.#options;
    const size = sizeOf(source) ?? this.#options.size;
    // Nobody sees an atomic file before its end.
    const isDue = atomic || comesInTime(source);
    const flushEvery = this.#options.flushEvery ?? (isDue ? 0 : FLUSH_EVERY_MS);
    const destination = this.#destination = await Destination.open(this.#dest, {
      ...this.#options,
      flushEvery,
      sizeHint: size ?? 0,
      attributes: await this.#attributes(source),
    });
    const show = progress && !quiet && Deno.stderr.isTerminal();
    const verification = this.#options.verify ? new Verification() : undefined;
    try {
      {
        using _bar = show ? showProgress(size, () => destination.accepted) : undefined;
        await this.#takeAll(source, destination, verification, signal);
      }
      if (verification) {
        await destination.file.syncData();
        const began = performance.now();
        const total = destination.written - destination.holes;
        using _bar = show ? showProgress(total, () => verification.readBack) : undefined;
        await verification.check(destination.file, destination.start, signal);
        this.#verifySeconds = (performance.now() - began) / 1000;
      }
      signal.throwIfAborted();
    } catch (error) {
      if (atomic) await destination.discard(error);
      // A failure of the file itself is met again here. One that follows a signal, or a failure of the source, counts more.
      else await this.#keep(destination);
      throw error;
    }
    await this.#keep(destination);
  }

  async #takeAll(
    source: Source,
    destination: Destination,
    verification: Verification | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const { append, sparse = "never" } = this.#options;
    const mode = append ? "never" : sparse;
    for await (const part of source.parts(mode)) {
      await destination.take(verification?.watch(part) ?? part, signal);
    }
    if (mode === "auto" && source.length) await destination.extend(await source.length());
  }

  async #attributes({ info }: Source): Promise<AttributePlan> {
    const { atomic, preserve } = this.#options;
    const copied = this.#from !== undefined && info?.isFile ? info : undefined;
    const replaced = atomic ? await Deno.lstat(this.#dest).catch(() => undefined) : undefined;
    return planAttributes({
      copied,
      replaced: replaced?.isFile ? replaced : undefined,
      preserved: copied && preserve ? Descriptor.of(copied).times : undefined,
    });
  }

  async #keep(destination: Destination): Promise<void> {
    await destination.keep();
    this.#kept = true;
  }

  /** What to do about an error. */
  remedy(error: unknown): string | undefined {
    const sourceOpen = this.#source !== undefined;
    const { atomic = false } = this.#options;
    return remedyFor(error, { source: this.#from, dest: this.#dest, atomic, sourceOpen });
  }

  /** What was done, and how. */
  summary(): string {
    const { file, bufferSize, holes, writeBehind, written: bytes } = this.#destination!;
    const { append, atomic, sync } = this.#options;
    const seconds = this.#seconds();
    return [
      `${append ? "appended" : "wrote"} ${formatCount(bytes)} to ${this.#dest}`,
      ...(holes > 0 ? [`${formatSize(holes)} of them in holes`] : []),
      formatPace(bytes - holes, seconds),
      `${file.direct ? "Direct I/O" : "page cache"}, ${engineInfo().engine}`,
      `${writeBehind} x ${formatSize(bufferSize!)}`,
      // An atomic file gets its name only when it is durable.
      sync || atomic ? "synced" : "not synced",
      ...(this.#verifySeconds === undefined
        ? []
        : [`verified in ${formatPace(bytes - holes, this.#verifySeconds)}`]),
    ].join("; ");
  }

  /** What is left of a transfer that did not come to its end. */
  async remains(): Promise<string> {
    const { atomic, append } = this.#options;
    const destination = this.#destination;
    if (destination === undefined) return `${this.#dest} was not touched`;
    if (atomic) return `nothing kept, ${this.#dest} is as it was before`;
    const { start, written } = destination;
    const kept = `kept the first ${written} ${append ? "appended " : ""}bytes in ${this.#dest}`;
    const size = await Deno.stat(this.#dest).then(({ size }) => size, () => undefined);
    return size === start + written
      ? kept
      : `${kept}, but could not cut it there: it is ${size ?? "an unknown number of"} bytes long`;
  }

  /** The same for programs. */
  async report(exitCode: number, error?: unknown): Promise<TransferReport> {
    const { append = false, atomic = false, sync } = this.#options;
    const destination = this.#destination;
    const bytes = this.#kept || !atomic ? destination?.written ?? 0 : 0;
    const holes = bytes > 0 ? destination?.holes ?? 0 : 0;
    const seconds = this.#seconds();
    const interrupted = error instanceof Interrupted;
    const stat = await Deno.stat(this.#dest).catch(() => undefined);
    return {
      ok: exitCode === EXIT_OK,
      bytes,
      holes,
      seconds: Math.round(seconds * 1e6) / 1e6,
      rate: seconds > 0 ? Math.round((bytes - holes) / seconds) : 0,
      path: this.#dest,
      direct: destination?.file.direct ?? null,
      engine: destination === undefined ? null : engineInfo().engine,
      bufferSize: destination?.bufferSize ?? null,
      writeBehind: destination?.writeBehind ?? null,
      synced: this.#kept && (sync || atomic),
      verified: this.#verifySeconds !== undefined,
      atomic,
      appended: append,
      fileSize: stat?.isFile ? stat.size : null,
      signal: interrupted ? error.by : null,
      error: error === undefined || interrupted
        ? null
        : errorFacts(error, describe(error), this.remedy(error)),
      exitCode,
    };
  }

  #seconds(): number {
    if (this.#began === undefined) return 0;
    const seconds = ((this.#ended ?? performance.now()) - this.#began) / 1000;
    return seconds - (this.#verifySeconds ?? 0);
  }
}
