// The engine over io_uring: one ring for every file of an isolate. Operations are queued in the ring and
// handed over once a turn or at once; completions are reaped in batches when the eventfd wakes the loop.

import type { Liburing } from "../../ffi/liburing.ts";
import type { Shim } from "../../ffi/shim.ts";
import type { BufferBudget } from "./buffer_budget.ts";
import type { ChainStep } from "./chain.ts";
import { KernelEngine, Op, type Operation } from "./kernel_engine.ts";
import { openRing, REAP_MOST, type Ring, RingRefused } from "./ring.ts";
import type { Registrar } from "./pool.ts";
import { openEpollWake, ThreadWake, type Wake } from "./wake.ts";

const IOSQE_IO_LINK = 1 << 2;
const IOSQE_ASYNC = 1 << 4;

const EINTR = 4;
const EAGAIN = 11;
const EBUSY = 16;

/**
 * After so many wake-ups with next to nothing else in flight the event loop is woken by epoll. Getting at it takes as long
 * as is gained by 400 of them; with more in flight nobody waits for a single wake-up, and nothing is gained.
 */
const EPOLL_AT = 400;
const FEW_IN_FLIGHT = 2;

/** Completion queue entries cannot outnumber the slots, so nothing overflows. */
export class IoUringEngine extends KernelEngine {
  readonly name = "io_uring";
  /** Entries of the submission queue. */
  readonly entries: number;
  /** Operations that may be in flight. */
  readonly depth: number;
  /** How the ring was set up. */
  readonly setup: string;
  /** Operations that this kernel's io_uring lacks and that run on threads instead. */
  readonly missing: readonly string[];
  readonly #liburing: Liburing;
  readonly #registrar: Registrar | undefined;
  readonly #ring: Ring;
  readonly #pointer: Deno.PointerObject;
  readonly #reaped: Int32Array;
  readonly #reapedPointer: Deno.PointerObject;
  readonly #supported: Uint8Array;
  #wake: Wake;

  // One slot an operation in flight; its index travels through the kernel as user_data.
  readonly #slots: (Operation | null)[];
  readonly #freeSlots: Uint32Array;
  #free: number;

  readonly #backlog: Operation[] = [];
  #queued = 0;
  /** Wake-ups that somebody waited for with next to nothing else in flight. */
  #awaited = 0;
  #scheduled = false;
  #draining = false;
  /** Flags that tie what is queued now to what is queued next. */
  #tie = 0;

  private constructor(
    shim: Shim,
    liburing: Liburing,
    budget: BufferBudget,
    ring: Ring,
    wake: Wake,
  ) {
    super(shim, budget, ring.registrar);
    const { depth, supported } = ring;
    this.entries = ring.entries;
    this.depth = depth;
    this.setup = ring.setup;
    this.missing = Object.entries(Op)
      .filter(([, opcode]) => opcode < 256 && !supported[opcode])
      .map(([name]) => name);
    this.#liburing = liburing;
    this.#registrar = ring.registrar;
    this.#ring = ring;
    this.#pointer = ring.pointer;
    this.#reaped = ring.reaped;
    this.#reapedPointer = ring.reapedPointer;
    this.#supported = supported;
    this.#wake = wake;
    this.#slots = new Array(depth).fill(null);
    this.#freeSlots = new Uint32Array(depth).map((_, index) => depth - 1 - index);
    this.#free = depth;
    wake.listen(this.#woken);
  }

  /** Whether buffers can be registered, as far as it was tried. */
  get registersBuffers(): boolean {
    return this.#registrar?.allowed ?? false;
  }

  /** How completions wake the event loop now. */
  get wake(): string {
    return this.#wake.name;
  }

  readonly #woken = (): void => {
    const { counters } = this;
    counters.wakeups++;
    if (counters.inFlight <= FEW_IN_FLIGHT && ++this.#awaited === EPOLL_AT) this.#useEpoll();
    this.#drain();
  };

  /** Goes over to the better way to be woken, once it is worth its price. */
  async #useEpoll(): Promise<void> {
    const wake = await openEpollWake(this.shim);
    if (!wake) return;
    const before = this.#wake;
    this.#liburing.io_uring_unregister_eventfd(this.#pointer);
    if (this.#liburing.io_uring_register_eventfd(this.#pointer, wake.fd) < 0) {
      wake.stop();
      this.#watchAgain();
      return;
    }
    this.#wake = wake;
    wake.listen(this.#woken);
    if (this.counters.inFlight > 0) wake.hold();
    before.stop();
    // What completed between the two is nobody's signal.
    this.#drain();
  }

  /** Goes back to the way that was good until now. Until the kernel takes it, completions are looked for by the clock. */
  #watchAgain(): void {
    if (this.#liburing.io_uring_register_eventfd(this.#pointer, this.#wake.fd) < 0) {
      Deno.unrefTimer(setTimeout(() => this.#watchAgain(), 5));
    }
    this.#drain();
  }

  /** Makes a ring with `entries` submission entries. Throws {@linkcode RingRefused}. */
  static open(
    shim: Shim,
    liburing: Liburing,
    budget: BufferBudget,
    entries: number,
  ): IoUringEngine {
    const ring = openRing(shim, liburing, entries);
    try {
      const wake = new ThreadWake(shim);
      const watched = liburing.io_uring_register_eventfd(ring.pointer, wake.fd);
      if (watched < 0) {
        wake.stop();
        throw new RingRefused(-watched);
      }
      return new IoUringEngine(shim, liburing, budget, ring, wake);
    } catch (error) {
      ring.close();
      throw error;
    }
  }

  protected takeDown(): void {
    this.#wake.stop();
    this.#ring.close();
  }

  protected push(operation: Operation): void {
    if (this.ended) return;
    if (this.counters.inFlight++ === 0) this.#wake.hold();
    if (operation.opcode >= 256 || !this.#supported[operation.opcode]) {
      this.#callBlocking(operation);
      return;
    }
    if (this.#backlog.length > 0 || !this.#enter(operation)) {
      this.counters.queueFull++;
      this.#backlog.push(operation);
    }
    this.#schedule();
  }

  /** Puts an operation into the ring, if there is room. */
  #enter(operation: Operation): boolean {
    if (this.#free === 0) return false;
    const { opcode, fd, address, length, offset, flags, registration, apart } = operation;
    const slot = this.#freeSlots[this.#free - 1]!;
    const entryFlags = (apart ? IOSQE_ASYNC : 0) | this.#tie;
    const index = registration < 0 ? 0 : registration;
    const { shim } = this;
    for (let attempt = 0;; attempt++) {
      const result = shim.dma_queue(
        this.#pointer,
        opcode,
        entryFlags,
        fd,
        address,
        length,
        offset,
        flags,
        index,
        slot,
      );
      if (result === 0) break;
      if (result !== -EBUSY) {
        queueMicrotask(() => this.#finish(operation, result));
        return true;
      }
      // The submission queue is full: hand it over and try once more.
      if (attempt > 0) return false;
      this.#hand();
    }
    this.#free--;
    this.#queued++;
    this.#slots[slot] = operation;
    return true;
  }

  async #callBlocking(operation: Operation): Promise<void> {
    const { opcode, fd, address, length, offset, flags } = operation;
    const result = await this.shim.dma_call_blocking(opcode, fd, address, length, offset, flags);
    this.#finish(operation, result);
  }

  #finish(operation: Operation, result: number): void {
    if (--this.counters.inFlight === 0) this.#wake.letGo();
    this.settle(operation, result);
  }

  #schedule(): void {
    if (this.#scheduled || this.#draining) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      // What completes at once is handed out when the event loop comes round, as everything is: code that runs on
      // without coming back to the loop sees nothing change under its hands.
      if (!this.#draining) this.#hand();
    });
  }

