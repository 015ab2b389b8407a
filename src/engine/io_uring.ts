// The engine over io_uring: one ring for all files of an isolate. Operations are prepared in the ring and submitted together
// in a microtask, or by flush(). Completions are reaped in batches when the eventfd wakes the event loop.

import type { Liburing } from "../../ffi/liburing.ts";
import type { Shim } from "../../ffi/shim.ts";
import type { BufferBudget } from "./buffer_budget.ts";
import { afterCallers, eventLoopTurn, queueMicrotask, setTimeout } from "./event_loop.ts";
import { KernelEngine, neverNotified, type Request } from "./kernel_engine.ts";
import { Errno, IOSQE_ASYNC, Opcode } from "./linux.ts";
import { type Notifier, openEpollNotifier, ThreadNotifier } from "./notifier.ts";
import { BATCH, openRing, type Ring } from "./ring.ts";

/**
 * After this many wake-ups with few operations in flight, epoll wakes the event loop. Setting it up takes as long as 400
 * faster wake-ups save. With more operations in flight nothing waits for a single wake-up, and nothing is saved.
 */
const EPOLL_AFTER_WAKEUPS = 400;
const FEW_IN_FLIGHT = 2;

/** The most completions between two turns of the event loop. */
const MAX_PER_TURN = 512;

/** The interval in which completions are polled for until the first wake-up, in milliseconds. */
const POLL_MS = 1000;

/** Submissions in a row, a millisecond apart, that may be refused for lack of memory before threads take over. */
const MAX_REFUSALS = 1000;

/** Performs operations through one ring. Requests cannot outnumber completion entries, so none overflows. */
export class IoUringEngine extends KernelEngine {
  readonly name = "io_uring";
  readonly liburing: Liburing;
  readonly ring: Ring;
  /** Operations that this kernel's io_uring lacks and that run on threads instead. */
  readonly missing: readonly string[];
  #notifier: Notifier;

  // One slot per request in flight. Its index is the request's user_data.
  readonly #slots: (Request | null)[];
  readonly #freeSlots: number[];

  /** Requests that wait for a slot. */
  readonly #backlog: Request[] = [];
  /** Entries in the submission queue that the kernel has not taken, and their slots in its order. */
  #prepared = 0;
  readonly #preparedSlots: Uint32Array;
  #refusals = 0;
  /** The kernel takes no submission any more. */
  #broken = false;
  /** Requests of the ring that have not ended, which the notifier must wake for. */
  #awaited = 0;
  /** Wake-ups with few operations in flight. */
  #loneWakeups = 0;
  #scheduled = false;
  #reaping = false;
  /** Whether the notifier has ever woken the event loop, and the timer that polls until then. */
  #woken = false;
  #polls = false;
  /** Completions in this turn of the event loop. */
  #completed = 0;

  /**
   * Makes a ring with `entries` submission entries; `threads` calls run at once of what the ring does not do. Throws
   * `RingRefused`.
   */
  constructor(
    shim: Shim,
    liburing: Liburing,
    budget: BufferBudget,
    threads: number,
    entries: number,
  ) {
    super(shim, budget, threads);
    this.liburing = liburing;
    this.#notifier = new ThreadNotifier(shim, this.#wake);
    try {
      this.ring = openRing(shim, liburing, entries, this.#notifier.fd);
    } catch (error) {
      this.#notifier.stop();
      throw error;
    }
    const { depth, supported, registrar } = this.ring;
    this.#preparedSlots = new Uint32Array(this.ring.entries);
    this.pool.registrar = registrar;
    this.missing = Object.entries(Opcode)
      .filter(([, opcode]) => opcode !== Opcode.NOP && supported[opcode] === 0)
      .map(([name]) => name);
    this.#slots = new Array(depth).fill(null);
    this.#freeSlots = Array.from({ length: depth }, (_, index) => depth - 1 - index);
  }

  /** How completions wake the event loop now. */
  get notifier(): string {
    return this.#notifier.name;
  }

  protected override free(): void {
    this.#notifier.stop();
    this.ring.close();
  }

  // ---- being woken ------------------------------------------------------------------------------------------------

  readonly #wake = (): void => {
    const { counters } = this;
    counters.wakeups++;
    this.#woken = true;
    if (counters.inFlight <= FEW_IN_FLIGHT && ++this.#loneWakeups === EPOLL_AFTER_WAKEUPS) {
      this.#useEpoll();
    }
    this.#reapInNewTurn();
  };

