// What both engines share: memory, paths in memory, counters, and the calls that do not block. Each engine adds how an
// operation reaches the kernel and how its result comes back.

import type { Shim } from "../../ffi/shim.ts";
import { afterCallers, setTimeout } from "./event_loop.ts";
import type { BufferBudget } from "./buffer_budget.ts";
import { countResult, type EngineCounters, newCounters } from "./counters.ts";
import { Devices } from "./devices.ts";
import type { Engine } from "./engine.ts";
import {
  AT_FDCWD,
  Errno,
  O_CLOEXEC,
  O_DIRECTORY,
  O_PATH,
  Opcode,
  PATH_MAX,
  RESOLVE_CACHED,
} from "./linux.ts";
import type { Block, Completion, Memory, Operation } from "./operation.ts";
import { Pool } from "./pool.ts";
import { endsWithProcess, mountOf } from "./process.ts";
import { callNow, closeMany, prepareSqe, type Sqe } from "./sqe.ts";
import { ThreadCalls } from "./thread_calls.ts";

/** For waits that only the time ends. */
export const neverNotified: Int32Array<SharedArrayBuffer> = new Int32Array(
  new SharedArrayBuffer(4),
);
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
  /** The device of its file; undefined if it is not known. */
  readonly device: number | undefined;
}

/** For operations whose result the caller gets. */
const NOBODY: Completion = { complete() {} };

/** `struct open_how` of {@linkcode KernelEngine.openDirectoryNow}: flags, mode, resolve; 64 bits each. */
const OPEN_HOW = new Uint8Array(
  new BigUint64Array([BigInt(O_PATH | O_DIRECTORY | O_CLOEXEC), 0n, BigInt(RESOLVE_CACHED)]).buffer,
);

/** Copies a path to a place in a block, where it outlives the isolate. The kernel refuses one that is too long to end there. */
function placePath({ bytes }: Block, path: string, at: number): void {
  const { read, written } = encoder.encodeInto(path, bytes.subarray(at, at + PATH_MAX));
  if (read < path.length) bytes.fill(1, at + written, at + PATH_MAX);
  else if (written < PATH_MAX) bytes[at + written] = 0;
}

/** The engine that makes every call on a thread. With a ring it makes those that the ring does not perform. */
export abstract class KernelEngine implements Engine {
  abstract readonly name: "io_uring" | "threads";
  readonly counters: EngineCounters = newCounters();
  readonly budget: BufferBudget;
  readonly pool: Pool;
  readonly endsWithProcess: boolean;
  protected readonly shim: Shim;
  /** Everything was freed. Nothing is submitted any more. */
  protected disposed = false;
  readonly #calls: ThreadCalls;
  /** The pauses under way, and when they end. */
  readonly #pauses = new Map<Request, number>();
  readonly #devices = new Devices((fd) => mountOf(this.shim, fd));
  /** Closes of this turn, by device. */
  readonly #closing = new Map<number | undefined, Request[]>();

  /** `threads` calls run at once. For `turn` see {@linkcode ThreadCalls}. */
  constructor(shim: Shim, budget: BufferBudget, threads: number, turn?: () => Promise<void>) {
    this.shim = shim;
    this.budget = budget;
    this.pool = new Pool(shim);
    this.#calls = new ThreadCalls(shim, this.counters, threads, turn);
    this.endsWithProcess = endsWithProcess(shim);
  }

  // ---- what an engine with a ring does in another way -----------------------------------------------------------------

  /** Starts one operation, now or later. {@linkcode settle} takes its result. */
  protected start(request: Request): void {
    this.callOnThread(request);
  }

  /** Calls on threads start as they are submitted. */
  flush(): void {}

  /** Settles the requests that a ring has completed. */
  protected reapNow(): void {}

  /** Blocks for this time, or until {@linkcode reapNow} has something to do. */
  protected sleepNow(milliseconds: number): void {
    Atomics.wait(neverNotified, 0, 0, milliseconds);
  }

  /** Frees what the engine has of its own. */
  protected free(): void {}

  // ---- operations -------------------------------------------------------------------------------------------------

  submit(operation: Operation, completion: Completion): void {
    if (this.disposed) return;
    const request = this.#prepare(operation, completion);
    this.counters.inFlight++;
    if (operation.op !== "pause") return this.start(request);
    const { milliseconds } = operation;
    this.#pauses.set(request, performance.now() + milliseconds);
    setTimeout(() => this.#endPause(request), milliseconds);
  }

  /** Lays an operation out, with its paths in memory. */
  #prepare(operation: Operation, completion: Completion): Request {
    const sqe = prepareSqe(operation);
    const device = this.#devices.of("fd" in operation ? operation.fd : sqe.fd);
    const { length } = sqe.paths;
    if (length === 0) return { operation, sqe, completion, paths: undefined, device };
    const paths = this.acquire(length * PATH_MAX);
    sqe.paths.forEach((path, index) => placePath(paths, path, index * PATH_MAX));
    sqe.address = paths.address;
    if (length > 1) sqe.offset = paths.address + PATH_MAX;
    return { operation, sqe, completion, paths, device };
  }

  #endPause(pause: Request): void {
    if (this.#pauses.delete(pause)) this.settle(pause, 0);
  }

