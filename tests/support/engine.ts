// The engine in use, made and warmed up before any test runs. Otherwise Deno's sanitizers would report the resources that
// it keeps for the life of the process as leaks of the first test.

import { setImmediate } from "node:timers";
import { engineAtWork, useEngine } from "../../src/configure.ts";
import type { KernelEngine } from "../../src/engine/kernel_engine.ts";
import { DmaFile, engineInfo } from "../../mod.ts";

useEngine();
export const engine: KernelEngine = engineAtWork()!;
// The isolate of a test file ends before the process, but after its tests. With this setting the tests run as in a
// program whose isolate ends with the process.
Object.assign(engine, { endsWithProcess: true });

/** Replaces a method or a property of the engine until it is disposed. */
export function replaceMethod<Name extends keyof KernelEngine>(
  name: Name,
  method: KernelEngine[Name],
): Disposable {
  const before = Object.getOwnPropertyDescriptor(engine, name);
  Object.defineProperty(engine, name, { value: method, configurable: true });
  return {
    [Symbol.dispose]() {
      if (before) Object.defineProperty(engine, name, before);
      else Reflect.deleteProperty(engine, name);
    },
  };
}

/** The ring changes from a thread to epoll after 400 wake-ups. The rounds are limited, because it may not. */
const MOST_ROUNDS = 4000;

// On tmpfs a sync takes no time.
const path = await Deno.makeTempFile({ dir: "/dev/shm" }).catch(() => Deno.makeTempFile());
const file = await DmaFile.open(path);
for (let round = 0; round < MOST_ROUNDS; round++) {
  if (engine.name !== "io_uring" || engineInfo().features.includes("woken by epoll")) break;
  await file.sync();
  // Without this turn the next completion would be reaped along with this one, and there would be no wake-up.
  await new Promise((resolve) => setImmediate(resolve));
}
await file.close();
await Deno.remove(path);
