// The main job: one stream into one file, stopped in good order, and one line, or one object, about how it went.
import { assertPlatform } from "../ffi/platform.ts";
import { DmaFile, DmaStreamWriter, engineInfo } from "../mod.ts";
import { EXIT_IO_ERROR, EXIT_OK, STOPPING_SIGNALS } from "./exit_codes.ts";
import { Interrupted, Interruption } from "./interruption.ts";
import { describe, jsonText, note, print } from "./output.ts";
import { showProgress } from "./progress.ts";
import { errorFacts, remedyFor } from "./remedies.ts";
import { refuseSameFile, sizeOf, type Source } from "./source.ts";
import type { TransferReport } from "./transfer_report.ts";
import { formatRate, formatSize } from "./units.ts";

/** What the command line says of a transfer. */
export interface TransferOptions {
  /** The name appears only when everything is written and durable. */
  atomic?: boolean;
  /** Begin at the end of the file, and keep what is there. */
  append?: boolean;
  /** Bytes of one buffer. */
  bufferSize?: number;
  /** Buffers in flight. */
  writeBehind?: number;
  /** What to do where the file system refuses Direct I/O. */
  direct: "require" | "prefer" | "off";
  /** Make the data durable before the end. */
  sync: boolean;
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
    await job.stop(error);
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
  #file: DmaFile | undefined;
  #writer: DmaStreamWriter | undefined;
  #start = 0;
  #began: number | undefined;
  #ended: number | undefined;
  #isClosed: Promise<boolean> | undefined;

  constructor(dest: string, options: TransferOptions, from: string | undefined) {
    this.#dest = dest;
    this.#options = options;
    this.#from = from;
  }

  /** Whether the file was opened for writing, so that something of it may have changed. */
  get started(): boolean {
    return this.#file !== undefined;
  }

  async run(open: () => Promise<Source>, interruption: Interruption): Promise<void> {
    // The source first: where it cannot be opened, nothing happens to the destination.
    const source = this.#source = await interruption.race(open());
    await refuseSameFile(source, this.#dest);
    interruption.signal.throwIfAborted();

    this.#began = performance.now();
    const { append, progress, quiet } = this.#options;
    const file = this.#file = await this.#openDest();
    if (append) this.#start = await file.size();
    const size = sizeOf(source);
    const writer = this.#writer = new DmaStreamWriter(file, this.#writerOptions(size));

    const show = progress && !quiet && Deno.stderr.isTerminal();
    using _bar = show ? showProgress(size, () => writer.currentPos - this.#start) : undefined;
    await source.readable.pipeTo(writer, { signal: interruption.signal });
    this.#ended = performance.now();
  }

  /** After a failure or a signal: lets go of both ends, and waits until the file is cut to what is whole. */
  async stop(error: unknown): Promise<void> {
    // What fails in here follows from the first error, which is the one to tell.
    await this.#source?.readable.cancel(error).catch(() => {});
    // Closing an atomic file without a writer would give it its name, empty as it is.
    const writer = this.#writer ?? (this.#options.atomic ? this.#file?.writable : undefined);
    await writer?.abort(error).catch(() => {});
    await this.#file?.close().catch(() => {});
    this.#ended ??= performance.now();
  }

  /** What to do about an error. */
  remedy(error: unknown): string | undefined {
    const sourceOpen = this.#source !== undefined;
    const { atomic = false } = this.#options;
    return remedyFor(error, { source: this.#from, dest: this.#dest, atomic, sourceOpen });
  }

  /** What was done, and how. */
  summary(): string {
    const seconds = this.#seconds();
    const bytes = this.#written();
    const file = this.#file!;
    const writer = this.#writer!;
    const { append, atomic, sync } = this.#options;
    return [
      `${append ? "appended" : "wrote"} ${bytes} bytes${
        bytes < 1024 ? "" : ` (${formatSize(bytes)})`
      } to ${this.#dest}`,
      `${seconds.toFixed(2)} s, ${formatRate(bytes, seconds)}`,
      `${file.direct ? "Direct I/O" : "page cache"}, ${engineInfo().engine}`,
      `${writer.writeBehind} x ${formatSize(writer.bufferSize)}`,
      // An atomic file gets its name only when it is durable.
      sync || atomic ? "synced" : "not synced",
    ].join("; ");
  }

  /** What is left of a transfer that did not come to its end. */
  async remains(): Promise<string> {
    const { atomic, append } = this.#options;
    if (this.#file === undefined) return `${this.#dest} was not touched`;
    // A signal can come while the last close is under way; then everything is there after all.
    if (await this.#closed()) return `everything had been written: ${this.summary()}`;
    if (atomic) return `nothing kept, ${this.#dest} is as it was before`;
    const kept = `kept the first ${this.#written()} ${
      append ? "appended " : ""
    }bytes in ${this.#dest}`;
    const size = await Deno.stat(this.#dest).then(({ size }) => size, () => undefined);
    return size === this.#start + this.#written()
      ? kept
      : `${kept}, but could not cut it there: it is ${size ?? "an unknown number of"} bytes long`;
  }

  /** The same for programs. */
  async report(exitCode: number, error?: unknown): Promise<TransferReport> {
    const { append = false, atomic = false, sync } = this.#options;
    const whole = exitCode === EXIT_OK || await this.#closed();
    const bytes = whole || !atomic ? this.#written() : 0;
    const seconds = this.#seconds();
    const interrupted = error instanceof Interrupted;
    const stat = await Deno.stat(this.#dest).catch(() => undefined);
    return {
      ok: exitCode === EXIT_OK,
      bytes,
      seconds: Math.round(seconds * 1e6) / 1e6,
      rate: seconds > 0 ? Math.round(bytes / seconds) : 0,
      path: this.#dest,
      direct: this.#file?.direct ?? null,
      engine: this.#file === undefined ? null : engineInfo().engine,
      bufferSize: this.#writer?.bufferSize ?? null,
      writeBehind: this.#writer?.writeBehind ?? null,
      synced: whole && (sync || atomic),
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
    return ((this.#ended ?? performance.now()) - this.#began) / 1000;
  }

  #written(): number {
    return Math.max(0, (this.#writer?.currentFlushedPos ?? 0) - this.#start);
  }

  /** Whether the file was closed without an error after all. Asked twice, answered once: a stream is locked only once. */
  #closed(): Promise<boolean> {
    return this.#isClosed ??= this.#askClosed();
  }

  async #askClosed(): Promise<boolean> {
    if (this.#writer === undefined || this.#writer.locked) return false;
    return await this.#writer.getWriter().closed.then(() => true, () => false);
  }

  #openDest(): Promise<DmaFile> {
    const { append, atomic = false, direct } = this.#options;
    return append
      ? DmaFile.open(this.#dest, { write: true, create: true, direct })
      : DmaFile.create(this.#dest, { atomic, direct });
  }

  #writerOptions(sizeHint: number | undefined) {
    const { append = false, bufferSize, sync, writeBehind } = this.#options;
    return {
      append,
      syncOnClose: sync,
      ...(bufferSize === undefined ? {} : { bufferSize }),
      ...(writeBehind === undefined ? {} : { writeBehind }),
      ...(sizeHint === undefined ? {} : { sizeHint }),
    };
  }
}
