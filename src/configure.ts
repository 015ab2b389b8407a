// Picks the engine of this isolate, once, at the first use, and remembers why.

import { liburingVersion, openLiburing } from "../ffi/liburing.ts";
import { environment, loadShim } from "../ffi/shim.ts";
import { choiceOption, integerOption, readOptions } from "./arguments.ts";
import { BufferBudget, DEFAULT_BUFFER_BUDGET } from "./engine/buffer_budget.ts";
import type { Engine } from "./engine/engine.ts";
import { performance } from "./engine/event_loop.ts";
import { KernelEngine } from "./engine/kernel_engine.ts";
import { KernelRing, RingRefused } from "./engine/kernel_ring.ts";
import { Errno } from "./engine/linux.ts";
import { kernelRelease } from "./engine/process.ts";
import { discardNamesNow, finishOpenFiles, flushOpenFilesNow } from "./file/program_end.ts";

/** How the engine is to be made. For {@linkcode configure}. */
export interface EngineOptions {
  /**
   * "auto": io_uring if it is available, else Deno's threads. "io_uring": fail if it is not available. "threads": never
   * try it.
   *
   * @default {"auto"}
   */
  engine?: "auto" | "io_uring" | "threads";
  /**
   * Entries of the ring's submission queue, rounded up to a power of two. Twice as many operations can be in
   * flight; more wait in JavaScript. From 8 to 32,768.
   *
   * @default {256}
   */
  ringEntries?: number;
  /**
   * Blocking calls at once, from 1 to 24: all operations of the `threads` engine, and those that a ring cannot do. Deno
   * has 32 threads, for its own file operations too. One device gets two thirds of these calls at most.
   *
   * @default {12}
   */
  threads?: number;
  /**
   * Bytes that the buffers of all streams of this isolate may take together. Streams with `bufferSize`, `writeBehind` or
   * `readAhead` set do not count. While the budget is spent, each stream uses one buffer of 256 KiB. 0: always.
   *
   * @default {67108864}
   */
  bufferBudget?: number;
  /**
   * Milliseconds that a program which ends by `Deno.exit` or an uncaught error may spend on writing what its writers
   * accepted.
   *
   * @default {5000}
   */
  exitTimeout?: number;
}

/** The engine in use, and why. */
export interface EngineInfo {
  /** Null before the first file is opened. */
  engine: "io_uring" | "threads" | null;
  /** Why this engine. */
  reason: string;
  /** The kernel's release, as "6.1.0-18-amd64"; empty before the first file is opened. */
  kernel: string;
  /** liburing's version; "2.3 or older" where it cannot say; null where it was not loaded. */
  liburing: string | null;
  /** Entries of the ring's submission queue; 0 without a ring. */
  ringEntries: number;
  /** Operations that the kernel may have at once; more wait their turn. */
  maxInFlight: number;
  /** Whether buffers can be registered with the ring. False from the first time on that the kernel refuses it. */
  registeredBuffers: boolean;
  /** How the ring was set up and how it wakes the event loop. */
  features: string[];
  /** Operations that this kernel's io_uring lacks: they run on threads. */
  missing: string[];
}

interface Chosen {
  readonly engine: KernelEngine;
  readonly reason: string;
}

const OPTIONS = {
  engine: choiceOption("auto", "io_uring", "threads"),
  ringEntries: integerOption(256, 8, 32768),
  threads: integerOption(12, 1, 24),
  bufferBudget: integerOption(DEFAULT_BUFFER_BUDGET),
  exitTimeout: integerOption(5000, 0, 2 ** 31 - 1),
};

let options: Readonly<Required<EngineOptions>> = readOptions({}, OPTIONS);
let chosen: Chosen | undefined;
/** What tests put in the place of a chosen engine. */
let substitute: Engine | undefined;

/**
 * Sets how the engine is made, before the first file is opened.
 *
 * @param wanted the options that are not to have their defaults
 * @throws {TypeError | RangeError} an option is unknown, of a wrong type or out of its range
 * @throws {Deno.errors.Busy} a file was opened already
 *
 * @example Do without io_uring
 * ```ts
 * import { configure, DmaFile, engineInfo } from "@denodma/dma";
 *
 * configure({ engine: "threads" });
 * await using _file = await DmaFile.create("threads.bin");
 * console.log(engineInfo().reason); // configure asks for it
 * ```
 */
export function configure(wanted: EngineOptions): void {
  const checked = readOptions(wanted, OPTIONS);
  if (chosen) {
    throw new Deno.errors.Busy(
      "Cannot configure the engine: it is at work; call configure before the first file is opened",
    );
  }
  options = checked;
}

