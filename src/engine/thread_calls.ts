// Calls on Deno's own pool of threads, which has 32 for everything: so many of this module's at once, of which no device
// gets all. A server that is gone holds up the calls that wait for it, and not those for other disks.

import type { Shim } from "../../ffi/shim.ts";
import { NO_PLACE } from "../../ffi/thread_exit.ts";
import { Opcode } from "./linux.ts";
import { callNow, type Sqe } from "./sqe.ts";

/** One device may have so much of the threads that no other device has. */
const SHARE = 2 / 3;

/** Stands at the place of a result that is not there. No call returns it. */
const PENDING = -(2 ** 31);

/** A call that is to be made. */
interface Call {
  readonly sqe: Sqe;
  /** The device of the file that it is for. */
  readonly device: number;
  readonly ended: (result: number) => void;
  /** Where its result will stand in memory. */
  place: number;
}

/** Makes calls, each as soon as there is a thread for it. */
export class ThreadCalls {
  readonly #shim: Shim;
  readonly #most: number;
  readonly #turn: (() => Promise<void>) | undefined;
  readonly #running = new Set<Call>();
  readonly #runningOf = new Map<number, number>();
  readonly #waiting: Call[] = [];
  readonly #freePlaces: number[];

  /** `most` calls run at once. No result is given before the promise of `turn` resolves, which is asked for at each call. */
  constructor(shim: Shim, most: number, turn?: () => Promise<void>) {
    this.#shim = shim;
    this.#most = most;
    this.#turn = turn;
    this.#freePlaces = Array.from(shim.resources.results.keys());
  }

  /** Calls that have not ended. */
  get count(): number {
    return this.#running.size + this.#waiting.length;
  }

  /** Makes a call. `ended` gets its result, once. Returns whether there was a thread for it at once. */
  start(sqe: Sqe, device: number, ended: (result: number) => void): boolean {
    const call = { sqe, device, ended, place: NO_PLACE };
    const runs = this.#mayRun(device);
    if (runs) this.#run(call);
    else this.#waiting.push(call);
    return runs;
  }

  #mayRun(device: number): boolean {
    const own = this.#runningOf.get(device) ?? 0;
    const free = this.#most - this.#running.size;
    return free > 0 && own < Math.ceil((free + own) * SHARE);
  }

  async #run(call: Call): Promise<void> {
    const { device, sqe: { opcode, fd, address, length, offset, flags } } = call;
    this.#running.add(call);
    this.#runningOf.set(device, (this.#runningOf.get(device) ?? 0) + 1);
    const place = call.place = this.#freePlaces.pop() ?? NO_PLACE;
    if (place !== NO_PLACE) this.#shim.resources.results[place] = PENDING;
    const turn = this.#turn?.();
    const { dma_call_on_thread } = this.#shim;
    const result = await dma_call_on_thread(place, opcode, fd, address, length, offset, flags);
    await turn;
    this.#end(call, result);
  }

  #end(call: Call, result: number): void {
    if (!this.#running.delete(call)) return;
    const left = this.#runningOf.get(call.device)! - 1;
    if (left > 0) this.#runningOf.set(call.device, left);
    else this.#runningOf.delete(call.device);
    if (call.place !== NO_PLACE) this.#freePlaces.push(call.place);
    const next = this.#waiting.findIndex(({ device }) => this.#mayRun(device));
    if (next >= 0) this.#run(this.#waiting.splice(next, 1)[0]!);
    call.ended(result);
  }

  /** Gives out results that are there, without the event loop; makes one call that waits for a thread on this one. */
  endNow(): void {
    const { results } = this.#shim.resources;
    for (const call of [...this.#running]) {
      const result = call.place === NO_PLACE ? PENDING : results[call.place]!;
      if (result !== PENDING) this.#end(call, result);
    }
    // What closes also strikes the descriptor from the list, and only a call on a thread does that.
    const at = this.#waiting.findIndex(({ sqe: { opcode } }) => opcode !== Opcode.CLOSE);
    if (at < 0) return;
    const next = this.#waiting.splice(at, 1)[0]!;
    next.ended(callNow(this.#shim, next.sqe));
  }
}
