// ioStats: what this isolate's engine has done.

import { engineAtWork } from "./configure.ts";
import { Counters } from "./engine/counters.ts";

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

/**
 * A snapshot of the counters. Cheap: no system call is made.
 *
 * @example Count the writes of a file
 * ```ts
 * import { DmaFile, ioStats } from "@denodma/dma";
 *
 * const before = ioStats();
 * const file = await DmaFile.create("counted.bin");
 * await new Blob([new Uint8Array(5_000_000)]).stream().pipeTo(file.writable);
 * console.log(ioStats().writes - before.writes, ioStats().bytesWritten - before.bytesWritten);
 * ```
 */
export function ioStats(): IoStats {
  const engine = engineAtWork();
  const { mapped, used, blocks } = engine?.pool ?? { mapped: 0, used: 0, blocks: 0 };
  const counters = engine?.counters ?? new Counters();
  return { ...counters, poolBytes: mapped, poolBytesUsed: used, poolBuffers: blocks };
}
