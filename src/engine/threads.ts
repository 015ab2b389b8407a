// The engine for where io_uring is refused or liburing is not installed: the same operations as blocking
// calls on Deno's own pool of threads.

import type { Shim } from "../../ffi/shim.ts";
import type { Completion } from "./engine.ts";
import { KernelEngine } from "./kernel_engine.ts";

/** Calls under way at once. Deno's pool has 32 threads for everything, its own file operations too. */
const MOST_THREADS = 12;

interface Call {
  opcode: number;
  fd: number;
  address: number;
  length: number;
  offset: number;
  flags: number;
  keep: unknown;
  done: Completion;
}

/** Blocking calls on Deno's FFI threads. */
export class ThreadsEngine extends KernelEngine {
  readonly name = "threads";
  readonly #waiting: Call[] = [];
  readonly #most: number;
  #running = 0;

  constructor(shim: Shim, most: number = MOST_THREADS) {
    super(shim);
    this.#most = most;
  }

  protected push(
    opcode: number,
    fd: number,
    address: number,
    length: number,
    offset: number,
    flags: number,
    _registration: number,
    _apart: boolean,
    keep: unknown,
    done: Completion,
  ): void {
    const call = { opcode, fd, address, length, offset, flags, keep, done };
    this.counters.inFlight++;
    if (this.#running < this.#most) {
      this.#run(call);
    } else {
      this.counters.queueFull++;
      this.#waiting.push(call);
    }
  }

  async #run(first: Call): Promise<void> {
    this.#running++;
    for (let call: Call | undefined = first; call; call = this.#waiting.shift()) {
      const { opcode, fd, address, length, offset, flags } = call;
      this.counters.submissions++;
      const result = await this.shim.dma_call_blocking(opcode, fd, address, length, offset, flags);
      this.counters.wakeups++;
      this.counters.inFlight--;
      this.settle(opcode, result, call.done);
    }
    this.#running--;
  }

  submit(): void {
    // Calls start as they are queued.
  }
}
