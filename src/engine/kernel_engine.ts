// The engine of the kernel. The ring performs the operations that it supports, and Deno's threads the others.

import type { Shim } from "../../ffi/shim.ts";
import type { BufferBudget } from "./buffer_budget.ts";
import { Counters } from "./counters.ts";
import { Devices } from "./devices.ts";
import { type Device, type Engine, waitUntil } from "./engine.ts";
import { neverNotified, pauseFor, performance, queueMicrotask } from "./event_loop.ts";
import type { KernelRing } from "./kernel_ring.ts";
import { Errno, F_SETFL, O_PATH, Opcode } from "./linux.ts";
import type { Completion, Memory, Operation } from "./operation.ts";
import { Pool } from "./pool.ts";
import { endsWithProcess, isTest, realPathOf } from "./process.ts";
import { Ring } from "./ring.ts";
import { closeNow, closeSmall, prepareSqe, type Request, type Sqe } from "./sqe.ts";
import { ThreadCalls } from "./thread_calls.ts";

export class KernelEngine implements Engine {
  readonly counters: Counters = new Counters();
  readonly endsWithProcess: boolean;
  readonly pageSize: number;
  readonly ring: Ring | undefined;
  readonly pool: Pool;
  readonly #isTest: boolean;
  readonly #shim: Shim;
  readonly #calls: ThreadCalls;
  readonly #devices: Devices;
  /** The running pauses, and the time of their ends. */
  readonly #pauses = new Map<Request, number>();
  /** The quick closes that are due. */
  readonly #closing: Request[] = [];
  /** Whether the descriptors are closed. Their numbers may be other files', so every operation ends with EBADFD. */
  #disposed = false;

  /** At most `threads` calls run at once. The engine owns the ring. */
  constructor(shim: Shim, readonly budget: BufferBudget, threads: number, ring?: KernelRing) {
    const { counters } = this;
    this.#shim = shim;
    this.endsWithProcess = endsWithProcess(shim);
    this.pageSize = shim.pageSize;
    this.#isTest = isTest(shim);
    const ended = (request: Request, result: number) => this.#settle(request, result);
    // This module cancels nothing. The ring or the kernel cancels operations that it cannot perform.
    const endedInRing = (request: Request, result: number) =>
      result === -Errno.ECANCELED ? this.#calls.start(request) : ended(request, result);
    this.ring = ring && new Ring(ring, counters, endedInRing);
    this.pool = new Pool(shim, ring);
    this.#devices = new Devices(shim);
    this.#calls = new ThreadCalls(shim, counters, threads, ended);
  }

  get name(): "io_uring" | "threads" {
    return this.ring ? "io_uring" : "threads";
  }

  submit(operation: Operation, completion: Completion): void {
    if (this.#disposed) return void queueMicrotask(() => completion.complete(-Errno.EBADFD));
    const sqe = prepareSqe(this, operation);
    const request = { operation, sqe, completion, device: this.#deviceOf(operation, sqe) };
    this.counters.inFlight++;
    if (operation.op === "close") this.#close(request, operation.quick);
    else if (operation.op === "pause") this.#pause(request, operation.milliseconds);
    else this.#start(request);
  }

  /** The device whose server an operation may wait for. */
  #deviceOf(operation: Operation, { fd }: Sqe): Device | undefined {
    // The entry of a link through /proc does not have the file's descriptor.
    const device = this.#devices.of(operation.op === "link" ? operation.fd : fd);
    // With O_PATH a symbolic link is followed, which may lead from a disk to a server.
    const follows = operation.op === "open" && (operation.flags & O_PATH) !== 0;
    return follows && device?.isLocal ? undefined : device;
  }

  #start(request: Request): void {
    const { operation: { op }, sqe, device } = request;
    // Elsewhere than on a disk an open may wait within its submission.
    if (op === "open") sqe.forceAsync = !device?.hasDisk;
    // Calls that wait for a server keep the threads that its device may use, and no kernel threads, which others need.
    const needsThread = device && !(device.isLocal ?? op !== "open");
    if (needsThread || !this.ring?.start(request)) this.#calls.start(request);
  }

  #pause(request: Request, milliseconds: number): void {
    this.#pauses.set(request, performance.now() + milliseconds);
    pauseFor(milliseconds).then(() => this.#endPause(request));
  }

  flush(): void {
    this.ring?.flush();
  }

