// The engine over io_uring: one ring for every file of an isolate. Operations are prepared in the ring and submitted once
// a turn, or at once; completions are reaped in batches when the eventfd wakes the event loop.

import type { Liburing } from "../../ffi/liburing.ts";
import type { Shim } from "../../ffi/shim.ts";
import type { BufferBudget } from "./buffer_budget.ts";
import { eventLoopTurn } from "./event_loop.ts";
import { KernelEngine, type Request } from "./kernel_engine.ts";
import { Errno, FIRST_BLOCKING_ONLY, IOSQE_ASYNC, Opcode } from "./linux.ts";
import { type Notifier, openEpollNotifier, ThreadNotifier } from "./notifier.ts";
import { MAX_REAPED, openRing, type Ring } from "./ring.ts";
import { ThreadCalls } from "./thread_calls.ts";

/**
 * After so many wake-ups with next to nothing else in flight epoll wakes the event loop. Setting it up takes as long as
 * 400 of them gain; with more in flight nobody waits for a single wake-up, and nothing is gained.
 */
const EPOLL_AFTER_WAKEUPS = 400;
const FEW_IN_FLIGHT = 2;

/**
 * So many completions are handed out before the code that waited for them runs and submits more: with all of them at once
 * a device has nothing to do meanwhile. Took 4 KiB reads at depth 32 from 41,000 to 57,000 a second.
 */
const GROUP = 8;
/** Microtasks that such code may need: an `async` function takes up to three, and some stand one upon the other. */
const HOPS = 16;
/** So many completions are handed out before the event loop turns, where more come as fast as they are taken. */
const MAX_PER_TURN = 512;

/** Until the first wake-up has come, completions are looked for so often, in milliseconds. */
const FIRST_LOOK_MS = 1000;

/** So many submissions in a row may be refused for lack of memory, a millisecond apart, before threads take over. */
const MAX_REFUSALS = 1000;

/** Operations of an isolate through one ring. Requests cannot outnumber completion entries, so none overflows. */
export class IoUringEngine extends KernelEngine {
  readonly name = "io_uring";
  /** The ring, and what this kernel's io_uring has. */
  readonly ring: Ring;
  /** Operations that this kernel's io_uring lacks and that run on threads instead. */
  readonly missing: readonly string[];
  readonly #liburing: Liburing;
  readonly #pointer: Deno.PointerObject;
  #notifier: Notifier;

  // One slot a request in flight; its index travels through the kernel as user_data.
  readonly #slots: (Request | null)[];
  readonly #freeSlots: Uint32Array;
  #free: number;

  /** Requests that wait for a slot. */
  readonly #backlog: Request[] = [];
  /** Entries in the submission queue that the kernel has not taken. */
  #prepared = 0;
  #refusals = 0;
  /** The kernel takes no submission any more. */
  #broken = false;
  /** Requests of the ring that have not ended, which the notifier must wake for. */
  #awaited = 0;
  /** Wake-ups with next to nothing else in flight. */
  #loneWakeups = 0;
  #scheduled = false;
  #reaping = false;
  /** Whether the notifier has woken the event loop yet, and the timer that looks for completions until then. */
  #woken = false;
  #firstLook: ReturnType<typeof setTimeout> | undefined;
  /** Completions handed out in this turn of the event loop. */
  #handedOut = 0;

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
    const notifier = new ThreadNotifier(shim);
    let ring: Ring;
    try {
      ring = openRing(shim, liburing, entries, notifier.fd);
    } catch (error) {
      notifier.stop();
      throw error;
    }
    super(shim, budget, new ThreadCalls(shim, threads), ring.registrar);
    const { depth, supported } = ring;
    this.ring = ring;
    this.missing = Object.entries(Opcode)
      .filter(([, opcode]) =>
        opcode !== Opcode.NOP && opcode < FIRST_BLOCKING_ONLY && !supported[opcode]
      )
      .map(([name]) => name);
    this.#liburing = liburing;
    this.#pointer = ring.pointer;
    this.#notifier = notifier;
    this.#slots = new Array(depth).fill(null);
    this.#freeSlots = new Uint32Array(depth).map((_, index) => depth - 1 - index);
    this.#free = depth;
    notifier.listen(this.#wake);
  }

  /** How completions wake the event loop now. */
  get notifier(): string {
    return this.#notifier.name;
  }

  protected takeDown(): void {
    this.#notifier.stop();
    this.ring.close();
  }

  // ---- being woken ------------------------------------------------------------------------------------------------

