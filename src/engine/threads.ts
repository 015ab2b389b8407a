// The engine without io_uring: the same operations as blocking calls on Deno's pool of threads.

import type { Shim } from "../../ffi/shim.ts";
import type { BufferBudget } from "./buffer_budget.ts";
import { eventLoopTurn } from "./event_loop.ts";
import { KernelEngine } from "./kernel_engine.ts";

/** For machines where io_uring is refused or liburing is not installed. */
export class ThreadsEngine extends KernelEngine {
  readonly name = "threads";

  /** `threads` calls run at once. */
  constructor(shim: Shim, budget: BufferBudget, threads: number) {
    // Deno resolves a call that has already ended without a turn of the event loop.
    let turn: Promise<void> | undefined;
    const nextTurn = () => turn ??= eventLoopTurn().finally(() => turn = undefined);
    super(shim, budget, threads, nextTurn);
  }
}