  /**
   * Closes a descriptor, never on the ring: if a kernel thread closes it, it stays open for a moment after the
   * completion. The JavaScript thread closes a small file that has a name. In a test it first waits until the thread that
   * awaits completions has returned: Deno would report its call as a leak. Elsewhere it does not wait, because all threads
   * may be in use.
   */
  #close(request: Request, quick = false): void {
    this.#devices.forget(request.sqe.fd);
    if (!quick) return this.#calls.start(request);
    if (this.#closing.push(request) > 1) return;
    const returning = this.#isTest ? this.ring?.notifier.returning : undefined;
    Promise.resolve(returning).then(() => this.#closeNow());
  }

  #closeNow(): void {
    for (const request of this.#closing.splice(0)) {
      const result = closeSmall(this.#shim, request.sqe.fd);
      if (result === -Errno.EAGAIN) this.#calls.start(request);
      else this.#settle(request, result);
    }
  }

  #endPause(pause: Request): void {
    if (this.#pauses.delete(pause)) this.#settle(pause, 0);
  }

  /** Releases the paths of an operation, and records its descriptor or device. */
  #note(operation: Operation, { fd, paths }: Sqe, result: number): void {
    if (paths) this.release(paths);
    if (result < 0) return;
    const { op } = operation;
    if (op === "open") {
      this.#shim.resources.trackDescriptor(result);
      this.#devices.noteOpen(result, fd);
    } else if (op === "stat" && operation.name === "") {
      this.#devices.note(fd, operation.memory.bytes);
    }
  }

  #settle(request: Request, result: number): void {
    const { operation, completion, sqe } = request;
    this.#note(operation, sqe, result);
    this.counters.inFlight--;
    this.counters.count(operation, result);
    try {
      completion.complete(result);
    } catch (error) {
      // An unhandled rejection comes after the batch, so that the end of the program can wait for more completions.
      Promise.reject(error);
    }
  }

  waitNow(milliseconds: number): boolean {
    const until = performance.now() + milliseconds;
    for (let sleep = 0.02;; sleep = Math.min(2 * sleep, 1)) {
      const before = this.counters.inFlight;
      this.#closeNow();
      this.ring?.reapNow();
      this.#calls.endNow();
      const now = performance.now();
      for (const [pause, due] of [...this.#pauses]) if (due <= now) this.#endPause(pause);
      if (this.counters.inFlight !== before) return true;
      const left = until - performance.now();
      if (left <= 0 || before === 0) return false;
      // The end of a call on a thread or of a pause does not end the sleep.
      const longest = Math.min(left, sleep);
      if (this.ring) this.ring.kernel.wait(longest);
      else Atomics.wait(neverNotified, 0, 0, longest);
    }
  }

  runNow(operation: Operation): number {
    if (this.#disposed) return -Errno.EBADFD;
    if (operation.op === "close") {
      this.#devices.forget(operation.fd);
      return closeNow(this.#shim, operation.fd);
    }
    const sqe = prepareSqe(this, operation);
    const { opcode, fd, address, length, offset, flags } = sqe;
    const result = this.#shim.dma_call(opcode, fd, address, length, offset, flags);
    this.#note(operation, sqe, result);
    // Operations that the kernel performs in memory are not counted.
    if (operation.op !== "open" && operation.op !== "stat") this.counters.count(operation, result);
    return result;
  }

  /** Releases everything if the isolate ends before its thread. Returns false if operations are in flight at `deadline`. */
  dispose(deadline: number): boolean {
    this.#disposed = true;
    this.#pauses.forEach((_, pause) => this.#endPause(pause));
    // The kernel still uses the memory. A later call tries again.
    while (this.counters.inFlight > 0) if (!waitUntil(this, deadline)) return false;
    if (this.ring?.notifier.returnNow(deadline) === false) return false;
    this.pool.dispose();
    this.ring?.close();
    for (const fd of this.#shim.resources.descriptors()) closeNow(this.#shim, fd);
    return true;
  }

  deviceOf(fd: number): Device | undefined {
    return this.#devices.find(fd);
  }

  identify(directory: number, path: string): string | undefined {
    return this.#disposed ? undefined : this.#devices.identify(directory, path);
  }

  setFlags(fd: number, flags: number): number {
    if (this.#disposed) return -Errno.EBADFD;
    return this.#shim.dma_call(Opcode.FCNTL, fd, 0, F_SETFL, 0, flags);
  }

  realPath(fd: number): string | undefined {
    return realPathOf(this.#shim, fd);
  }

  acquire(size: number): Memory {
    return this.pool.acquire(size);
  }

  release(memory: Memory): void {
    this.pool.release(memory);
  }
}
