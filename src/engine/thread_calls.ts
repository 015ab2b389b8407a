// Blocking calls on Deno's pool of 32 threads, which Deno needs too. The number of calls at once is limited, in all and per
// device: calls that wait for a server that is gone do not hold up those for other devices.

import type { Shim } from "../../ffi/shim.ts";
import type { Counters } from "./counters.ts";
import type { Sqe } from "./sqe.ts";

/** The part of the threads that one device may have, of those that no other device has. */
const SHARE = 2 / 3;

/** Marks a result that is not there yet. No call returns this number. */
const PENDING = -(2 ** 31);

/** A call that waits or runs. */
interface Call {
  readonly sqe: Sqe;
  /** The device of the file that it is for; undefined if it is not known. */
  readonly device: number | undefined;
  readonly ended: (result: number) => void;
}

/** Makes each call as soon as there is a thread for it. */
export class ThreadCalls {
  readonly #shim: Shim;
  readonly #counters: Counters;
  readonly #most: number;
  readonly #turn: (() => Promise<void>) | undefined;
  /** The calls on threads, with the index of each one's result in native memory. */
  readonly #running = new Map<Call, number>();
  readonly #waiting: Call[] = [];
  /** Places that were in use and are free. */
  readonly #freePlaces: number[] = [];

  /**
   * `most` calls run at once, no more than there are places for results. `turn` is called with each call; its result is
   * reported when the promise has resolved.
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

  /** Calls that have not ended. */
  get count(): number {
    return this.#running.size + this.#waiting.length;
  }

  /** Makes a call, now or when a thread is free. `ended` gets its result. */
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
   * Reports the results that are there, without the event loop. No call is made on this thread: it could wait for a server
   * that is gone.
   */
  endNow(): void {
    const { results } = this.#shim.resources;
    for (const [call, place] of [...this.#running]) {
      const result = Atomics.load(results, place);
      if (result !== PENDING) this.#end(call, result);
    }
  }
}