  readonly #wake = (): void => {
    const { counters } = this;
    counters.wakeups++;
    this.#woken = true;
    this.#stopLooking();
    if (counters.inFlight <= FEW_IN_FLIGHT && ++this.#loneWakeups === EPOLL_AFTER_WAKEUPS) {
      this.#useEpoll();
    }
    this.#reapInNewTurn();
  };

  readonly #reapInNewTurn = (): void => {
    this.#handedOut = 0;
    this.#reap();
  };

  /**
   * Looks for completions from time to time. Seen once in some thousand rings: the first operation of a ring ended, or never
   * began, and woke nobody.
   */
  #lookLater(): void {
    const timer = setTimeout(() => {
      this.#liburing.io_uring_get_events?.(this.#pointer);
      this.#reapInNewTurn();
      if (this.#awaited > 0 && !this.#woken) this.#lookLater();
    }, FIRST_LOOK_MS);
    Deno.unrefTimer(timer);
    this.#firstLook = timer;
  }

  #stopLooking(): void {
    clearTimeout(this.#firstLook);
    this.#firstLook = undefined;
  }

  /** Goes over to the faster notifier, once it is worth its price. */
  async #useEpoll(): Promise<void> {
    // Deno does not close the descriptor of a handle when a Worker is terminated, and panics where it loads node:process
    // without /proc.
    if (!this.endsWithProcess || this.realPath(this.#notifier.fd) === undefined) return;
    const notifier = await openEpollNotifier(this.shim);
    if (!notifier) return;
    const before = this.#notifier;
    this.#liburing.io_uring_unregister_eventfd(this.#pointer);
    if (this.#liburing.io_uring_register_eventfd(this.#pointer, notifier.fd) < 0) {
      notifier.stop();
      this.#registerAgain();
      return;
    }
    this.#notifier = notifier;
    notifier.listen(this.#wake);
    if (this.#awaited > 0) notifier.ref();
    before.stop();
    // What completed between the two has signalled nobody.
    this.#reap();
  }

  /** Goes back to the eventfd that was good until now. Until the kernel takes it, a timer looks for completions. */
  #registerAgain(): void {
    if (this.#liburing.io_uring_register_eventfd(this.#pointer, this.#notifier.fd) < 0) {
      Deno.unrefTimer(setTimeout(() => this.#registerAgain(), 5));
    }
    this.#reap();
  }

  // ---- submission -------------------------------------------------------------------------------------------------

  protected start(request: Request): void {
    const { opcode } = request.sqe;
    // A descriptor that the ring closes is still there for a moment after its completion.
    const isForThread = opcode === Opcode.CLOSE || opcode >= FIRST_BLOCKING_ONLY;
    if (
      isForThread || this.#broken || !this.ring.supported[opcode] || this.isThreaded(request)
    ) {
      this.callOnThread(request);
      return;
    }
    if (this.#awaited++ === 0) this.#notifier.ref();
    if (!this.#woken && this.#firstLook === undefined) this.#lookLater();
    if (this.#backlog.length > 0 || !this.#prepare(request)) {
      this.counters.queueFull++;
      this.#backlog.push(request);
    }
    this.#schedule();
  }

  protected reapNow(): void {
    this.#reap();
  }

  protected sleepNow(milliseconds: number): void {
    const ring = Number(Deno.UnsafePointer.value(this.#pointer));
    this.shim.dma_call(Opcode.WAIT_RING, -1, ring, Math.ceil(milliseconds), 0, 0);
  }

  /** The ring is done with a request. */
  #leaveRing(): void {
    if (--this.#awaited > 0) return;
    this.#notifier.unref();
    if (!this.#woken) this.#stopLooking();
  }

  #finish(request: Request, result: number): void {
    this.#leaveRing();
    this.settle(request, result);
  }

  /** Makes the call of a request that the ring will not perform. */
  #moveToThread(request: Request): void {
    this.#leaveRing();
    this.callOnThread(request);
  }

  /** Puts a request into the submission queue. False where there is no room. */
  #prepare(request: Request): boolean {
    if (this.#free === 0) return false;
    const { opcode, fd, address, length, offset, flags, bufferIndex, forceAsync } = request.sqe;
    const slot = this.#freeSlots[this.#free - 1]!;
    for (let attempt = 0;; attempt++) {
      const result = this.shim.dma_prepare(
        this.shim.resources.pointer,
        this.#pointer,
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
      if (result === 0) break;
      if (result !== -Errno.EBUSY) {
        queueMicrotask(() => this.#finish(request, result));
        return true;
      }
      // The submission queue is full: submit it and try once more.
      if (attempt > 0) return false;
      this.#submitPrepared();
      if (this.#broken) return false;
    }
    this.#free--;
    this.#prepared++;
    this.#slots[slot] = request;
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
      // What completes at once is reaped when the event loop comes round, as everything is: code that runs on without
      // coming back to the loop sees nothing change under its hands.
      if (!this.#reaping) this.#submitPrepared();
    });
  }

  flush(): void {
    // While completions are handed out, one submission at the end serves them all.
    if (!this.#reaping) this.#submitPrepared();
  }

  /** Hands the submission queue to the kernel. */
  #submitPrepared(): void {
    while (this.#prepared > 0 && !this.disposed && !this.#broken) {
      const result = this.#liburing.io_uring_submit(this.#pointer);
      this.counters.submissions++;
      if (result === -Errno.EINTR) continue;
      if (result >= 0) {
        this.#prepared = result === 0 ? 0 : Math.max(0, this.#prepared - result);
        this.#refusals = 0;
        continue;
      }
      // The kernel is short of memory, or wants completions reaped first.
      const refused = result === -Errno.EAGAIN || result === -Errno.EBUSY;
      if (refused && ++this.#refusals < MAX_REFUSALS) setTimeout(() => this.#reap(), 1);
      else this.#goOnWithoutRing();
      return;
    }
  }

  /** The kernel refuses submissions for good. What it has not taken, and what comes, is called on threads. */
  #goOnWithoutRing(): void {
    this.#broken = true;
    const { reaped, reapedPointer } = this.ring;
    for (;;) {
      const count = this.shim.dma_withdraw(this.#pointer, reapedPointer, MAX_REAPED);
      if (count <= 0) break;
      for (let index = 0; index < count; index++) this.#moveToThread(this.#vacate(reaped[index]!));
    }
    this.#prepared = 0;
    for (const request of this.#backlog.splice(0)) this.#moveToThread(request);
  }

  // ---- completion -------------------------------------------------------------------------------------------------

  /** The request of a slot, which is free from now on. */
  #vacate(slot: number): Request {
    const request = this.#slots[slot]!;
    this.#slots[slot] = null;
    this.#freeSlots[this.#free++] = slot;
    return request;
  }

  /** Submits what is prepared and hands out what completed, group by group, until neither is left. */
  #reap(): void {
    if (this.#reaping || this.disposed) return;
    this.#reaping = true;
    let count: number;
    try {
      do {
        this.#submitPrepared();
        count = this.#takeCompletions();
        for (let index = 0; index < count; index++) this.#handOut(index);
        this.#prepareBacklog();
      } while (count > 0 && count < GROUP);
    } finally {
      this.#reaping = false;
    }
    if (count === GROUP) this.#reapLater(HOPS);
  }

  /** Reaps the next group when the code that waited for this one has run. */
  #reapLater(hops: number): void {
    if (hops > 0) queueMicrotask(() => this.#reapLater(hops - 1));
    else if (this.#handedOut < MAX_PER_TURN) this.#reap();
    else eventLoopTurn().then(this.#reapInNewTurn);
  }

  /** Moves up to a group of completions into the shared memory. */
  #takeCompletions(): number {
    const { reapedPointer } = this.ring;
    const held = this.shim.dma_mute_eventfd(this.#pointer) !== 0;
    if (held) this.#liburing.io_uring_get_events?.(this.#pointer);
    const count = this.shim.dma_reap(this.#pointer, reapedPointer, GROUP);
    return count === 0 && held ? this.#reapOnceMore() : count;
  }

  #handOut(index: number): void {
    const { reaped } = this.ring;
    this.#handedOut++;
    const request = this.#vacate(reaped[2 * index]!);
    const result = reaped[2 * index + 1]!;
    // Nothing here cancels. The kernel does where it may not start a worker thread (io-wq at RLIMIT_NPROC).
    if (result === -Errno.ECANCELED) this.#moveToThread(request);
    else this.#finish(request, result);
  }

  /**
   * Looks once more for what came while the eventfd was muted. The flag for pending work is no reason to go on for ever:
   * the kernel sets it after it puts work in its list, which may be empty again by then, and the flag then stays. What is
   * in flight bounds how often the kernel is asked: it does at least 16 pieces of work at a time (20 since 6.13, all of
   * them before).
   */
  #reapOnceMore(): number {
    for (let left = this.counters.inFlight; left > 0; left -= 16) {
      this.#liburing.io_uring_get_events?.(this.#pointer);
      const count = this.shim.dma_reap(this.#pointer, this.ring.reapedPointer, GROUP);
      if (count > 0) return count;
    }
    return 0;
  }
}