  chain(steps: readonly ChainStep[]): boolean {
    // The steps must be neighbours in one submission, and each must be an operation of the ring.
    const { length } = steps;
    const { entries, missing } = this;
    if (missing.length > 0 || this.#backlog.length > 0 || this.#free < length) return false;
    if (entries - this.#queued < length) this.#hand();
    if (entries - this.#queued < length) return false;
    for (const [index, { queue, done }] of steps.entries()) {
      this.#tie = index < length - 1 ? IOSQE_IO_LINK : 0;
      queue(done);
    }
    return true;
  }

  #vacate(slot: number): void {
    this.#slots[slot] = null;
    this.#freeSlots[this.#free++] = slot;
  }

  submit(): void {
    // While completions are handed out one submission at the end serves them all.
    if (this.#draining || this.#queued === 0) return;
    this.#hand();
  }

  /** Hands the ring's queued operations to the kernel. */
  #hand(): void {
    if (this.ended) return;
    while (this.#queued > 0) {
      const result = this.#liburing.io_uring_submit(this.#pointer);
      this.counters.submissions++;
      if (result > 0) this.#queued = Math.max(0, this.#queued - result);
      else if (result === -EINTR) continue;
      else if (result === 0) this.#queued = 0;
      else {
        // -EAGAIN and -EBUSY: the kernel is short of memory or wants completions reaped first. Anything else
        // is no better for giving up: what is queued stays queued, and is tried again soon.
        setTimeout(() => this.#drain(), result === -EAGAIN || result === -EBUSY ? 1 : 20);
        return;
      }
    }
  }

  /** Hands over what is queued and hands out what completed, until neither is left. */
  #drain(): void {
    if (this.#draining || this.ended) return;
    this.#draining = true;
    const { shim } = this;
    try {
      for (;;) {
        this.#hand();
        const waiting = shim.dma_quiet(this.#pointer) !== 0;
        if (waiting) this.#liburing.io_uring_get_events?.(this.#pointer);
        let count = shim.dma_reap(this.#pointer, this.#reapedPointer, REAP_MOST);
        if (count === 0 && waiting) count = this.#lookAgain();
        if (count === 0) break;
        // Completions may queue more, so the pairs are taken out of the shared memory slot by slot.
        for (let index = 0; index < count; index++) {
          const slot = this.#reaped[2 * index]!;
          const result = this.#reaped[2 * index + 1]!;
          const operation = this.#slots[slot]!;
          this.#vacate(slot);
          this.#finish(operation, result);
        }
        this.#enterBacklog();
      }
    } finally {
      this.#draining = false;
    }
  }

  /**
   * What came while the ring was quiet had no signal: it is looked for once more, with the signal on. The flag for waiting
   * work is no reason to go on for ever: the kernel sets it after it puts work in its list, which may be empty again by
   * then, and the flag then stays. What is in flight bounds how often the kernel is asked: it does at least 16 pieces of
   * work at a time (20 since 6.13, all of them before).
   */
  #lookAgain(): number {
    for (let left = this.counters.inFlight; left > 0; left -= 16) {
      this.#liburing.io_uring_get_events?.(this.#pointer);
      const count = this.shim.dma_reap(this.#pointer, this.#reapedPointer, REAP_MOST);
      if (count > 0) return count;
    }
    return 0;
  }

  #enterBacklog(): void {
    const entered = this.#backlog.findIndex((operation) => !this.#enter(operation));
    this.#backlog.splice(0, entered < 0 ? this.#backlog.length : entered);
  }
}
