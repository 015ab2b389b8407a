// The operations that an engine performs, as values. A value can be shown, counted, held and failed.

/** Bytes in memory that no other thread of JavaScript has. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** Memory that the kernel may access while an operation is in flight. It never moves. */
export interface Memory {
  /** A view of the memory. A user never gets it while the kernel uses the memory. */
  readonly bytes: Bytes;
  /** Its address, aligned as the file requires. */
  readonly address: number;
  /** Its index among the ring's registered buffers, or -1. */
  readonly registration: number;
}

type Op<Name extends string, Fields> = Readonly<{ op: Name } & Fields>;

/** `length` bytes at `position` of a file, into or from the start of `memory`. */
export interface TransferRange {
  readonly memory: Memory;
  readonly length: number;
  readonly position: number;
}

/** The memory is used from `offset` on. One that `waits` for the disk, or copies to the page cache, has a kernel thread. */
type Transferred = TransferRange & { fd: number; offset: number; waits?: boolean };

/** The operations of an engine. Each value except a pause is one system call. */
export type Operation =
  /** pread(2). */
  | Op<"read", Transferred>
  /** pwritev2(2) with `RWF_*` flags. */
  | Op<"write", Transferred & { flags: number }>
  /** openat(2). With `RESOLVE_*` flags openat2(2), which creates no file. Only `runNow` supports RESOLVE_CACHED. */
  | Op<"open", { directory: number; name: string; flags: number; mode: number; resolve: number }>
  /** close(2). A `quick` one writes nothing. It runs on the JavaScript thread if it frees only a few blocks. */
  | Op<"close", { fd: number; quick?: boolean }>
  /** dup3(2) of a new descriptor of the file, which only reads, to this one. */
  | Op<"reopen", { fd: number }>
  /** fsync(2), or with `dataOnly` fdatasync(2). */
  | Op<"sync", { fd: number; dataOnly: boolean }>
  /**
   * fallocate(2). Before it fails for lack of space, it may take all of it for a moment. So it fails at once if there
   * cannot be room, or if it needs more than the free space divided by `parts`. With 0 there is no limit.
   */
  | Op<"allocate", { fd: number; mode: number; position: number; length: number; parts: number }>
  /** ftruncate(2). */
  | Op<"truncate", { fd: number; length: number }>
  /**
   * statx(2) of a descriptor, or of a `name` in its directory if that is not empty. `cached` accepts the facts in the
   * kernel's memory (AT_STATX_DONT_SYNC). A `cached` name must be in the kernel's cache, as for an open, and only
   * `runNow` supports it. The first 256 bytes of `memory` become a `struct statx`. The name is stored after them.
   */
  | Op<"stat", { fd: number; name: string; follow: boolean; memory: Memory; cached: boolean }>
  /** fstatfs(2). The first 120 bytes of `memory` become a `struct statfs`. */
  | Op<"statfs", { fd: number; memory: Memory }>
  /** linkat(2) of a descriptor: by its name in /proc, or with AT_EMPTY_PATH. The name must not exist. */
  | Op<"link", { fd: number; byProc: boolean; directory: number; name: string }>
  /** renameat(2). The target is replaced. */
  | Op<"rename", { directory: number; name: string; targetDirectory: number; targetName: string }>
  /** unlinkat(2). */
  | Op<"unlink", { directory: number; name: string }>
  /** copy_file_range(2). */
  | Op<
    "copyRange",
    { fd: number; position: number; targetFd: number; targetPosition: number; length: number }
  >
  /** flock(2) with LOCK_NB: never waits. */
  | Op<"lock", { fd: number; operation: number }>
  /** Ends after this time. No system call. */
  | Op<"pause", { milliseconds: number }>;

export type OperationName = Operation["op"];

/** Takes a count of bytes, a descriptor, 0 or `-errno`: exactly once, and never within `submit`. It must not throw. */
export interface Completion {
  complete(result: number): void;
}
