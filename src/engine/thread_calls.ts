// Blocking calls on Deno's pool of 32 threads, which Deno itself needs too. The number of calls at once is limited, in
// total and for each device, so that calls to a server that hangs do not delay those for other devices.

import type { Shim } from "../../ffi/shim.ts";
import { Queue } from "../queue.ts";
import type { Counters } from "./counters.ts";
import type { Device } from "./engine.ts";
import type { Request, Sqe } from "./sqe.ts";

/** One device may use this part of the threads that no other device uses. */
const SHARE = 2 / 3;

/** Marks a missing result. No call returns this number. */
export const PENDING: number = -(2 ** 31);
/** The same while a call is being started. Until then the shim does not return from it: `HELD` of shim.c. */
const HELD = PENDING + 1;

/** Makes a call on a thread. Its result comes in a later turn of the event loop, and at once in `place`. */
export function callOnThread(
  { resources: { results }, dma_call_on_thread }: Shim,
  place: number,
  { opcode, fd, address, length, offset, flags }: Sqe,
): Promise<number> {
  results[place] = HELD;
  try {
    return dma_call_on_thread(place, opcode, fd, address, length, offset, flags);
  } finally {
    Atomics.store(results, place, PENDING);
  }
}

export class ThreadCalls {
  /** The running calls, with the index of each result in native memory. */
  readonly #running = new Map<Request, number>();
  /** By device: the end of a call searches the devices, and not all requests. */
  readonly #waiting = new Map<Device | undefined, Queue<Request>>();
  readonly #freePlaces: number[] = [];

  /** At most `most` calls run at once, fewer than there are places for results. `ended` gets the result of a request. */
  constructor(
    readonly shim: Shim,
    readonly counters: Counters,
    readonly most: number,
    readonly ended: (request: Request, result: number) => void,
  ) {}

  start(request: Request): void {
    if (this.#mayRun(request.device)) this.#run(request);
    else {
      this.counters.queueFull++;
      this.#waiting.getOrInsertComputed(request.device, () => new Queue()).push(request);
    }
  }

  #mayRun(device: Device | undefined): boolean {
    let own = 0;
    for (const call of this.#running.keys()) if (call.device === device) own++;
    const free = this.most - this.#running.size;
    return free > 0 && own < Math.ceil((free + own) * SHARE);
  }

  async #run(request: Request): Promise<void> {
    this.counters.submissions++;
    const place = this.#freePlaces.pop() ?? this.#running.size;
    this.#running.set(request, place);
    this.#end(request, await callOnThread(this.shim, place, request.sqe));
  }

  #end(request: Request, result: number): void {
    const place = this.#running.get(request);
    // endNow has reported it.
    if (place === undefined) return;
    this.#running.delete(request);
    this.#freePlaces.push(place);
    for (const [device, requests] of this.#waiting) {
      if (!this.#mayRun(device)) continue;
      // The devices take turns.
      this.#waiting.delete(device);
      this.#run(requests.shift()!);
      if (requests.length > 0) this.#waiting.set(device, requests);
      break;
    }
    this.counters.wakeups++;
    this.ended(request, result);
  }

  /** Reports the results so far, without the event loop. No call runs on this thread, where it could hang. */
  endNow(): void {
    const { results } = this.shim.resources;
    for (const [request, place] of [...this.#running]) {
      const result = Atomics.load(results, place);
      if (result !== PENDING) this.#end(request, result);
    }
  }
}
