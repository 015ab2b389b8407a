// ioStats: the counters of this isolate's engine.

import { engineAtWork } from "./configure.ts";
import { Counters } from "./engine/counters.ts";

/** Counters of this isolate since its first file was opened, and its current use of memory. */
export interface IoStats {
  /** Reads completed. */
  reads: number;
  /** Writes completed. They include durable writes (`RWF_DSYNC`), which need no sync. */
  writes: number;
  /** `fsync` and `fdatasync` completed. */
  syncs: number;
  /** Other operations completed: open, close, truncate, allocate, stat and others. */
  otherOperations: number;
  /** Bytes read, in whole blocks with Direct I/O. */
  bytesRead: number;
  /** Bytes written, padding included. */
  bytesWritten: number;
  /** Operations that ended with an error. They include those that the module then performed in another way. */
  failed: number;
  /** System calls that submitted operations. One call can submit many. */
  submissions: number;
  /** How often completions woke the event loop. */
  wakeups: number;
  /** Operations that had to wait because the ring was full or all threads were busy. */
  queueFull: number;
  /** Operations in flight or waiting, now. */
  inFlight: number;
  /** Bytes of memory mapped for buffers, now. Pages that were never touched take no memory. */
  poolBytes: number;
  /** Bytes of buffers in use, now. */
  poolBytesUsed: number;
  /** Buffers in use, now. */
  poolBuffers: number;
}

/**
 * A snapshot of the counters. It makes no system call.
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
