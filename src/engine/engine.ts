// The one small interface between this module and the kernel. `io_uring` and `threads` implement it. Tests have a third
// implementation, which holds, reorders, shortens and fails operations.

import type { BufferBudget } from "./buffer_budget.ts";
import type { Block, Completion, Memory, Operation } from "./operation.ts";

/** Which implementation of {@linkcode Engine} is at work. */
export type EngineName = "io_uring" | "threads" | "scripted";

/** What an engine has done so far, and holds now. */
export interface EngineCounters {
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
  /** Operations that ended with an error. */
  failed: number;
  /** System calls that handed operations to the kernel. */
  submissions: number;
  /** Times the event loop was woken by completions. */
  wakeups: number;
  /** Operations that had to wait in JavaScript because the ring was full. */
  queueFull: number;
  /** Operations that the kernel has or that wait for it. */
  inFlight: number;
}

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
  switch (op) {
    case "read":
      counters.reads++;
      if (result > 0) counters.bytesRead += result;
      break;
    case "write":
      counters.writes++;
      if (result > 0) counters.bytesWritten += result;
      break;
    case "sync":
      counters.syncs++;
      break;
    default:
      counters.otherOperations++;
  }
  if (result < 0) counters.failed++;
}

/** Does I/O without blocking the JavaScript thread. */
export interface Engine {
  /** Which implementation this is. */
  readonly name: EngineName;
  /** Live counters. */
  readonly counters: EngineCounters;
  /** What streams share that were not told how many buffers to have. */
  readonly budget: BufferBudget;

  /** Queues an operation and returns at once. Its memory belongs to the kernel until `completion` is called. */
  submit(operation: Operation, completion: Completion): void;
  /** Hands everything queued to the kernel now, and not only when the current turn ends. */
  flush(): void;

  /** statx(2) at once, from what the kernel has in memory: never asks a disk or a server. Returns 0 or `-errno`. */
  statNow(fd: number, memory: Memory): number;
  /** The path that a descriptor really leads to; undefined where /proc is not to be had or it is not UTF-8. */
  realPath(fd: number): string | undefined;
  /** Closes, at once, a descriptor that nothing was written through. */
  closeNow(fd: number): void;

  /** Memory of at least `size` bytes. What it held before is still in it. */
  acquire(size: number): Block;
  /** Gives memory back. The kernel must be done with it. */
  release(block: Block): void;
}

/** Submits an operation and resolves to its result, which may be `-errno`. */
export function run(engine: Engine, operation: Operation): Promise<number> {
  return new Promise((resolve) => engine.submit(operation, { complete: resolve }));
}