/** Has files that are opened from now on use `engine`; undefined: the chosen one again. For tests. */
export function substituteEngine(engine: Engine | undefined): void {
  substitute = engine;
}

/** The engine, chosen and made at the first call. A failure is not remembered: the next call tries again. */
export function useEngine(): Engine {
  if (substitute) return substitute;
  if (!chosen) {
    chosen = choose();
    listenForEnd(chosen.engine);
  }
  return chosen.engine;
}

/** Has what is open finished when the program ends, and everything given back. */
function listenForEnd(engine: KernelEngine): void {
  addEventListener("beforeunload", (event) => {
    if (finishOpenFiles()) event.preventDefault();
  });
  const flushNow = () => {
    const deadline = performance.now() + options.exitTimeout;
    flushOpenFilesNow(deadline, (message) => console.error(`Warning: ${message}`));
    return deadline;
  };
  // After an error that nobody catches there is no `unload`. A listener of the program's own may have it go on.
  addEventListener("error", flushNow);
  addEventListener("unhandledrejection", flushNow);
  // A program that is watched starts anew on the same thread. In another one later listeners may still write.
  const isLast = !engine.endsWithProcess;
  addEventListener("unload", () => {
    const deadline = flushNow();
    discardNamesNow();
    if (isLast) engine.dispose(deadline);
  }, { once: isLast });
}

/** The engine, where one was chosen. */
export function engineAtWork(): KernelEngine | undefined {
  return chosen?.engine;
}

/**
 * The engine in use, why it was chosen and what it found. Before the first open, `engine` is null.
 *
 * @example Tell which engine is in use
 * ```ts
 * import { DmaFile, engineInfo } from "@denodma/dma";
 *
 * await using _file = await DmaFile.create("engine.bin");
 * const { engine, reason } = engineInfo();
 * console.log(`${engine}: ${reason}`);
 * ```
 */
export function engineInfo(): EngineInfo {
  const without = {
    engine: null,
    reason: "Not chosen before the first file is opened",
    kernel: "",
    liburing: null,
    ringEntries: 0,
    maxInFlight: 0,
    registeredBuffers: false,
    features: [],
    missing: [],
  };
  if (!chosen) return without;
  const { engine, reason } = chosen;
  const info = { ...without, engine: engine.name, reason, kernel: kernelRelease(loadShim()) };
  if (!engine.ring) return { ...info, maxInFlight: options.threads };
  const { kernel: ring, notifier } = engine.ring;
  return {
    ...info,
    liburing: liburingVersion(ring.liburing) ?? "2.3 or older",
    ringEntries: ring.entries,
    maxInFlight: ring.depth,
    registeredBuffers: ring.registersBuffers,
    features: [ring.setup, `woken by ${notifier.name}`],
    missing: [...ring.missing],
  };
}

function choose(): Chosen {
  const shim = loadShim();
  const { bufferBudget, ringEntries, threads } = options;
  const budget = new BufferBudget(bufferBudget);
  const useThreads = (reason: string) => {
    return { engine: new KernelEngine(shim, budget, threads), reason };
  };
  const fromEnvironment = options.engine === "auto" ? environment("DMA_ENGINE") : undefined;
  // A name that is none must not be taken for leave to use io_uring.
  const wanted = OPTIONS.engine("DMA_ENGINE", fromEnvironment ?? options.engine);
  if (wanted === "threads") {
    return useThreads(fromEnvironment ? "DMA_ENGINE asks for it" : "configure asks for it");
  }
  try {
    const ring = new KernelRing(shim, openLiburing(), ringEntries);
    const engine = new KernelEngine(shim, budget, threads, ring);
    const isAsked = wanted === "io_uring";
    const reason = isAsked ? "asked for" : "io_uring is allowed and liburing is there";
    return { engine, reason };
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    if (wanted === "auto") return useThreads(refusal(error));
    if (!(error instanceof RingRefused)) throw error;
    throw new Deno.errors.NotSupported(refusal(error), { cause: error });
  }
}

/** Why io_uring is not to be had, for people. */
function refusal(error: unknown): string {
  if (!(error instanceof RingRefused)) {
    return error instanceof Error ? error.message : String(error);
  }
  switch (error.errno) {
    case Errno.EPERM:
      return "io_uring is forbidden here (EPERM): by a container's seccomp profile, or by the sysctl kernel.io_uring_disabled";
    case Errno.ENOSYS:
      return "This kernel has no io_uring, or a seccomp profile hides it (ENOSYS)";
    default:
      return `io_uring could not be set up: ${error.message}`;
  }
}
