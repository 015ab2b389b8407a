// The engine through which the real kernel is asked: one that nothing but programs under test uses.

import { openLiburing } from "../../../ffi/liburing.ts";
import { environment, loadShim } from "../../../ffi/shim.ts";
import { BufferBudget } from "../../../src/engine/buffer_budget.ts";
import { KernelEngine } from "../../../src/engine/kernel_engine.ts";
import { KernelRing } from "../../../src/engine/kernel_ring.ts";

const THREADS = 12;
const ENTRIES = 256;

/** A ring where there may be one, as src/configure.ts has it. */
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
