// One ring for all files of an isolate. Operations are prepared in it and submitted together in a microtask, or by flush().
// Completions are reaped in batches when the eventfd wakes the event loop.

import type { Shim } from "../../ffi/shim.ts";
import type { Counters } from "./counters.ts";
import { afterCallers, callAfter, eventLoopTurn, queueMicrotask } from "./event_loop.ts";
import { BATCH, type KernelRing } from "./kernel_ring.ts";
import { Errno } from "./linux.ts";
import { Notifier } from "./notifier.ts";
import type { Request } from "./sqe.ts";

/** The most completions between two turns of the event loop. */
const MAX_PER_TURN = 512;

/** Submissions in a row, a millisecond apart, that may be refused for lack of memory before threads take over. */
const MAX_REFUSALS = 1000;

/** Has the kernel perform requests. They cannot outnumber the completion entries, so none overflows. */
export class Ring {
  readonly kernel: KernelRing;
  readonly notifier: Notifier;
  readonly #counters: Counters;
  readonly #ended: (request: Request, result: number) => void;

  // One slot per request in flight. Its index is the request's user_data.
  readonly #slots: (Request | null)[];
  readonly #freeSlots: number[];

  /** Requests that wait for a slot. */
  readonly #backlog: Request[] = [];
  /** Entries in the submission queue that the kernel has not taken, and their slots in its order. */
  #prepared = 0;
  readonly #preparedSlots: Uint32Array;
  #refusals = 0;
  /** Requests that have not ended, which the notifier must wake for. */
  #awaited = 0;
  /** Who submits what is prepared: a microtask that is scheduled, or the reaping that this happens in. */
  #phase: "idle" | "scheduled" | "reaping" | "closed" = "idle";
  /** Completions in this turn of the event loop. */
  #completed = 0;

  /**
   * Owns `kernel` from now on. `ended` gets the result of a request: `-ECANCELED` if the ring, or the kernel, has not
   * performed it.
   */
  constructor(
    shim: Shim,
    kernel: KernelRing,
    counters: Counters,
    ended: (request: Request, result: number) => void,
  ) {
    this.kernel = kernel;
    this.#counters = counters;
    this.#ended = ended;
    const { depth, entries } = kernel;
    this.#preparedSlots = new Uint32Array(entries);
    this.#slots = new Array(depth).fill(null);
    this.#freeSlots = Array.from({ length: depth }, (_, index) => depth - 1 - index);
    this.notifier = new Notifier(shim, kernel, counters, () => this.#reapInNewTurn());
  }

  /** Frees it. Nothing may be in flight. */
  close(): void {
    this.#phase = "closed";
    this.notifier.stop();
    this.kernel.close();
  }

  // ---- submission -------------------------------------------------------------------------------------------------

  /** Starts a request, now or later. Returns false if the ring cannot perform it. */
  start(request: Request): boolean {
    if (!this.#supports(request)) return false;
    if (this.#awaited++ === 0) this.notifier.ref();
    if (this.#backlog.length > 0 || !this.#prepare(request)) {
      this.#counters.queueFull++;
      this.#backlog.push(request);
    }
    this.#schedule();
    return true;
  }

  #supports({ sqe }: Request): boolean {
    return this.kernel.supported[sqe.opcode]! > 0;
  }

  /** Puts a request into the submission queue. Returns false if there is no room. */
  #prepare(request: Request): boolean {
    if (this.#prepared === this.kernel.entries) this.#submitPrepared();
    // If the ring has given up, entries are left in the queue that nothing may submit any more.
    if (!this.#supports(request)) return false;
    const slot = this.#freeSlots.at(-1);
    if (slot === undefined) return false;
    const result = this.kernel.prepare(request.sqe, slot);
    // The submission queue is full.
    if (result === -Errno.EBUSY) return false;
    if (result < 0) {
      queueMicrotask(() => this.#end(request, result));
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
    if (this.#phase !== "idle") return;
    this.#phase = "scheduled";
    queueMicrotask(() => {
      if (this.#phase === "scheduled") this.#phase = "idle";
      // Even what completes at once is reaped in a later turn of the event loop: no state changes while code runs on from
      // microtask to microtask.
      this.flush();
    });
  }

  /** Submits what is prepared. One submission follows a batch of completions. */
  flush(): void {
    if (this.#phase !== "reaping") this.#submitPrepared();
  }

  #submitPrepared(): void {
    while (this.#prepared > 0) {
      const result = this.kernel.submit();
      this.#counters.submissions++;
      if (result === -Errno.EINTR) continue;
      if (result < 0) return this.#refused(result);
      const left = result === 0 ? 0 : this.#prepared - result;
      if (left > 0) this.#preparedSlots.copyWithin(0, result, this.#prepared);
      this.#prepared = left;
      this.#refusals = 0;
    }
  }

  #refused(result: number): void {
    // The kernel is short of memory, or completions must be reaped first.
    const passes = result === -Errno.EAGAIN || result === -Errno.EBUSY;
    if (passes && ++this.#refusals < MAX_REFUSALS) callAfter(1, () => this.reapNow());
    else this.#giveUp();
  }

  /** The kernel refuses submissions for good. Nothing is supported any more. */
  #giveUp(): void {
    this.kernel.supported.fill(0);
    const refused = this.#preparedSlots.subarray(0, this.#prepared);
    this.#prepared = 0;
    for (const slot of refused) this.#end(this.#vacate(slot), -Errno.ECANCELED);
    // Not at once: this may run within a loop over the backlog.
    queueMicrotask(() => {
      for (const request of this.#backlog.splice(0)) this.#end(request, -Errno.ECANCELED);
    });
  }

  // ---- completion -------------------------------------------------------------------------------------------------

  /** The ring is done with a request. */
  #end(request: Request, result: number): void {
    if (--this.#awaited === 0) this.notifier.unref();
    this.#ended(request, result);
  }

  /** The request of a slot, which is free from now on. */
  #vacate(slot: number): Request {
    const request = this.#slots[slot]!;
    this.#slots[slot] = null;
    this.#freeSlots.push(slot);
    return request;
  }

  #reapInNewTurn(): void {
    this.#completed = 0;
    this.reapNow();
  }

  /** Submits what is prepared and completes a batch, until neither is left. */
  reapNow(): void {
    if (this.#phase === "reaping" || this.#phase === "closed") return;
    this.#phase = "reaping";
    const { reaped } = this.kernel;
    let count: number;
    do {
      this.#submitPrepared();
      count = this.kernel.reap();
      for (let index = 0; index < count; index++) {
        this.#completed++;
        this.#end(this.#vacate(reaped[2 * index]!), reaped[2 * index + 1]!);
      }
      this.#prepareBacklog();
    } while (count > 0 && count < BATCH);
    this.#phase = "idle";
    if (count === BATCH) afterCallers(this.#reapNextBatch);
  }

  readonly #reapNextBatch = (): void => {
    if (this.#completed < MAX_PER_TURN) this.reapNow();
    else eventLoopTurn().then(() => this.#reapInNewTurn());
  };
}
