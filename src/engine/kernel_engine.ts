// What both engines share: memory, paths in memory, counters, and the calls that do not block. Each engine adds how an
// operation reaches the kernel and how its result comes back.

import type { Shim } from "../../ffi/shim.ts";
import { afterCallers } from "./event_loop.ts";
import type { BufferBudget } from "./buffer_budget.ts";
import { countResult, type EngineCounters, newCounters } from "./counters.ts";
import { Devices } from "./devices.ts";
import type { Engine } from "./engine.ts";
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_STATX_DONT_SYNC,
  Errno,
  O_CLOEXEC,
  O_DIRECTORY,
  O_PATH,
  Opcode,
  PATH_MAX,
  RESOLVE_CACHED,
  STATX_MASK,
} from "./linux.ts";
import type { Block, Completion, Memory, Operation } from "./operation.ts";
import { Pool, type Registrar } from "./pool.ts";
import { endsWithProcess, readKernelFile } from "./process.ts";
import { callNow, closeMany, pathsOf, prepareSqe, type Sqe } from "./sqe.ts";
import type { ThreadCalls } from "./thread_calls.ts";

const encoder = new TextEncoder();
const strictDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The text of a path; undefined if it is not UTF-8: a lenient decoder would return the path of another file. */
function decodeStrictly(bytes: Uint8Array<ArrayBuffer>): string | undefined {
  try {
    return strictDecoder.decode(bytes);
  } catch {
    return undefined;
  }
}

/** An operation under way. It keeps the operation's memory alive until the result is there. */
export interface Request {
  readonly operation: Operation;
  readonly sqe: Sqe;
  readonly completion: Completion;
  /** The memory of its paths, one after the other. */
  readonly paths: Block | undefined;
}

interface Pause {
  readonly operation: Operation;
  readonly completion: Completion;
  readonly due: number;
}

/** `struct open_how` of {@linkcode KernelEngine.openDirectoryNow}: flags, mode, resolve; 64 bits each. */
const OPEN_HOW = new Uint8Array(
  new BigUint64Array([BigInt(O_PATH | O_DIRECTORY | O_CLOEXEC), 0n, BigInt(RESOLVE_CACHED)]).buffer,
);

/** Copies paths into a block, where they outlive the isolate. False where one is too long. */
function placePaths({ bytes }: Block, paths: readonly string[]): boolean {
  return paths.every((path, index) => {
    const at = index * PATH_MAX;
    const { read, written } = encoder.encodeInto(path, bytes.subarray(at, at + PATH_MAX - 1));
    bytes[at + written] = 0;
    return read === path.length;
  });
}

/** The parts of an engine that do not depend on how operations reach the kernel. */
export abstract class KernelEngine implements Engine {
  abstract readonly name: "io_uring" | "threads";
  readonly counters: EngineCounters = newCounters();
  readonly budget: BufferBudget;
  readonly pool: Pool;
  readonly endsWithProcess: boolean;
  protected readonly shim: Shim;
  /** Everything was freed. Nothing is submitted any more. */
  protected disposed = false;
  protected readonly calls: ThreadCalls;
  readonly #pauses = new Set<Pause>();
  readonly #devices = new Devices((fd) => this.#mountOf(fd));
  /** Closes of this turn, by device. */
  readonly #closing = new Map<number, Request[]>();

  constructor(shim: Shim, budget: BufferBudget, calls: ThreadCalls, registrar?: Registrar) {
    this.shim = shim;
    this.budget = budget;
    this.calls = calls;
    this.pool = new Pool(shim, registrar);
    this.endsWithProcess = endsWithProcess(shim);
  }

  /** Starts one operation, now or later. {@linkcode settle} takes its result. */
  protected abstract start(request: Request): void;

  abstract flush(): void;

  /** Frees what the engine has of its own. */
  protected abstract free(): void;

  /** Settles the requests that the ring has completed. */
  protected abstract reapNow(): void;

  /** Blocks for this time, or until {@linkcode reapNow} has something to do. */
  protected abstract sleepNow(milliseconds: number): void;