  /** An operation has ended. */
  #end({ operation, paths }: Request, result: number): void {
    if (paths) this.release(paths);
    if (operation.op === "open" && result >= 0) {
      this.shim.resources.trackDescriptor(result);
      this.#devices.noteOpen(result, operation.directory);
    }
    if (operation.op === "stat" && result >= 0) {
      this.#devices.note(operation.fd, operation.memory.bytes);
    }
  }

  /** Counts one result and passes it to the completion. */
  protected settle(request: Request, result: number): void {
    const { operation, completion } = request;
    this.#end(request, result);
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

  /**
   * Whether a request belongs on a thread. An open on a device of which {@linkcode setThreaded} has said nothing does: if the
   * name is in the kernel's cache, a ring opens the file within the submission, and some file systems ask a server then.
   */
  protected isThreaded({ operation, device }: Request): boolean {
    return this.#devices.isThreaded(device) ?? (device !== undefined && operation.op === "open");
  }

  /** Makes the call of a request on one of Deno's threads, and settles it. */
  protected callOnThread(request: Request): void {
    const { operation, device } = request;
    if (operation.op !== "close") return this.#call(request);
    this.#devices.forget(operation.fd);
    // Others of its device that are closed at the same time are closed in the same call.
    const others = this.#closing.get(device);
    if (others) {
      others.push(request);
      return;
    }
    this.#closing.set(device, [request]);
    afterCallers(() => this.#startCloses(device));
  }

  #call(request: Request): void {
    this.#calls.start(request.sqe, request.device, (result) => this.settle(request, result));
  }

  #startCloses(device: number | undefined): void {
    const requests = this.#closing.get(device) ?? [];
    this.#closing.delete(device);
    // A close may ask the server, and must not wait for another one.
    const together = requests.length > 1 && this.#devices.isThreaded(device) === false;
    if (together) this.#closeTogether(requests, device);
    else for (const request of requests) this.#call(request);
  }

  #closeTogether(requests: readonly Request[], device: number | undefined): void {
    const { length } = requests;
    let block: Block;
    try {
      block = this.acquire(4 * length);
    } catch {
      for (const request of requests) this.#call(request);
      return;
    }
    // The shim stores each result in the place of the descriptor.
    const results = new Int32Array(block.bytes.buffer, block.bytes.byteOffset, length);
    results.set(requests.map(({ sqe }) => sqe.fd));
    this.#calls.start(closeMany(block.address, length), device, () => {
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
      this.#calls.endNow();
      this.#endPauses();
      if (this.counters.inFlight !== before) return true;
      const left = until - performance.now();
      if (left <= 0 || before === 0) return false;
      // The end of a call on a thread or of a pause does not end the sleep.
      const onlyRing = this.#calls.count === 0 && this.#pauses.size === 0;
      this.sleepNow(onlyRing ? left : Math.min(left, sleep));
    }
  }

  #endPauses(): void {
    const now = performance.now();
    for (const [pause, due] of [...this.#pauses]) if (due <= now) this.#endPause(pause);
  }

  runNow(operation: Operation): number {
    const result = this.#performNow(operation);
    countResult(this.counters, operation, result);
    return result;
  }

  #performNow(operation: Operation): number {
    const request = this.#prepare(operation, NOBODY);
    const result = callNow(this.shim, request.sqe);
    this.#end(request, result);
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
    return this.#performNow({ op: "stat", fd, memory, cached: true });
  }

  openDirectoryNow(path: string): number {
    const block = this.acquire(2 * PATH_MAX);
    placePath(block, path, 0);
    block.bytes.set(OPEN_HOW, PATH_MAX);
    const { address } = block;
    const how = address + PATH_MAX;
    const fd = this.shim.dma_call(Opcode.OPENAT2, AT_FDCWD, address, OPEN_HOW.length, how, 0);
    this.release(block);
    if (fd >= 0) this.shim.resources.trackDescriptor(fd);
    // The call came with kernel 5.6, and the flag with 5.12. A seccomp filter may refuse what it does not know.
    const cannotTell = fd === -Errno.ENOSYS || fd === -Errno.EINVAL || fd === -Errno.EPERM;
    return cannotTell ? -Errno.EAGAIN : fd;
  }

  openWorkingDirectory(): number {
    const flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
    return this.#performNow({ op: "open", directory: AT_FDCWD, name: ".", flags, mode: 0 });
  }

  setFlags(fd: number, flags: number): number {
    return this.shim.dma_call(Opcode.SETFL, fd, 0, 0, 0, flags);
  }

  realPath(fd: number): string | undefined {
    const block = this.acquire(2 * PATH_MAX);
    placePath(block, `/proc/self/fd/${fd}`, 0);
    const { address, bytes } = block;
    const target = address + PATH_MAX;
    const length = this.shim.dma_call(Opcode.READLINK, AT_FDCWD, address, PATH_MAX, target, 0);
    // Copied: TextDecoder may keep its argument, and the block is released.
    const real = bytes.slice(PATH_MAX, PATH_MAX + Math.max(0, length));
    this.release(block);
    return length > 0 ? decodeStrictly(real) : undefined;
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
