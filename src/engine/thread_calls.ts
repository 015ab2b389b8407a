// Blocking calls on Deno's pool of 32 threads, which Deno itself needs too. The number of calls at once is limited, in
// total and for each device, so that calls to a server that hangs do not delay those for other devices.

import type { Shim } from "../../ffi/shim.ts";
import type { Counters } from "./counters.ts";
import { eventLoopTurn } from "./event_loop.ts";
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

/** Makes a call on a thread. Its result comes in a later turn of the event loop, and at once in `place`. */
export async function callOnThread(
  { resources: { results }, dma_call_on_thread }: Shim,
  place: number,
  { opcode, fd, address, length, offset, flags }: Sqe,
): Promise<number> {
  results[place] = PENDING;
  const call = dma_call_on_thread(place, opcode, fd, address, length, offset, flags);
  // Deno resolves a call that has ended by now within this turn, between two microtasks of the program.
  const isEarly = Atomics.load(results, place) !== PENDING;
  const result = await call;
  if (isEarly) await eventLoopTurn();
  return result;
}

/** Starts each call as soon as a thread is free for it. */
export class ThreadCalls {
  readonly #shim: Shim;
  readonly #counters: Counters;
  readonly #most: number;
  /** The running calls, with the index of each result in native memory. */
  readonly #running = new Map<Call, number>();
  readonly #waiting: Call[] = [];
  /** Indexes that are free again. */
  readonly #freePlaces: number[] = [];

  /** At most `most` calls run at once, fewer than there are places for results. */
  constructor(shim: Shim, counters: Counters, most: number) {
    this.#shim = shim;
    this.#counters = counters;
    this.#most = most;
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
    const place = this.#freePlaces.pop() ?? this.#running.size;
    this.#running.set(call, place);
    this.#end(call, await callOnThread(this.#shim, place, call.sqe));
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
