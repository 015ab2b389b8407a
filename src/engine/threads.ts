// The engine without io_uring: the same operations as blocking calls on Deno's pool of threads.

import type { Shim } from "../../ffi/shim.ts";
import type { BufferBudget } from "./buffer_budget.ts";
import { eventLoopTurn } from "./event_loop.ts";
import { KernelEngine, type Request } from "./kernel_engine.ts";
import { ThreadCalls } from "./thread_calls.ts";

/** For machines where io_uring is refused or liburing is not installed. */
export class ThreadsEngine extends KernelEngine {
  readonly name = "threads";
  readonly #sleeper = new Int32Array(new SharedArrayBuffer(4));

  /** `threads` calls run at once. */
  constructor(shim: Shim, budget: BufferBudget, threads: number) {
    // Deno resolves a call that has already ended without a turn of the event loop.
    let turn: Promise<void> | undefined;
    const nextTurn = () => turn ??= eventLoopTurn().finally(() => turn = undefined);
    super(shim, budget, new ThreadCalls(shim, threads, nextTurn));
  }

  protected free(): void {
    // The threads are Deno's.
  }

  protected start(request: Request): void {
    this.callOnThread(request);
  }

  protected reapNow(): void {
    // There is no ring.
  }

  protected sleepNow(milliseconds: number): void {
    Atomics.wait(this.#sleeper, 0, 0, milliseconds);
  }

  flush(): void {
    // Calls start as they are submitted.
  }
}
