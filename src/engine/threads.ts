// The engine for where io_uring is refused or liburing is not installed: the same operations as blocking calls on Deno's
// own pool of threads.

import type { Shim } from "../../ffi/shim.ts";
import type { BufferBudget } from "./buffer_budget.ts";
import { eventLoopTurn } from "./event_loop.ts";
import { KernelEngine, type Request } from "./kernel_engine.ts";

/** Blocking calls on Deno's FFI threads. */
export class ThreadsEngine extends KernelEngine {
  readonly name = "threads";
  readonly #waiting: Request[] = [];
  readonly #sleeper = new Int32Array(new SharedArrayBuffer(4));
  readonly #maxRunning: number;
  #running = 0;
  /** Pending until the event loop has turned after the last call began. */
  #turn: Promise<void> | undefined;

  /** `maxRunning` calls run at once. Deno's pool has 32 threads for everything, its own file operations too. */
  constructor(shim: Shim, budget: BufferBudget, maxRunning: number) {
    super(shim, budget);
    this.#maxRunning = maxRunning;
  }

  protected takeDown(): void {
    // Threads are Deno's.
  }

  protected start(request: Request): void {
    if (this.#running < this.#maxRunning) {
      this.#run(request);
    } else {
      this.counters.queueFull++;
      this.#waiting.push(request);
    }
  }

  #run(request: Request): void {
    this.#running++;
    this.counters.submissions++;
    // Deno resolves a call that has ended by the time it is first looked at, without a turn of the event loop.
    this.#turn ??= eventLoopTurn().finally(() => this.#turn = undefined);
    const ended = (result: number) => {
      this.#running--;
      this.counters.wakeups++;
      const next = this.#waiting.shift();
      if (next) this.#run(next);
      this.settle(request, result);
    };
    this.callOnThread(request, ended, this.#turn);
  }

  protected reapNow(): void {
    const request = this.#waiting.shift();
    if (request) this.settle(request, this.callNow(request));
  }

  protected sleepNow(milliseconds: number): void {
    Atomics.wait(this.#sleeper, 0, 0, milliseconds);
  }

  flush(): void {
    // Calls start as they are submitted.
  }
}
