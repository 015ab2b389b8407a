// One ring for all files of an isolate. Operations are prepared in it and submitted together in a microtask, or by flush().
// Completions are reaped in batches when the eventfd wakes the event loop.

import { Queue } from "../queue.ts";
import type { Counters } from "./counters.ts";
import { afterCallers, eventLoopTurn, pauseFor, queueMicrotask } from "./event_loop.ts";
import { BATCH, type KernelRing, MAX_WORKERS } from "./kernel_ring.ts";
import { Errno } from "./linux.ts";
import { Notifier } from "./notifier.ts";
import type { Request } from "./sqe.ts";

/** The maximum number of completions between two turns of the event loop. */
const MAX_PER_TURN = 512;

/** Consecutive submissions, a millisecond apart, that may fail for lack of memory before threads take over. */
const MAX_REFUSALS = 1000;

export class Ring {
  readonly notifier: Notifier;

  // One slot per request in flight, at most one per completion entry: none overflows. Its index is the user_data.
  readonly #slots: (Request | null)[] = [];
  readonly #freeSlots: number[] = [];

  /** Requests that wait for a slot. */
  readonly #backlog: Queue<Request> = new Queue();
  /** The slots of the entries in the submission queue that the kernel has not taken, in order. */
  readonly #prepared: number[] = [];
  #refusals = 0;
  /** Requests that have not ended, for which the notifier must wake the event loop. */
  #awaited = 0;
  /** What will submit the prepared entries, if anything will: a scheduled microtask, or the current reaping. */
  #phase: "idle" | "scheduled" | "reaping" | "closed" = "idle";
  /** Completions in this turn of the event loop. */
  #completed = 0;

  /** Owns `kernel`. `ended` gets the result of a request: `-ECANCELED` if it was not performed. */
  constructor(
    readonly kernel: KernelRing,
    readonly counters: Counters,
    readonly ended: (request: Request, result: number) => void,
  ) {
    this.notifier = new Notifier(kernel, counters, () => this.#reapInNewTurn());
  }

  /** Frees the ring. No operation may be in flight. */
  close(): void {
    this.#phase = "closed";
    this.kernel.close();
  }

  /** Starts a request, now or later. Returns false if the ring cannot perform it. */
  start(request: Request): boolean {
    if (!this.#supports(request) || this.#mayHang(request)) return false;
    if (this.#awaited++ === 0) this.notifier.ref();
    if (this.#backlog.length > 0 || !this.#prepare(request)) {
      this.counters.queueFull++;
      this.#backlog.push(request);
    }
    this.#schedule();
    return true;
  }

  #supports({ sqe }: Request): boolean {
    return this.kernel.supported[sqe.opcode]! > 0;
  }

  /** Whether it is an open that could wait for a server, and that must leave room and kernel threads to others. */
  #mayHang({ operation: { op }, sqe }: Request): boolean {
    const most = Math.min(this.kernel.depth, MAX_WORKERS) / 2;
    return op === "open" && sqe.forceAsync && this.#awaited >= most;
  }

  /** Adds a request to the submission queue. Returns false if there is no room. */
  #prepare(request: Request): boolean {
    if (this.#prepared.length === this.kernel.entries) this.#submitPrepared();
    // After the ring has given up, entries remain in the queue that must not be submitted.
    if (!this.#supports(request)) return false;
    const slot = this.#freeSlots.at(-1) ?? this.#slots.length;
    if (slot === this.kernel.depth) return false;
    const result = this.kernel.prepare(request.sqe, slot);
    if (result === -Errno.EBUSY) return false;
    if (result < 0) {
      // A thread refuses the numbers too, and its result cannot come within `submit`.
      this.#end(request, -Errno.ECANCELED);
      return true;
    }
    this.#freeSlots.pop();
    this.#slots[slot] = request;
    this.#prepared.push(slot);
    return true;
  }

  #schedule(): void {
    if (this.#phase !== "idle") return;
    this.#phase = "scheduled";
    queueMicrotask(() => {
      if (this.#phase === "scheduled") this.#phase = "idle";
      // Completions are reaped in a later turn, even immediate ones: no state changes between two microtasks.
      this.flush();
    });
  }

  /** Submits the prepared entries. One submission follows a batch of completions. */
  flush(): void {
    if (this.#phase !== "reaping") this.#submitPrepared();
  }

  #submitPrepared(): void {
    while (this.#prepared.length > 0) {
      const result = this.kernel.submit();
      this.counters.submissions++;
      if (result === -Errno.EINTR) continue;
      if (result < 0) return this.#refused(result);
      // 0: the queue was empty.
      this.#prepared.splice(0, result === 0 ? Infinity : result);
      this.#refusals = 0;
    }
  }

  #refused(result: number): void {
    // The kernel is short of memory, or completions must be reaped first.
    const passes = result === -Errno.EAGAIN || result === -Errno.EBUSY;
    if (passes && ++this.#refusals < MAX_REFUSALS) pauseFor(1).then(() => this.reapNow());
    else this.#giveUp();
  }

  /** Gives up the ring, because the kernel refuses submissions permanently. No operation is supported any more. */
  #giveUp(): void {
    this.kernel.supported.fill(0);
    for (const slot of this.#prepared.splice(0)) this.#end(this.#vacate(slot), -Errno.ECANCELED);
    // Deferred, because this may run within a loop over the backlog.
    queueMicrotask(() => {
      while (this.#backlog.length > 0) this.#end(this.#backlog.shift()!, -Errno.ECANCELED);
    });
  }

  #end(request: Request, result: number): void {
    if (--this.#awaited === 0) this.notifier.unref();
    this.ended(request, result);
  }

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

  /** Submits the prepared entries and completes a batch, until neither is left. */
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
      while (this.#backlog.length > 0 && this.#prepare(this.#backlog.at(0)!)) this.#backlog.shift();
    } while (count > 0 && count < BATCH);
    this.#phase = "idle";
    if (count === BATCH) afterCallers(this.#reapNextBatch);
  }

  readonly #reapNextBatch = (): void => {
    if (this.#completed < MAX_PER_TURN) this.reapNow();
    else eventLoopTurn().then(() => this.#reapInNewTurn());
  };
}
