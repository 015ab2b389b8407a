// Says how a transfer went: in a line for people, in an object for programs.
import { engineInfo } from "../mod.ts";
import type { Destination } from "./destination.ts";
import { EXIT_OK, type StoppingSignal } from "./exit_codes.ts";
import { describe } from "./output.ts";
import { type ErrorFacts, errorFacts } from "./remedies.ts";
import type { TransferOptions } from "./transfer_options.ts";
import { formatCount, formatPace, formatSize } from "./units.ts";

/** How far a transfer came. */
export interface Outcome {
  /** The file, as it was given. */
  readonly dest: string;
  readonly options: TransferOptions;
  /** Absent if the file was never opened and so has not changed. */
  readonly destination: Destination | undefined;
  /** Whether the file was closed with everything that was accepted, durable unless `--no-sync`. */
  readonly isKept: boolean;
  /** From the opening of the file to its close, without the verification. */
  readonly seconds: number;
  /** How long verifying took; absent if it was not asked for or has failed. */
  readonly verifySeconds: number | undefined;
}

/** Why a transfer ended early. */
export interface Failure {
  readonly exitCode: number;
  /** The signal that stopped it. */
  readonly signal: StoppingSignal | undefined;
  readonly error: unknown;
  /** What to do about it. */
  readonly remedy: string | undefined;
}

/** How a transfer went. One object a run, also where it failed. */
export interface TransferReport {
  /** Whether everything is in the file, and durable unless that was not wanted. */
  ok: boolean;
  /** Bytes of the input that are in the file: after a failure, what was kept. */
  bytes: number;
  /** Those of them that are holes. */
  holes: number;
  /** From the opening of the file to its close, without the verification. */
  seconds: number;
  /** Bytes a second, without holes. */
  rate: number;
  /** The file, as it was given. */
  path: string;
  /** Whether Direct I/O was used; null where the file was never opened. */
  direct: boolean | null;
  /** The engine; null where the file was never opened. */
  engine: "io_uring" | "threads" | null;
  /** Bytes of one buffer, as they were in the end; null where the file was never opened. */
  bufferSize: number | null;
  /** Buffers that could be in flight; null where the file was never opened. */
  writeBehind: number | null;
  /** Whether the bytes are durable. */
  synced: boolean;
  /** Whether they were read back from the disk and compared. */
  verified: boolean;
  /** Whether the name was to appear only when everything was written. */
  atomic: boolean;
  /** Whether what was in the file was to be kept. */
  appended: boolean;
  /** Length of the file at that path afterwards; null where there is none, or where it may not be asked. */
  fileSize: number | null;
  /** The signal that stopped it. */
  signal: StoppingSignal | null;
  /** What went wrong. */
  error: ErrorFacts | null;
  /** The exit code of the process. */
  exitCode: number;
}

/** The line about a transfer that is done. */
export function summaryOf({ dest, destination, options, seconds, verifySeconds }: Outcome): string {
  const { file, bufferSize, holes, writeBehind, written } = destination!;
  const { append, atomic, sync } = options;
  const moved = written - holes;
  return [
    `${append ? "appended" : "wrote"} ${formatCount(written)} to ${dest}`,
    ...(holes > 0 ? [`${formatSize(holes)} of them in holes`] : []),
    formatPace(moved, seconds),
    `${file.direct ? "Direct I/O" : "page cache"}, ${engineInfo().engine}`,
    `${writeBehind} x ${formatSize(bufferSize!)}`,
    // An atomic file gets its name only when it is durable.
    sync || atomic ? "synced" : "not synced",
    ...(verifySeconds === undefined ? [] : [`verified in ${formatPace(moved, verifySeconds)}`]),
  ].join("; ");
}

/** What is left of a transfer that ended early. */
export async function remainsOf({ dest, destination, options }: Outcome): Promise<string> {
  const { atomic, append } = options;
  if (destination === undefined) return `${dest} was not touched`;
  if (atomic) return `nothing kept, ${dest} is as it was before`;
  const { start, written } = destination;
  const kept = `kept the first ${written} ${append ? "appended " : ""}bytes in ${dest}`;
  const size = await Deno.stat(dest).then(({ size }) => size, () => undefined);
  return size === start + written
    ? kept
    : `${kept}, but could not cut it there: it is ${size ?? "an unknown number of"} bytes long`;
}

/** The object for programs. */
export async function reportOf(outcome: Outcome, failure?: Failure): Promise<TransferReport> {
  const { dest, destination, isKept, options, seconds, verifySeconds } = outcome;
  const { append = false, atomic = false, sync } = options;
  const { exitCode = EXIT_OK, signal = null, error, remedy } = failure ?? {};
  const isThere = destination !== undefined && (isKept || !atomic);
  const { written: bytes, holes } = isThere ? destination : { written: 0, holes: 0 };
  const stat = await Deno.stat(dest).catch(() => undefined);
  return {
    ok: exitCode === EXIT_OK,
    bytes,
    holes,
    seconds: Math.round(seconds * 1e6) / 1e6,
    rate: seconds > 0 ? Math.round((bytes - holes) / seconds) : 0,
    path: dest,
    direct: destination?.file.direct ?? null,
    engine: destination === undefined ? null : engineInfo().engine,
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
