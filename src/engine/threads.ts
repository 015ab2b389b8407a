// The engine for where io_uring is refused or liburing is not installed: the same operations as blocking
// calls on Deno's own pool of threads.

import type { Shim } from "../../ffi/shim.ts";
import type { BufferBudget } from "./buffer_budget.ts";
import { KernelEngine, type Operation } from "./kernel_engine.ts";

/** Blocking calls on Deno's FFI threads. */
export class ThreadsEngine extends KernelEngine {
  readonly name = "threads";
  readonly #waiting: Operation[] = [];
  readonly #most: number;
  #running = 0;

  /** `most` calls are under way at once. Deno's pool has 32 threads for everything, its own file operations too. */
  constructor(shim: Shim, budget: BufferBudget, most: number) {
    super(shim, budget);
    this.#most = most;
  }

  protected takeDown(): void {
    // Threads are Deno's.
  }

  protected push(operation: Operation): void {
    if (this.ended) return;
    this.counters.inFlight++;
    if (this.#running < this.#most) {
      this.#run(operation);
    } else {
      this.counters.queueFull++;
      this.#waiting.push(operation);
    }
  }

  async #run(first: Operation): Promise<void> {
    this.#running++;
    for (let next: Operation | undefined = first; next; next = this.#waiting.shift()) {
      const { opcode, fd, address, length, offset, flags } = next;
      this.counters.submissions++;
      const result = await this.shim.dma_call_blocking(opcode, fd, address, length, offset, flags);
      this.counters.wakeups++;
      this.counters.inFlight--;
      this.settle(next, result);
    }
    this.#running--;
  }

  submit(): void {
    // Calls start as they are queued.
  }
}
