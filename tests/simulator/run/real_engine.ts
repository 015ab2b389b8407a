// The engine of the real kernel, which only programs under test use.

import { openLiburing } from "../../../ffi/liburing.ts";
import { environment, loadShim } from "../../../ffi/shim.ts";
import { BufferBudget } from "../../../src/engine/buffer_budget.ts";
import { KernelEngine } from "../../../src/engine/kernel_engine.ts";
import { KernelRing } from "../../../src/engine/kernel_ring.ts";

const THREADS = 12;
const ENTRIES = 256;

/** A ring if io_uring is allowed, as in src/configure.ts. */
export function openRealEngine(): KernelEngine {
  const shim = loadShim();
  const budget = new BufferBudget();
  const threads = () => new KernelEngine(shim, budget, THREADS);
  if (environment("DMA_ENGINE") === "threads") return threads();
  try {
    return new KernelEngine(shim, budget, THREADS, new KernelRing(shim, openLiburing(), ENTRIES));
  } catch {
    return threads();
  }
}
