// The engine at work, made and warmed up before any test runs: what it keeps for the life of the process would be
// laid by Deno's sanitizers to whichever test came first.

import { setImmediate } from "node:timers";
import { engineAtWork, useEngine } from "../../src/configure.ts";
import type { KernelEngine } from "../../src/engine/kernel_engine.ts";
import { DmaFile, engineInfo } from "../../mod.ts";

/** The engine that every file of these tests goes through. */
useEngine();
export const engine: KernelEngine = engineAtWork()!;
// The isolate of a test file ends before the process does, but not before its tests: what most programs do is tested.
Object.assign(engine, { endsWithProcess: true });

/** A ring that has woken the loop 400 times changes over to a better way to do that, where there is one. */
const MOST_ROUNDS = 4000;

// In memory a sync takes no time.
const path = await Deno.makeTempFile({ dir: "/dev/shm" }).catch(() => Deno.makeTempFile());
const file = await DmaFile.open(path);
for (let round = 0; round < MOST_ROUNDS; round++) {
  if (engine.name !== "io_uring" || engineInfo().features.includes("woken by epoll")) break;
  await file.sync();
  // Else the next one is reaped along with it, and wakes nobody.
  await new Promise((resolve) => setImmediate(resolve));
}
await file.close();
await Deno.remove(path);
