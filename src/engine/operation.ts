// The operations that an engine performs, as values: they can be shown, counted, held, and failed.

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
  /** Bytes that may be used: at least what was asked for. */
  readonly size: number;
}

/** A read or a write of `length` bytes at `position`, into or from `memory` at `offset`. */
interface Transferring {
  readonly fd: number;
  readonly memory: Memory;
  readonly offset: number;
  readonly length: number;
  readonly position: number;
}

/** pread(2). */
export interface ReadOperation extends Transferring {
  readonly op: "read";
}

/** pwrite(2). */
export interface WriteOperation extends Transferring {
  readonly op: "write";
  /** The file goes through the page cache: a kernel thread makes the copy, and not the JavaScript thread. */
  readonly buffered: boolean;
}

/** What an engine can do. Each value is one system call. */
export type Operation =
  | ReadOperation
  | WriteOperation
  /** openat(2). */
  | {
    readonly op: "open";
    readonly directory: number;
    readonly name: string;
    readonly flags: number;
    readonly mode: number;
  }
  /** close(2). */
  | { readonly op: "close"; readonly fd: number }
  /** fsync(2), or with `dataOnly` fdatasync(2). */
  | { readonly op: "sync"; readonly fd: number; readonly dataOnly: boolean }
  /** fallocate(2). */
  | {
    readonly op: "allocate";
    readonly fd: number;
    readonly mode: number;
    readonly position: number;
    readonly length: number;
  }
  /** ftruncate(2). */
  | { readonly op: "truncate"; readonly fd: number; readonly length: number }
  /** statx(2) of a descriptor. The first 256 bytes of `memory` become a `struct statx`. */
  | { readonly op: "stat"; readonly fd: number; readonly memory: Memory }
  /** fstatfs(2). The first 120 bytes of `memory` become a `struct statfs`. */
  | { readonly op: "statfs"; readonly fd: number; readonly memory: Memory }
  /** linkat(2) of a descriptor. The name must not exist. */
  | {
    readonly op: "link";
    readonly fd: number;
    readonly directory: number;
    readonly name: string;
  }
  /** renameat(2). The target is replaced. */
  | {
    readonly op: "rename";
    readonly directory: number;
    readonly name: string;
    readonly targetDirectory: number;
    readonly targetName: string;
  }
  /** unlinkat(2). */
  | { readonly op: "unlink"; readonly directory: number; readonly name: string }
  /** copy_file_range(2). */
  | {
    readonly op: "copyRange";
    readonly fd: number;
    readonly position: number;
    readonly targetFd: number;
    readonly targetPosition: number;
    readonly length: number;
  }
  /** flock(2) with LOCK_NB: never waits. */
  | { readonly op: "lock"; readonly fd: number; readonly operation: number }
  /** Nothing, for so long. */
  | { readonly op: "pause"; readonly milliseconds: number };

/** The name of an operation: what errors report as `op`. */
export type OperationName = Operation["op"];

/**
 * Receives the result of one operation: a count of bytes, a descriptor or 0, or `-errno`.
 *
 * It is called exactly once, and never in the turn of the event loop in which the operation was submitted.
 */
export interface Completion {
  /** Takes the result. Must not throw. */
  complete(result: number): void;
}
