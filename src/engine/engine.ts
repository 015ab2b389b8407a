// The interface between this module and the kernel. KernelEngine implements it, and a kernel in memory in the tests.

import type { DmaError } from "../errors.ts";
import type { BufferBudget } from "./buffer_budget.ts";
import type { Counters } from "./counters.ts";
import { performance } from "./event_loop.ts";
import type { Completion, Memory, Operation } from "./operation.ts";

/** The device of a file system. */
export interface Device {
  /**
   * Whether it has a major number, as a disk: then the open of a name in the kernel's cache does not wait. Without one it
   * may: an overlay asks the server of a lower layer, or copies its file, and btrfs reads to open a directory.
   */
  readonly hasDisk: boolean;
  /** False if calls for its files may wait for a server: threads make them. Undefined until `fileSystemOf` sets it. */
  isLocal: boolean | undefined;
}

export interface Engine {
  readonly name: "io_uring" | "threads";
  readonly counters: Counters;
  readonly budget: BufferBudget;
  /** Whether this isolate ends only with the process. If not, operations must not use JavaScript's own memory. */
  readonly endsWithProcess: boolean;
  /** The bytes of a page of memory. */
  readonly pageSize: number;

  /** Queues an operation and returns at once. Its memory belongs to the kernel until `completion` is called. */
  submit(operation: Operation, completion: Completion): void;
  /** Submits all queued operations now: the microtask that submits them may come after other work of the program. */
  flush(): void;

  /** Performs an operation on this thread: it cannot wait for the event loop, or needs only the kernel's memory. */
  runNow(operation: Operation): number;
  /** Blocks until an operation has ended and completes it, for `milliseconds` at most. Returns whether one has. */
  waitNow(milliseconds: number): boolean;

  /** The device of a descriptor's file; undefined if it is not known. */
  deviceOf(fd: number): Device | undefined;
  /** Identifies the directory at a path, or an open one. Undefined if the lookup would wait, or without file handles. */
  identify(directory: number, path: string): string | undefined;
  /** Sets the status flags of a descriptor (`F_SETFL`), as O_DIRECT. Returns 0 or `-errno`. */
  setFlags(fd: number, flags: number): number;
  /** The real path of a descriptor; undefined if /proc is not mounted or the path is not UTF-8. */
  realPath(fd: number): string | undefined;

  /** Memory of at least `size` bytes, with its old contents. */
  acquire(size: number): Memory;
  /** Releases memory, which the kernel must no longer use. */
  release(memory: Memory): void;
}

/** The longest single wait on the JavaScript thread. The awaited event may happen without a completion. */
const LONGEST_WAIT_MS = 1000;

/** Blocks until an operation has ended, or for a while. Returns false if none is in flight, or at `deadline`. */
export function waitUntil(engine: Engine, deadline: number): boolean {
  const left = deadline - performance.now();
  if (left > 0 && engine.waitNow(Math.min(left, LONGEST_WAIT_MS))) return true;
  return left > LONGEST_WAIT_MS && engine.counters.inFlight > 0;
}

/** Submits an operation and resolves to its result, which may be `-errno`. */
export function run(engine: Engine, operation: Operation): Promise<number> {
  return new Promise((resolve) => engine.submit(operation, { complete: resolve }));
}

/** Returns the result of work, or the error that it throws: a completion must not throw. */
export function attempt<T>(work: () => T): T | DmaError {
  try {
    return work();
  } catch (error) {
    return error as DmaError;
  }
}

/** The end of the last work in turn on each object. */
const lastTurns = new WeakMap<object, Promise<unknown>>();

/** Runs work when all earlier work on the same object has ended, even if that has failed. */
export function inTurn<T>(object: object, work: () => Promise<T>): Promise<T> {
  const done = (lastTurns.get(object) ?? Promise.resolve()).then(work);
  lastTurns.set(object, done.catch(() => {}));
  return done;
}

/** Gets the outcome of work, also while the thread is blocked, when no promise settles. */
export type Ended<T> = (outcome: T | DmaError) => void;

/** Turns such a callback into a promise. */
export function promiseOf<T>(begin: (ended: Ended<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    begin((outcome) => outcome instanceof Error ? reject(outcome) : resolve(outcome));
  });
}
