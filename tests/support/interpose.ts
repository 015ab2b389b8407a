// Stands between the module and the engine at work: holds, fails, shortens or notes single operations of real
// files, so that what a disk does once in a lifetime can be had at will.

import type { Completion, Engine } from "../../src/engine/engine.ts";
import { engine } from "./engine.ts";

type Operation =
  | "open"
  | "close"
  | "read"
  | "write"
  | "sync"
  | "allocate"
  | "truncate"
  | "link"
  | "rename"
  | "unlink";

/** Puts the engine back as it was. */
export interface Interposed extends Disposable {
  /** How many operations went by. */
  readonly count: number;
}

/**
 * Has every `operation` go through `replace`, until disposed. It gets the real operation, its arguments, of which
 * the last is the completion, and how many went before.
 */
export function interpose<Name extends Operation>(
  operation: Name,
  replace: (real: Engine[Name], args: Parameters<Engine[Name]>, index: number) => void,
): Interposed {
  const target = engine as unknown as Record<Name | "chain", unknown>;
  // What the kernel does in one go cannot be stood between: step by step it is the same.
  const chain = Object.getOwnPropertyDescriptor(target, "chain");
  target.chain = () => false;
  const before = Object.getOwnPropertyDescriptor(target, operation);
  const real = (engine[operation] as (...args: unknown[]) => void).bind(engine) as Engine[Name];
  let count = 0;
  target[operation] = (...args: Parameters<Engine[Name]>) => replace(real, args, count++);
  return {
    get count() {
      return count;
    },
    [Symbol.dispose]() {
      if (chain) Object.defineProperty(target, "chain", chain);
      else delete (target as { chain?: unknown }).chain;
      if (before) Object.defineProperty(target, operation, before);
      else delete target[operation];
    },
  };
}

/** Completes with `result` a little later, as the kernel would. */
export function later(done: Completion, result: number): void {
  setTimeout(() => done.complete(result), 0);
}
