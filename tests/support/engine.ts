// The engine in use, and the interception of its operations. It is made and warmed up before any test runs: otherwise Deno's
// sanitizers would report the resources that it keeps for the life of the process as leaks of the first test.

import { setImmediate } from "node:timers";
import { engineAtWork, useEngine } from "../../src/configure.ts";
import type { KernelEngine } from "../../src/engine/kernel_engine.ts";
import { Errno, O_PATH, O_TMPFILE, RESOLVE_CACHED } from "../../src/engine/linux.ts";
import type { Completion, Operation, OperationName } from "../../src/engine/operation.ts";
import { DmaFile, engineInfo } from "../../mod.ts";
import { eventually } from "../setup/command.ts";

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

// A test can hold, fail, shorten or record single operations on real files, and so cause rare faults of a disk.

type Named<Name extends OperationName> = Extract<Operation, { op: Name }>;

export interface Interposed extends Disposable {
  readonly count: number;
}

export interface Submitted<Name extends OperationName> {
  readonly operation: Named<Name>;
  readonly completion: Completion;
  /** The number of intercepted operations before this one. */
  readonly index: number;
  /** Submits it to the engine, with other fields or another completion if given. */
  readonly pass: (change?: Partial<Named<Name>>, completion?: Completion) => void;
  /** Completes it with `result` a little later, as the kernel would. */
  readonly end: (result: number) => void;
}

/** Calls `replace` in place of every submission of that name, until disposed. */
export function interpose<Name extends OperationName>(
  name: Name,
  replace: (submitted: Submitted<Name>) => void,
): Interposed {
  const real = engine.submit.bind(engine);
  const runNow = engine.runNow.bind(engine);
  let count = 0;
  // A file that the kernel has in memory is then opened by a submission too.
  const isQuick = (each: Operation) =>
    each.op === "open" && (each.resolve & RESOLVE_CACHED) && !(each.flags & O_PATH);
  const now = name !== "open" ? undefined : replaceMethod("runNow", (each) => {
    return isQuick(each) ? -Errno.EAGAIN : runNow(each);
  });
  const replaced = replaceMethod("submit", (operation, completion) => {
    if (operation.op !== name) return real(operation, completion);
    replace({
      operation: operation as Submitted<Name>["operation"],
      completion,
      index: count++,
      pass: (change = {}, otherwise = completion) =>
        real({ ...operation, ...change } as Operation, otherwise),
      end: (result) => void setTimeout(() => completion.complete(result), 0),
    });
  });
  return {
    get count() {
      return count;
    },
    [Symbol.dispose]: () => [replaced, now].forEach((each) => each?.[Symbol.dispose]()),
  };
}

/** Shows operations of that name to `look` when they are submitted. */
export function watch<Name extends OperationName>(
  name: Name,
  look: (operation: Named<Name>) => void = () => {},
): Interposed {
  return interpose(name, ({ operation, pass }) => {
    look(operation);
    pass();
  });
}

/** Fails operations of that name, or those that `only` chooses. A close that fails has closed, as with the kernel. */
export function fail<Name extends OperationName>(
  name: Name,
  errno: number,
  only: (operation: Named<Name>) => boolean = () => true,
): Interposed {
  return interpose(name, ({ operation, completion, pass, end }) => {
    if (!only(operation)) pass();
    else if (name === "close") pass({}, { complete: () => completion.complete(-errno) });
    else end(-errno);
  });
}

/** Calls `change` when an operation of that name has ended. It may change the memory, and return another result. */
export function alter<Name extends OperationName>(
  name: Name,
  change: (operation: Named<Name>) => number | void,
): Interposed {
  return interpose(name, ({ operation, completion, pass }) => {
    const complete = (result: number) => completion.complete(change(operation) ?? result);
    pass({}, { complete });
  });
}

/** A file system without O_TMPFILE, like most FUSE file systems. */
export function withoutUnnamedFiles(errno: number = Errno.EOPNOTSUPP): Interposed {
  return fail("open", errno, ({ flags }) => (flags & O_TMPFILE) === O_TMPFILE);
}

/** Operations that a test holds, before they reach the engine or before their results reach the module. */
export interface Held extends Disposable {
  readonly count: number;
  /** Resolves when `count` operations are held, by default one. */
  reach(count?: number): Promise<void>;
  /** Releases all operations and holds no more. Disposing does the same. */
  letGo(): void;
}

/** Holds operations of that name, or those that `only` chooses, until they are released; with `results` their results. */
export function hold<Name extends OperationName>(
  name: Name,
  { only = () => true, results = false }: {
    only?: (operation: Named<Name>) => boolean;
    results?: boolean;
  } = {},
): Held {
  const waiting: (() => void)[] = [];
  let holds = true;
  const wait = (go: () => void) => holds ? void waiting.push(go) : go();
  const interposed = interpose(name, ({ operation, completion, pass }) => {
    if (!only(operation)) pass();
    else if (!results) wait(pass);
    else pass({}, { complete: (result) => wait(() => completion.complete(result)) });
  });
  const letGo = () => {
    if (!holds) return;
    holds = false;
    interposed[Symbol.dispose]();
    for (const go of waiting.splice(0)) go();
    engine.flush();
  };
  return {
    get count() {
      return waiting.length;
    },
    reach: (count = 1) => eventually(() => waiting.length >= count),
    letGo,
    [Symbol.dispose]: letGo,
  };
}
