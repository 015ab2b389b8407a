// Blocking calls on Deno's pool of 32 threads, which Deno needs too. The number of calls at once is limited, in all and per
// device: calls that wait for a server that is gone do not hold up those for other devices.

import type { Shim } from "../../ffi/shim.ts";
import { NO_PLACE } from "../../ffi/thread_exit.ts";
import { Opcode } from "./linux.ts";
import { callNow, type Sqe } from "./sqe.ts";

/** The part of the threads that one device may have, of those that no other device has. */
const SHARE = 2 / 3;

/** Marks a result that is not there yet. No call returns this number. */
const PENDING = -(2 ** 31);

/** A call that waits or runs. */
interface Call {
  readonly sqe: Sqe;
  /** The device of the file that it is for. */
  readonly device: number;
  readonly ended: (result: number) => void;
  /** The index of its result in native memory. */
  place: number;
}

/** Makes each call as soon as there is a thread for it. */
export class ThreadCalls {
  readonly #shim: Shim;
  readonly #most: number;
  readonly #turn: (() => Promise<void>) | undefined;
  readonly #running = new Set<Call>();
  readonly #runningOf = new Map<number, number>();
  readonly #waiting: Call[] = [];
  readonly #freePlaces: number[];

  /** `most` calls run at once. `turn` is called with each call; its result is reported when the promise has resolved. */
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

  /** Makes a call. `ended` gets its result. Returns whether a thread was free. */
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

  /** Reports the results that are there, without the event loop, and makes one waiting call on this thread. */
  endNow(): void {
    const { results } = this.#shim.resources;
    for (const call of [...this.#running]) {
      const result = call.place === NO_PLACE ? PENDING : results[call.place]!;
      if (result !== PENDING) this.#end(call, result);
    }
    // A close also removes the descriptor from the resource table, which only a call on a thread does.
    const at = this.#waiting.findIndex(({ sqe: { opcode } }) =>
      opcode !== Opcode.CLOSE && opcode !== Opcode.CLOSE_MANY
    );
    if (at < 0) return;
    const next = this.#waiting.splice(at, 1)[0]!;
    next.ended(callNow(this.#shim, next.sqe));
  }
}
