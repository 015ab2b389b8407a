// The one small interface between this module and the kernel. `io_uring` and `threads` implement it. Tests have a third
// implementation, which holds, reorders, shortens and fails operations.

import type { BufferBudget } from "./buffer_budget.ts";
import type { EngineCounters } from "./counters.ts";
import type { Block, Completion, Memory, Operation } from "./operation.ts";

/** Which implementation of {@linkcode Engine} is at work. */
export type EngineName = "io_uring" | "threads" | "scripted";

/** Does I/O without blocking the JavaScript thread. */
export interface Engine {
  /** Which implementation this is. */
  readonly name: EngineName;
  /** Live counters. */
  readonly counters: EngineCounters;
  /** What streams share that were not told how many buffers to have. */
  readonly budget: BufferBudget;
  /** Whether this isolate ends only with the process: else no operation may have memory of JavaScript's own. */
  readonly endsWithProcess: boolean;

  /** Queues an operation and returns at once. Its memory belongs to the kernel until `completion` is called. */
  submit(operation: Operation, completion: Completion): void;
  /** Hands everything queued to the kernel now, and not only when the current turn ends. */
  flush(): void;

  /**
   * Blocks until operations in flight have ended, and completes them; for `milliseconds` at most. False where none did. For
   * what cannot wait for the event loop: the end of a program, and `flushSync`.
   */
  waitNow(milliseconds: number): boolean;
  /** Performs an operation on the JavaScript thread, which it blocks. Returns its result. For the same occasions. */
  runNow(operation: Operation): number;

  /** statx(2) at once, from what the kernel has in memory: never asks a disk or a server. Returns 0 or `-errno`. */
  statNow(fd: number, memory: Memory): number;
  /**
   * Opens a directory with O_PATH at once, where the path is in the kernel's cache. `-EAGAIN` where it is not, or where
   * the kernel cannot tell: then only {@linkcode submit} may look it up.
   */
  openDirectoryNow(path: string): number;
  /** Opens the working directory with O_PATH, at once: it never has to be looked up. */
  openWorkingDirectory(): number;
  /**
   * Says whether calls for the files of a descriptor's device may wait for a server or a program: they run on threads then,
   * and never within a submission.
   */
  setThreaded(fd: number, threaded: boolean): void;
  /** Sets the status flags of a descriptor (`F_SETFL`), as O_DIRECT. Returns 0 or `-errno`. */
  setFlags(fd: number, flags: number): number;
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
