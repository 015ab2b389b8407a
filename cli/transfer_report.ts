// What `write` and `copy` say to programs with --json.
import type { StoppingSignal } from "./exit_codes.ts";
import type { ErrorFacts } from "./remedies.ts";

/** How a transfer went. One object a run, also where it failed. */
export interface TransferReport {
  /** Whether everything is in the file, and durable unless that was not wanted. */
  ok: boolean;
  /** Bytes of the input that are in the file: after a failure, what was kept. */
  bytes: number;
  /** Those of them that are holes, as in the source: they read as zeros and take no space. */
  holes: number;
  /** From the opening of the file to its close, without the time that it was read back. */
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
  /** Whether they were read back from the disk, and are what came. */
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