  submit(operation: Operation, completion: Completion): void {
    if (this.disposed) return;
    this.counters.inFlight++;
    if (operation.op === "pause") {
      const { milliseconds } = operation;
      const pause = { operation, completion, due: performance.now() + milliseconds };
      this.#pauses.add(pause);
      setTimeout(() => this.#endPause(pause), milliseconds);
      return;
    }
    const request = this.#prepare(operation, completion);
    if (request) this.start(request);
    else queueMicrotask(() => this.#count(operation, completion, -Errno.ENAMETOOLONG));
  }

  /** Prepares an operation; undefined if a path is too long. */
  #prepare(operation: Operation, completion: Completion): Request | undefined {
    const names = pathsOf(operation);
    const paths = names.length > 0 ? this.acquire(names.length * PATH_MAX) : undefined;
    if (!paths || placePaths(paths, names)) {
      return { operation, sqe: prepareSqe(operation, paths?.address ?? 0), completion, paths };
    }
    this.release(paths);
    return undefined;
  }

  #endPause(pause: Pause): void {
    if (this.#pauses.delete(pause)) this.#count(pause.operation, pause.completion, 0);
  }

  /** Counts one result and passes it to the completion. */
  protected settle({ operation, completion, paths }: Request, result: number): void {
    if (paths) this.release(paths);
    if (operation.op === "open" && result >= 0) {
      this.shim.resources.trackDescriptor(result);
      this.#devices.noteOpen(result, operation.directory);
    }
    if (operation.op === "stat" && result >= 0) {
      this.#devices.note(operation.fd, operation.memory.bytes);
    }
    this.#count(operation, completion, result);
  }

  #count(operation: Operation, completion: Completion, result: number): void {
    this.counters.inFlight--;
    countResult(this.counters, operation, result);
    try {
      completion.complete(result);
    } catch (error) {
      // A completion that throws must not stop those behind it in the batch.
      reportError(error);
    }
  }

  setThreaded(fd: number, threaded: boolean): void {
    this.#devices.setThreaded(fd, threaded);
  }

  isLocal(fd: number): boolean {
    return this.#devices.isLocal(fd);
  }