  readonly #reapInNewTurn = (): void => {
    this.#completed = 0;
    this.reapNow();
  };

  /**
   * Polls for completions. Seen once in some thousand rings: the first operation of a ring ended, or never began, and did
   * not wake the event loop. A timer of Deno would take 10 ms to load, and this one does not keep the program alive.
   */
  async #pollLater(): Promise<void> {
    this.#polls = true;
    await Atomics.waitAsync(neverNotified, 0, 0, POLL_MS).value;
    this.#polls = false;
    if (this.#woken || this.#awaited === 0 || this.disposed) return;
    // Even what no flag of the ring tells of is completed by a wait.
    this.sleepNow(0);
    this.#reapInNewTurn();
    if (this.#awaited > 0) this.#pollLater();
  }

  async #useEpoll(): Promise<void> {
    // Deno does not close the descriptor of a handle when a Worker is terminated, and panics if it loads node:process without
    // /proc.
    if (!this.endsWithProcess || this.realPath(this.#notifier.fd) === undefined) return;
    const notifier = await openEpollNotifier(this.shim, this.#wake).catch(() => undefined);
    if (!notifier) return;
    this.liburing.io_uring_unregister_eventfd(this.ring.pointer);
    if (this.#register(notifier)) {
      if (this.#awaited > 0) notifier.ref();
      this.#notifier.stop();
      this.#notifier = notifier;
    } else {
      notifier.stop();
      this.#registerAgain();
    }
    // What completed between the two has signalled neither. It is reaped in a turn of the event loop, as everything is.
    eventLoopTurn().then(this.#reapInNewTurn);
  }

  #register({ fd }: Notifier): boolean {
    return this.liburing.io_uring_register_eventfd(this.ring.pointer, fd) >= 0;
  }

  /** Returns to the former eventfd. A timer polls for completions until the kernel accepts it. */
  #registerAgain(): void {
    if (this.#register(this.#notifier)) return;
    Deno.unrefTimer(setTimeout(() => {
      this.#registerAgain();
      this.#reapInNewTurn();
    }, 5));
  }

  // ---- submission -------------------------------------------------------------------------------------------------

  protected override start(request: Request): void {
    const { opcode } = request.sqe;
    // The last close of a removed file frees all its blocks in the thread that closes, and a descriptor that a thread of the
    // ring closes is open for a moment after its completion.
    const isForThread = opcode === Opcode.CLOSE || this.isThreaded(request);
    if (isForThread || this.#broken || !this.ring.supported[opcode]) {
      return this.callOnThread(request);
    }
    if (this.#awaited++ === 0) this.#notifier.ref();
    if (!this.#woken && !this.#polls) this.#pollLater();
    if (this.#backlog.length > 0 || !this.#prepare(request)) {
      this.counters.queueFull++;
      this.#backlog.push(request);
    }
    this.#schedule();
  }

  protected override sleepNow(milliseconds: number): void {
    const ring = Number(Deno.UnsafePointer.value(this.ring.pointer));
    this.shim.dma_call(Opcode.WAIT_RING, -1, ring, Math.ceil(milliseconds), 0, 0);
  }

  /** The ring is done with a request. */
  #leaveRing(): void {
    if (--this.#awaited === 0) this.#notifier.unref();
  }

  #finish(request: Request, result: number): void {
    this.#leaveRing();
    this.settle(request, result);
  }

  /** Calls on a thread what the ring will not perform. */
  #moveToThread(request: Request): void {
    this.#leaveRing();
    this.callOnThread(request);
  }

  /** Puts a request into the submission queue. Returns false if there is no room. */
  #prepare(request: Request): boolean {
    if (this.#prepared === this.ring.entries) this.#submitPrepared();
    if (this.#broken) {
      this.#moveToThread(request);
      return true;
    }
    const slot = this.#freeSlots.at(-1);
    if (slot === undefined) return false;
    const { opcode, fd, address, length, offset, flags, bufferIndex, forceAsync } = request.sqe;
    const result = this.shim.dma_prepare(
      this.ring.pointer,
      opcode,
      forceAsync ? IOSQE_ASYNC : 0,
      fd,
      address,
      length,
      offset,
      flags,
      Math.max(0, bufferIndex),
      slot,
    );
    // The submission queue is full.
    if (result === -Errno.EBUSY) return false;
    if (result < 0) {
      queueMicrotask(() => this.#finish(request, result));
      return true;
    }
    this.#freeSlots.pop();
    this.#slots[slot] = request;
    this.#preparedSlots[this.#prepared++] = slot;
    return true;
  }

  #prepareBacklog(): void {
    const prepared = this.#backlog.findIndex((request) => !this.#prepare(request));
    this.#backlog.splice(0, prepared < 0 ? this.#backlog.length : prepared);
  }

  #schedule(): void {
    if (this.#scheduled || this.#reaping) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      // Even what completes at once is reaped in a later turn of the event loop: no state changes while code runs on from
      // microtask to microtask.
      this.flush();
    });
  }

  override flush(): void {
    // One submission follows the batch of completions.
    if (!this.#reaping) this.#submitPrepared();
  }

  #submitPrepared(): void {
    while (this.#prepared > 0 && !this.disposed && !this.#broken) {
      const result = this.liburing.io_uring_submit(this.ring.pointer);
      this.counters.submissions++;
      if (result === -Errno.EINTR) continue;
      if (result >= 0) {
        const left = result === 0 ? 0 : this.#prepared - result;
        if (left > 0) this.#preparedSlots.copyWithin(0, result, this.#prepared);
        this.#prepared = left;
        this.#refusals = 0;
        continue;
      }
      // The kernel is short of memory, or completions must be reaped first.
      const passes = result === -Errno.EAGAIN || result === -Errno.EBUSY;
      if (passes && ++this.#refusals < MAX_REFUSALS) setTimeout(() => this.reapNow(), 1);
      else this.#goOnWithoutRing();
      return;
    }
  }

  /** The kernel refuses submissions for good. Queued and later operations are called on threads. */
  #goOnWithoutRing(): void {
    this.#broken = true;
    for (const slot of this.#preparedSlots.subarray(0, this.#prepared)) {
      this.#moveToThread(this.#vacate(slot));
    }
    this.#prepared = 0;
    // Not at once: this may run within the loop over them.
    queueMicrotask(() => this.#prepareBacklog());
  }

  // ---- completion -------------------------------------------------------------------------------------------------

  /** The request of a slot, which is free from now on. */
  #vacate(slot: number): Request {
    const request = this.#slots[slot]!;
    this.#slots[slot] = null;
    this.#freeSlots.push(slot);
    return request;
  }

  /** Submits what is prepared and completes a batch, until neither is left. */
  protected override reapNow(): void {
    if (this.#reaping || this.disposed) return;
    this.#reaping = true;
    const { pointer, reapedPointer } = this.ring;
    let count: number;
    do {
      this.#submitPrepared();
      count = this.shim.dma_reap(pointer, reapedPointer, BATCH);
      for (let index = 0; index < count; index++) this.#complete(index);
      this.#prepareBacklog();
    } while (count > 0 && count < BATCH);
    this.#reaping = false;
    if (count === BATCH) afterCallers(this.#reapNextBatch);
  }

  readonly #reapNextBatch = (): void => {
    if (this.#completed < MAX_PER_TURN) this.reapNow();
    else eventLoopTurn().then(this.#reapInNewTurn);
  };

  #complete(index: number): void {
    const { reaped } = this.ring;
    this.#completed++;
    const request = this.#vacate(reaped[2 * index]!);
    const result = reaped[2 * index + 1]!;
    // This module cancels nothing. The kernel does if it may not start a worker thread (io-wq at RLIMIT_NPROC).
    if (result === -Errno.ECANCELED) this.#moveToThread(request);
    else this.#finish(request, result);
  }
}
