// What an engine counts, for monitoring and for tests.

import type { Operation } from "./operation.ts";

/** Counters of this isolate since its first file was opened, and what it holds now. */
export interface IoStats {
  /** Reads completed. */
  reads: number;
  /** Writes completed, also those that are durable at once (`RWF_DSYNC`), which save a sync. */
  writes: number;
  /** `fsync` and `fdatasync` completed. */
  syncs: number;
  /** Everything else completed: open, close, truncate, allocate, stat … */
  otherOperations: number;
  /** Bytes that reads brought in. */
  bytesRead: number;
  /** Bytes that writes took. */
  bytesWritten: number;
  /** Operations that ended with an error, also those that were then done another way. */
  failed: number;
  /** System calls that handed operations to the kernel: fewer than operations, where they were handed over together. */
  submissions: number;
  /** Times the event loop was woken for completions. */
  wakeups: number;
  /** Operations that had to wait because the ring, or the threads, were full. */
  queueFull: number;
  /** Operations that the kernel has or that wait for it, now. */
  inFlight: number;
  /** Bytes of memory mapped for buffers, now. Untouched pages of it cost nothing. */
  poolBytes: number;
  /** Bytes of buffers in use, now. */
  poolBytesUsed: number;
  /** Buffers in use, now. */
  poolBuffers: number;
}

/** The counters of an engine. The pool counts the rest. */
export type EngineCounters = Omit<IoStats, "poolBytes" | "poolBytesUsed" | "poolBuffers">;

/** Counters of an engine that has done nothing yet. */
export function newCounters(): EngineCounters {
  return {
    reads: 0,
    writes: 0,
    syncs: 0,
    otherOperations: 0,
    bytesRead: 0,
    bytesWritten: 0,
    failed: 0,
    submissions: 0,
    wakeups: 0,
    queueFull: 0,
    inFlight: 0,
  };
}

/** Counts one operation that has ended. */
export function countResult(counters: EngineCounters, { op }: Operation, result: number): void {
  if (result < 0) counters.failed++;
  const bytes = Math.max(0, result);
  if (op === "read") {
    counters.reads++;
    counters.bytesRead += bytes;
  } else if (op === "write") {
    counters.writes++;
    counters.bytesWritten += bytes;
  } else if (op === "sync") counters.syncs++;
  else counters.otherOperations++;
}
