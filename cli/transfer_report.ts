// The result of a transfer: a line for people, and an object for programs.
import type { DmaFile } from "../mod.ts";
import type { Destination } from "./destination.ts";
import { EXIT_OK, type StoppingSignal } from "./exit_codes.ts";
import { describe } from "./output.ts";
import { type ErrorFacts, errorFacts } from "./remedies.ts";
import type { TransferOptions } from "./transfer_options.ts";
import { formatCount, formatPace, formatSize } from "./units.ts";

/** How far a transfer has come. */
export interface Outcome {
  /** The path of the file, as it was given. */
  readonly dest: string;
  readonly options: TransferOptions;
  /** Absent if the file was never opened and so has not changed. */
  destination: Destination | undefined;
  /** Whether the file was closed with everything that was accepted, durable unless `--no-sync`. */
  isKept: boolean;
  /** From the opening of the file to its close, without the verification. */
  seconds: number;
  /** The duration of the verification; absent if there was none or it failed. */
  verifySeconds: number | undefined;
}

/** The cause of an early end. */
export interface Failure {
  readonly exitCode: number;
  /** The signal that stopped it. */
  readonly signal: StoppingSignal | undefined;
  readonly error: unknown;
  readonly remedy: string | undefined;
}

/** The object that `--json` prints at the end of a transfer, also after a failure. */
export interface TransferReport {
  /** Whether everything is in the file, and durable unless `--no-sync`. */
  ok: boolean;
  /** Bytes of the input that are in the file, also after a failure. */
  bytes: number;
  /** The part of `bytes` that is holes. */
  holes: number;
  /** From the opening of the file to its close, without the verification. */
  seconds: number;
  /** Bytes a second, without holes. */
  rate: number;
  /** The path of the file, as it was given. */
  path: string;
  /** Whether Direct I/O was used; null if the file was never opened. */
  direct: boolean | null;
  /** The engine; null if the file was never opened. */
  engine: DmaFile["engine"] | null;
  /** Bytes of one buffer at the end; null if the file was never opened. */
  bufferSize: number | null;
  /** The most buffers in flight; null if the file was never opened. */
  writeBehind: number | null;
  /** Whether the bytes are durable. */
  synced: boolean;
  /** Whether they were read back from the disk and compared. */
  verified: boolean;
  atomic: boolean;
  appended: boolean;
  /** The length of the file at that path afterwards; null if there is none, or without the permission to ask. */
  fileSize: number | null;
  /** The signal that stopped the transfer. */
  signal: StoppingSignal | null;
  error: ErrorFacts | null;
  exitCode: number;
}

/** The line after a successful transfer. */
export function summaryOf({ dest, destination, options, seconds, verifySeconds }: Outcome): string {
  const { file, bufferSize, holes, writeBehind, written } = destination!;
  const { append, atomic, sync } = options;
  const moved = written - holes;
  return [
    `${append ? "appended" : "wrote"} ${formatCount(written)} to ${dest}`,
    ...(holes > 0 ? [`${formatSize(holes)} of them in holes`] : []),
    formatPace(moved, seconds),
    `${file.direct ? "Direct I/O" : "page cache"}, ${file.engine}`,
    `${writeBehind} x ${formatSize(bufferSize!)}`,
    // An atomic file gets its name only when it is durable.
    sync || atomic ? "synced" : "not synced",
    ...(verifySeconds === undefined ? [] : [`verified in ${formatPace(moved, verifySeconds)}`]),
  ].join("; ");
}

/** The line about the state of the file after an early end. */
export async function remainsOf({ dest, destination, options }: Outcome): Promise<string> {
  const { atomic, append } = options;
  if (destination === undefined) return `${dest} was not touched`;
  if (atomic) {
    return await destination.isNamed()
      ? `${dest} is the new file, but a power cut can lose it`
      : `nothing kept, ${dest} is as it was before`;
  }
  const { written } = destination;
  // The length of the file is no evidence, because other programs may append too.
  if (append) return `kept the first ${written} appended bytes in ${dest}`;
  const kept = `kept the first ${written} bytes in ${dest}`;
  const size = await Deno.stat(dest).then(({ size }) => size, () => undefined);
  if (size === written) return kept;
  return size === undefined
    ? `${kept}, but that name is gone`
    : `${kept}, but could not cut it there: it is ${size} bytes long`;
}

/** The object that `--json` prints. */
export async function reportOf(outcome: Outcome, failure?: Failure): Promise<TransferReport> {
  const { dest, destination, isKept, options, seconds, verifySeconds } = outcome;
  const { append = false, atomic = false, sync } = options;
  const { exitCode = EXIT_OK, signal = null, error, remedy } = failure ?? {};
  const isThere = isKept || !atomic || await destination?.isNamed();
  const { written: bytes, holes } = isThere && destination || { written: 0, holes: 0 };
  const stat = await Deno.stat(dest).catch(() => undefined);
  return {
    ok: exitCode === EXIT_OK,
    bytes,
    holes,
    seconds: Math.round(seconds * 1e6) / 1e6,
    rate: seconds > 0 ? Math.round((bytes - holes) / seconds) : 0,
    path: dest,
    direct: destination?.file.direct ?? null,
    engine: destination?.file.engine ?? null,
    bufferSize: destination?.bufferSize ?? null,
    writeBehind: destination?.writeBehind ?? null,
    synced: isKept && (sync || atomic),
    verified: verifySeconds !== undefined,
    atomic,
    appended: append,
    fileSize: stat?.isFile ? stat.size : null,
    signal,
    error: failure === undefined || signal ? null : errorFacts(error, describe(error), remedy),
    exitCode,
  };
}
