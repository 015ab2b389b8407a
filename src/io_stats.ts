// ioStats: what this isolate's engine has done, for monitoring and for tests.

import { newCounters } from "./engine/engine.ts";
import { engineAtWork } from "./configure.ts";

/** Counters of this isolate since its first file was opened, and what it holds now. */
export interface IoStats {
  /** Reads completed. */
  reads: number;
  /** Writes completed. */
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

/** A snapshot of the counters. Cheap: no system call is made. */
export function ioStats(): IoStats {
  const engine = engineAtWork();
  const { mapped = 0, used = 0, blocks = 0 } = engine?.pool ?? {};
  const counters = engine?.counters ?? newCounters();
  return { ...counters, poolBytes: mapped, poolBytesUsed: used, poolBuffers: blocks };
}
