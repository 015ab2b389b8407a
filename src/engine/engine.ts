// The one small interface between this module and the kernel. `io_uring` and `threads` implement it; the
// tests have a third implementation that holds, reorders, shortens and fails operations.

import type { BufferBudget } from "./buffer_budget.ts";
import type { ChainStep } from "./chain.ts";

/** Which implementation of {@linkcode Engine} is at work. */
export type EngineName = "io_uring" | "threads" | "scripted";

/**
 * Receives the result of one operation: a count of bytes, a descriptor or 0, or `-errno`.
 *
 * Called exactly once for each operation, never while the call that queued it is still running.
 */
export interface Completion {
  /** Takes the result. Must not throw. */
  complete(result: number): void;
}

/** Memory that the kernel may read or write while an operation is in flight. It never moves. */
export interface Memory {
  /** The same memory as JavaScript sees it. Never handed to a user while the kernel has it. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Its address, a multiple of 4,096. */
  readonly address: number;
  /** Its index among the ring's registered buffers, or -1. */
  readonly registration: number;
}

/** Memory of the engine's pool. */
export interface Block extends Memory {
  /** Bytes that may be used: what was asked for, rounded up to 4,096. */
  readonly size: number;
}

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

/** Does I/O without blocking the JavaScript thread. Every method queues one operation and returns at once. */
export interface Engine {
  /** Which implementation this is. */
  readonly name: EngineName;
  /** Live counters. */
  readonly counters: EngineCounters;
  /** What streams share that were not told how many buffers to have. */
  readonly budget: BufferBudget;

  /** Opens `path` beneath the descriptor `directory` ({@linkcode AT_FDCWD} for the working directory). */
  open(directory: number, path: string, flags: number, mode: number, done: Completion): void;
  /** Closes a descriptor. */
  close(fd: number, done: Completion): void;
  /** Closes a descriptor that nothing was written through, at once. */
  closeNow(fd: number): void;
  /** Reads into `memory` from `offset` on. */
  read(
    fd: number,
    memory: Memory,
    offset: number,
    length: number,
    position: number,
    done: Completion,
  ): void;
  /**
   * Writes from `memory` at `offset`. `copies` says that the file goes through the page cache: the copy is then
   * made on a kernel thread and not on this one.
   */
  write(
    fd: number,
    memory: Memory,
    offset: number,
    length: number,
    position: number,
    copies: boolean,
    done: Completion,
  ): void;
  /** `fsync`, or with `dataOnly` `fdatasync`. */
  sync(fd: number, dataOnly: boolean, done: Completion): void;
  /** `fallocate` with `mode` of FALLOC_FL_*. */
  allocate(fd: number, mode: number, position: number, length: number, done: Completion): void;
  /** `ftruncate`. */
  truncate(fd: number, length: number, done: Completion): void;
  /** `statx` of an open descriptor into `memory`, whose first 256 bytes become a `struct statx`. */
  stat(fd: number, memory: Memory, done: Completion): void;
  /** `linkat` of an open descriptor to `path`, which must not exist. */
  link(fd: number, path: string, done: Completion): void;
  /** `renameat`: `target` is replaced. */
  rename(path: string, target: string, done: Completion): void;
  /** `unlinkat`. */
  unlink(path: string, done: Completion): void;
  /** `copy_file_range`. */
  copyRange(
    from: number,
    position: number,
    to: number,
    target: number,
    length: number,
    done: Completion,
  ): void;
  /** `flock` with LOCK_NB: never waits. */
  lock(fd: number, operation: number, done: Completion): void;

  /**
   * Queues steps that the kernel runs one after the other. False where it cannot: then nothing is queued.
   * {@linkcode inChain} is for callers.
   */
  chain?(steps: readonly ChainStep[]): boolean;

  /** `fstatfs` into `memory`, whose first 120 bytes become a `struct statfs`. */
  fileSystem(fd: number, memory: Memory, done: Completion): void;

  /** As {@linkcode stat}, at once, from what the kernel has in memory: never asks a disk or a server. */
  statNow(fd: number, memory: Memory): number;
  /** The path that a descriptor really leads to, at once; undefined where /proc is not to be had or it is not UTF-8. */
  realPath(fd: number): string | undefined;

  /** Hands everything queued to the kernel now, and not only when the current turn ends. */
  submit(): void;

  /** Zero or more bytes of memory, at least `size` long. What it held before is still in it. */
  acquire(size: number): Block;
  /** Gives memory back. The kernel must be done with it. */
  release(block: Block): void;
}

/** `AT_FDCWD`: paths are relative to the working directory. */
export const AT_FDCWD = -100;

/** Queues an operation and resolves to its result, which may be `-errno`. */
export function outcome(queue: (done: Completion) => void): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  queue({ complete: resolve });
  return promise;
}
