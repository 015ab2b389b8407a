// Blocking calls on Deno's pool of 32 threads, which Deno itself needs too. The number of calls at once is limited, in
// total and for each device, so that calls to a server that hangs do not delay those for other devices.

import type { Shim } from "../../ffi/shim.ts";
import type { Counters } from "./counters.ts";
import type { Sqe } from "./sqe.ts";

/** The part of the threads not used by other devices that one device may use. */
const SHARE = 2 / 3;

/** Marks a missing result. No call returns this number. */
const PENDING = -(2 ** 31);

/** A call that waits or runs. */
interface Call {
  readonly sqe: Sqe;
  /** The device of the file; undefined if it is not known. */
  readonly device: number | undefined;
  readonly ended: (result: number) => void;
}

/** Starts each call as soon as a thread is free for it. */
export class ThreadCalls {
  readonly #shim: Shim;
  readonly #counters: Counters;
  readonly #most: number;
  readonly #turn: (() => Promise<void>) | undefined;
  /** The running calls, with the index of each result in native memory. */
  readonly #running = new Map<Call, number>();
  readonly #waiting: Call[] = [];
  /** Indexes that are free again. */
  readonly #freePlaces: number[] = [];

  /**
   * At most `most` calls run at once, limited by the places for results. A result is reported after the promise of
   * `turn` has resolved.
   */
  constructor(
    shim: Shim,
    counters: Counters,
    most: number,
    turn?: () => Promise<void>,
  ) {
    this.#shim = shim;
    this.#counters = counters;
    this.#most = most;
    this.#turn = turn;
  }

  /** Starts a call, now or when a thread is free. `ended` gets its result. */
  start(sqe: Sqe, device: number | undefined, ended: (result: number) => void): void {
    const call = { sqe, device, ended };
    if (this.#mayRun(device)) {
      this.#counters.submissions++;
      this.#run(call);
    } else {
      this.#counters.queueFull++;
      this.#waiting.push(call);
    }
  }

  #mayRun(device: number | undefined): boolean {
    let own = 0;
    for (const call of this.#running.keys()) if (call.device === device) own++;
    const free = this.#most - this.#running.size;
    return free > 0 && own < Math.ceil((free + own) * SHARE);
  }

  async #run(call: Call): Promise<void> {
    const { opcode, fd, address, length, offset, flags } = call.sqe;
    const place = this.#freePlaces.pop() ?? this.#running.size;
    this.#shim.resources.results[place] = PENDING;
    this.#running.set(call, place);
    const turn = this.#turn?.();
    const { dma_call_on_thread } = this.#shim;
    const result = await dma_call_on_thread(place, opcode, fd, address, length, offset, flags);
    await turn;
    this.#end(call, result);
  }

  #end(call: Call, result: number): void {
    const place = this.#running.get(call);
    // endNow has reported it.
    if (place === undefined) return;
    this.#running.delete(call);
    this.#freePlaces.push(place);
    const next = this.#waiting.findIndex(({ device }) => this.#mayRun(device));
    if (next >= 0) this.#run(this.#waiting.splice(next, 1)[0]!);
    this.#counters.wakeups++;
    call.ended(result);
  }

  /**
   * Reports the results so far, without the event loop. It starts no call on this thread, which could wait for a server
   * that hangs.
   */
  endNow(): void {
    const { results } = this.#shim.resources;
    for (const [call, place] of [...this.#running]) {
      const result = Atomics.load(results, place);
      if (result !== PENDING) this.#end(call, result);
    }
  }
}