  /** The number of the mount of a descriptor, for which no server is asked; -1 if it cannot be found out. */
  #mountOf(fd: number): number {
    const mount = this.shim.dma_call(Opcode.MOUNT_ID, fd, 0, 0, 0, AT_EMPTY_PATH);
    if (mount >= 0) return mount;
    // A file system without file handles, or a sandbox: proc_pid_fdinfo(5).
    const info = readKernelFile(this.shim, `/proc/self/fdinfo/${fd}`, 4096) ?? "";
    return Number(/^mnt_id:\s*(\d+)$/m.exec(info)?.[1] ?? -1);
  }

  /** The device that a request is for; undefined if it is not known. */
  #deviceOf({ operation, sqe }: Request): number | undefined {
    return this.#devices.of("fd" in operation ? operation.fd : sqe.fd);
  }

  /**
   * Whether a request belongs on a thread. An open on a device of which {@linkcode setThreaded} has said nothing does: if the
   * name is in the kernel's cache, a ring opens the file within the submission, and some file systems ask a server then.
   */
  protected isThreaded(request: Request): boolean {
    const device = this.#deviceOf(request);
    if (device === undefined) return false;
    return this.#devices.isThreaded(device) ?? request.operation.op === "open";
  }

  /** Makes the call of a request on one of Deno's threads, and settles it. */
  protected callOnThread(request: Request): void {
    const { operation } = request;
    const device = this.#deviceOf(request) ?? -1;
    if (operation.op !== "close") return this.#callFor(request, device);
    this.#devices.forget(operation.fd);
    this.#closeSoon(request, device);
  }

  #callFor(request: Request, device: number): void {
    this.#call(request.sqe, device, (result) => this.settle(request, result));
  }

  #call(sqe: Sqe, device: number, ended: (result: number) => void): void {
    const runs = this.calls.start(sqe, device, (result) => {
      this.counters.wakeups++;
      ended(result);
    });
    if (runs) this.counters.submissions++;
    else this.counters.queueFull++;
  }

  /** Closes a file, in one call with others of its device that are closed at the same time. */
  #closeSoon(request: Request, device: number): void {
    const others = this.#closing.get(device);
    if (others) {
      others.push(request);
      return;
    }
    this.#closing.set(device, [request]);
    afterCallers(() => this.#startCloses(device));
  }

  #startCloses(device: number): void {
    const requests = this.#closing.get(device) ?? [];
    this.#closing.delete(device);
    // A close may ask the server, and must not wait for another one.
    const together = requests.length > 1 && this.#devices.isThreaded(device) === false;
    if (together) this.#closeTogether(requests, device);
    else for (const request of requests) this.#callFor(request, device);
  }

  #closeTogether(requests: readonly Request[], device: number): void {
    const { length } = requests;
    let block: Block;
    try {
      block = this.acquire(4 * length);
    } catch {
      for (const request of requests) this.#callFor(request, device);
      return;
    }
    // The shim stores each result in the place of the descriptor.
    const results = new Int32Array(block.bytes.buffer, block.bytes.byteOffset, length);
    results.set(requests.map(({ sqe }) => sqe.fd));
    this.#call(closeMany(block.address, length), device, () => {
      requests.forEach((request, index) => this.settle(request, results[index]!));
      this.release(block);
    });
  }

  // ---- without the event loop ---------------------------------------------------------------------------------------

  waitNow(milliseconds: number): boolean {
    const until = performance.now() + milliseconds;
    for (const device of [...this.#closing.keys()]) this.#startCloses(device);
    for (let sleep = 0.02;; sleep = Math.min(2 * sleep, 1)) {
      const before = this.counters.inFlight;
      this.reapNow();
      this.calls.endNow();
      this.#endPauses();
      if (this.counters.inFlight !== before) return true;
      const left = until - performance.now();
      if (left <= 0 || before === 0) return false;
      // The end of a call on a thread or of a pause does not end the sleep.
      const onlyRing = this.calls.count === 0 && this.#pauses.size === 0;
      this.sleepNow(onlyRing ? left : Math.min(left, sleep));
    }
  }

  #endPauses(): void {
    const now = performance.now();
    for (const pause of [...this.#pauses]) if (pause.due <= now) this.#endPause(pause);
  }

  runNow(operation: Operation): number {
    const request = this.#prepare(operation, { complete: () => {} });
    if (!request) return -Errno.ENAMETOOLONG;
    const result = callNow(this.shim, request.sqe);
    this.counters.inFlight++;
    this.settle(request, result);
    return result;
  }

  /**
   * Frees memory and descriptors when the isolate ends and its thread does not. With operations in flight everything stays,
   * because their memory must.
   */
  dispose(): void {
    if (this.disposed || this.counters.inFlight > 0) return;
    this.disposed = true;
    this.free();
    this.pool.dispose();
    for (const fd of this.shim.resources.descriptors()) this.closeNow(fd);
  }

  statNow(fd: number, memory: Memory): number {
    const flags = AT_EMPTY_PATH | AT_STATX_DONT_SYNC;
    const { address } = memory;
    const result = this.#callWithPath(
      "",
      (path) => this.shim.dma_call(Opcode.STATX, fd, path, STATX_MASK, address, flags),
    );
    if (result >= 0) this.#devices.note(fd, memory.bytes);
    return result;
  }

  openDirectoryNow(path: string): number {
    const fd = this.#callWithPath(path, (path, behind) => {
      behind.set(OPEN_HOW);
      const { length } = OPEN_HOW;
      return this.shim.dma_call(Opcode.OPENAT2, AT_FDCWD, path, length, path + PATH_MAX, 0);
    });
    if (fd >= 0) this.shim.resources.trackDescriptor(fd);
    // The call came with kernel 5.6, and the flag with 5.12. A seccomp filter may refuse what it does not know.
    const cannotTell = fd === -Errno.ENOSYS || fd === -Errno.EINVAL || fd === -Errno.EPERM;
    return cannotTell ? -Errno.EAGAIN : fd;
  }

  openWorkingDirectory(): number {
    const flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
    const fd = this.#callWithPath(
      ".",
      (path) => this.shim.dma_call(Opcode.OPENAT, AT_FDCWD, path, 0, 0, flags),
    );
    if (fd >= 0) this.shim.resources.trackDescriptor(fd);
    return fd;
  }

  setFlags(fd: number, flags: number): number {
    return this.shim.dma_call(Opcode.SETFL, fd, 0, 0, 0, flags);
  }

  realPath(fd: number): string | undefined {
    let real: string | undefined;
    this.#callWithPath(`/proc/self/fd/${fd}`, (path, behind) => {
      const target = path + PATH_MAX;
      const length = this.shim.dma_call(Opcode.READLINK, AT_FDCWD, path, PATH_MAX, target, 0);
      // Copied: TextDecoder may keep its argument, and the block is released.
      if (length > 0) real = decodeStrictly(behind.slice(0, length));
      return length;
    });
    return real;
  }

  /** Makes a call with a path in memory, and PATH_MAX bytes behind it. */
  #callWithPath(
    path: string,
    call: (address: number, behind: Uint8Array<ArrayBuffer>) => number,
  ): number {
    const block = this.acquire(2 * PATH_MAX);
    try {
      if (!placePaths(block, [path])) return -Errno.ENAMETOOLONG;
      return call(block.address, block.bytes.subarray(PATH_MAX, 2 * PATH_MAX));
    } finally {
      this.release(block);
    }
  }

  closeNow(fd: number): void {
    this.#devices.forget(fd);
    if (this.shim.resources.untrackDescriptor(fd)) {
      this.shim.dma_call(Opcode.CLOSE, fd, 0, 0, 0, 0);
    }
  }

  acquire(size: number): Block {
    return this.pool.acquire(size);
  }

  release(block: Block): void {
    this.pool.release(block);
  }
}
