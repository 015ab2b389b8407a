// What both engines share: memory, paths in memory, counters, and the calls that do not block. Each engine adds how an
// operation reaches the kernel and how its result comes back.

import type { Shim } from "../../ffi/shim.ts";
import type { BufferBudget } from "./buffer_budget.ts";
import { countResult, type EngineCounters, newCounters } from "./counters.ts";
import type { Engine, EngineName } from "./engine.ts";
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_STATX_DONT_SYNC,
  Errno,
  O_CLOEXEC,
  O_DIRECTORY,
  O_PATH,
  O_RDONLY,
  Opcode,
  PATH_MAX,
  RESOLVE_CACHED,
  STATX_MASK,
} from "./linux.ts";
import type { Block, Completion, Memory, Operation } from "./operation.ts";
import { Pool, type Registrar } from "./pool.ts";
import { endsWithProcess } from "./process.ts";
import { callNow, pathsOf, prepareSqe, type Sqe } from "./sqe.ts";
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

/** A number for the device in a `struct statx`. */
function deviceOf(bytes: Uint8Array<ArrayBuffer>): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return view.getUint32(136, true) * 2 ** 20 + view.getUint32(140, true);
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
  abstract readonly name: EngineName;
  readonly counters: EngineCounters = newCounters();
  readonly budget: BufferBudget;
  readonly pool: Pool;
  readonly endsWithProcess: boolean;
  protected readonly shim: Shim;
  /** Everything was freed. Nothing is submitted any more. */
  protected disposed = false;
  protected readonly calls: ThreadCalls;
  readonly #pauses = new Set<Pause>();
  /** The devices of descriptors, from statx(2). */
  readonly #devices = new Map<number, number>();
  /**
   * A device of each mount, from statx(2), and the mounts of descriptors that statx(2) was not called for. A mount may have the
   * number of one that is gone: it is taken for that until statx(2) has shown its device.
   */
  readonly #mounts = new Map<number, number>();
  readonly #unseen = new Map<number, number>();
  /** The values of {@linkcode setThreaded}, by device. */
  readonly #threaded = new Map<number, boolean>();

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
      // A file is on its directory's device, unless statx(2) shows another one.
      const device = this.#devices.get(operation.directory);
      if (device !== undefined) this.#devices.set(result, device);
    }
    if (operation.op === "stat" && result >= 0) this.#noteDevice(operation);
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

  #forget(fd: number): void {
    this.#devices.delete(fd);
    this.#unseen.delete(fd);
  }

  setThreaded(fd: number, threaded: boolean): void {
    const device = this.#devices.get(fd);
    if (device !== undefined) this.#threaded.set(device, threaded);
  }

  isLocal(fd: number): boolean {
    const device = this.#devices.get(fd) ?? this.#deviceOfMount(fd);
    return device !== undefined && this.#threaded.get(device) === false;
  }

  /** The device that statx(2) showed for another descriptor of the same mount. */
  #deviceOfMount(fd: number): number | undefined {
    const mount = this.#mountOf(fd);
    if (mount >= 0) this.#unseen.set(fd, mount);
    return this.#mounts.get(mount);
  }

  /** The number of the mount of a descriptor (proc_pid_fdinfo(5)), for which no server is asked; -1 without /proc. */
  #mountOf(fd: number): number {
    let mount: string | undefined;
    this.#callWithPath(`/proc/self/fdinfo/${fd}`, (path, behind) => {
      const { dma_call } = this.shim;
      const info = dma_call(Opcode.OPENAT, AT_FDCWD, path, 0, 0, O_RDONLY | O_CLOEXEC);
      if (info < 0) return info;
      const length = dma_call(Opcode.READ, info, path + PATH_MAX, PATH_MAX, 0, 0);
      dma_call(Opcode.CLOSE, info, 0, 0, 0, 0);
      const text = decodeStrictly(behind.slice(0, Math.max(0, length))) ?? "";
      mount = /^mnt_id:\s*(\d+)$/m.exec(text)?.[1];
      return length;
    });
    return Number(mount ?? -1);
  }

  /** The device that a request is for; undefined if statx(2) was never called for its descriptor. */
  #deviceOf({ operation, sqe }: Request): number | undefined {
    return this.#devices.get("fd" in operation ? operation.fd : sqe.fd);
  }

  /**
   * Whether a request belongs on a thread. An open on a device of which {@linkcode setThreaded} has said nothing does: if the
   * name is in the kernel's cache, a ring opens the file within the submission, and some file systems ask a server then.
   */
  protected isThreaded(request: Request): boolean {
    const device = this.#deviceOf(request);
    if (device === undefined) return false;
    return this.#threaded.get(device) ?? request.operation.op === "open";
  }

  /** Makes the call of a request on one of Deno's threads, and settles it. */
  protected callOnThread(request: Request): void {
    const { operation, sqe } = request;
    const device = this.#deviceOf(request) ?? -1;
    if (operation.op === "close") this.#forget(operation.fd);
    const ended = (result: number) => {
      this.counters.wakeups++;
      this.settle(request, result);
    };
    const runs = this.calls.start(sqe, device, ended);
    if (runs) this.counters.submissions++;
    else this.counters.queueFull++;
  }

  // ---- without the event loop ---------------------------------------------------------------------------------------

  waitNow(milliseconds: number): boolean {
    const until = performance.now() + milliseconds;
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
    if (result >= 0) this.#noteDevice({ fd, memory });
    return result;
  }

  #noteDevice({ fd, memory }: { fd: number; memory: Memory }): void {
    const device = deviceOf(memory.bytes);
    this.#devices.set(fd, device);
    const mount = this.#unseen.get(fd);
    if (mount !== undefined) this.#mounts.set(mount, device);
    this.#unseen.delete(fd);
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
    this.#forget(fd);
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
