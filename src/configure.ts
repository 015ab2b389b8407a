// Chooses the engine of this isolate once, at the first use, and records the reason.

import { liburingVersion, openLiburing } from "../ffi/liburing.ts";
import { environment, loadShim } from "../ffi/shim.ts";
import { choiceOption, integerOption, readOptions } from "./arguments.ts";
import { BufferBudget, DEFAULT_BUFFER_BUDGET } from "./engine/buffer_budget.ts";
import { type Engine, waitUntil } from "./engine/engine.ts";
import { performance } from "./engine/event_loop.ts";
import { KernelEngine } from "./engine/kernel_engine.ts";
import { KernelRing } from "./engine/kernel_ring.ts";
import { kernelRelease } from "./engine/process.ts";
import {
  discardNamesNow,
  finishOpenFiles,
  flushOpenFilesNow,
  leaveOpenFiles,
} from "./file/program_end.ts";

// Taken at the import, because an emulated browser later replaces the function of the global object.
const { addEventListener } = globalThis;

/** Options of {@linkcode configure}. */
export interface EngineOptions {
  /**
   * "auto": io_uring if it is available, otherwise Deno's threads. "io_uring": fail if io_uring is not available.
   * "threads": never use io_uring.
   *
   * @default {"auto"}
   */
  engine?: "auto" | "io_uring" | "threads";
  /**
   * Entries of the ring's submission queue, from 8 to 32,768, rounded up to a power of two. Twice as many operations
   * can be in flight; further ones wait in JavaScript.
   *
   * @default {256}
   */
  ringEntries?: number;
  /**
   * The maximum number of blocking calls at once, from 1 to 24: all operations of the `threads` engine, and those that
   * do not run on the ring. Deno has 32 threads, also for its own file operations. One device gets at most two thirds.
   *
   * @default {12}
   */
  threads?: number;
  /**
   * The memory that the buffers of all streams of this isolate share, in bytes. Streams with `bufferSize`,
   * `writeBehind` or `readAhead` set do not count. While the budget is spent, each further stream uses one buffer of
   * 256 KiB. With 0 every stream does.
   *
   * @default {67108864}
   */
  bufferBudget?: number;
  /**
   * The maximum time in milliseconds for writing the accepted bytes when `Deno.exit` or an uncaught error ends the program.
   *
   * @default {5000}
   */
  exitTimeout?: number;
}

/** The engine in use, and the reason for it. */
export interface EngineInfo {
  /** The engine; null before the first file is opened. */
  engine: "io_uring" | "threads" | null;
  /** Why this engine was chosen. */
  reason: string;
  /** The kernel's release, such as "6.1.0-18-amd64"; empty before the first file is opened. */
  kernel: string;
  /** liburing's version; "2.3 or older" if the library does not report it; null if it is not loaded. */
  liburing: string | null;
  /** Entries of the ring's submission queue; 0 without a ring. */
  ringEntries: number;
  /** The maximum number of operations in flight; further ones wait in JavaScript. */
  maxInFlight: number;
  /** Whether buffers can be registered with the ring. False after the kernel has refused it once. */
  registeredBuffers: boolean;
  /**
   * How the ring was set up ("DEFER_TASKRUN" or "plain"), and how it wakes the event loop ("woken by thread", later "woken
   * by epoll"). Empty without a ring.
   */
  features: string[];
  /** Operations that the ring does not perform, because the kernel lacks or refuses them: they run on threads. */
  missing: string[];
}

const OPTIONS = {
  engine: choiceOption("auto", "io_uring", "threads"),
  ringEntries: integerOption(256, 8, 32768),
  threads: integerOption(12, 1, 24),
  bufferBudget: integerOption(DEFAULT_BUFFER_BUDGET),
  exitTimeout: integerOption(5000, 0, 2 ** 31 - 1),
};

let options: Readonly<Required<EngineOptions>> = readOptions({}, OPTIONS);
let chosen: ReturnType<typeof choose> | undefined;
/** Whether `unload` has released an engine, for which the listeners for the end were registered. */
let isReleased = false;
/** The engine that a test uses in place of the chosen one. */
let substitute: Engine | undefined;

/**
 * Sets the options of the engine. Call it before the first file is opened. Options that are left out get their defaults.
 *
 * @param wanted the options
 * @throws {TypeError | RangeError} an option is unknown, has a wrong type, or is out of range
 * @throws {Deno.errors.Busy} a file was opened already
 *
 * @example Use threads instead of io_uring
 * ```ts
 * import { configure, DmaFile, engineInfo } from "@denodma/dma";
 *
 * configure({ engine: "threads" });
 * await using _file = await DmaFile.create("threads.bin");
 * console.log(engineInfo().reason); // set by configure
 * ```
 */
export function configure(wanted: EngineOptions): void {
  const checked = readOptions(wanted, OPTIONS);
  if (chosen) {
    throw new Deno.errors.Busy(
      "Cannot configure the engine: it is in use; call configure before the first file is opened",
    );
  }
  options = checked;
}

/** Makes files opened from now on use `engine`; undefined restores the chosen engine. For tests. */
export function substituteEngine(engine: Engine | undefined): void {
  substitute = engine;
}

/** The engine, chosen and created at the first call. After a failure the next call tries again. */
export function useEngine(): Engine {
  if (substitute) return substitute;
  if (!chosen) {
    chosen = choose();
    if (!isReleased) listenForEnd();
  }
  return chosen.engine;
}

/** Finishes open files and releases all resources when the program ends. */
function listenForEnd(): void {
  addEventListener("beforeunload", (event) => {
    if (finishOpenFiles()) event.preventDefault();
  });
  const flushNow = () => {
    const deadline = performance.now() + options.exitTimeout;
    flushOpenFilesNow(deadline, (message) => console.error(`Warning: ${message}`));
    return deadline;
  };
  // An uncaught error ends the program without `unload`, unless a listener of the program prevents that. Deno frees the
  // memory of the isolate before the process ends.
  const endOnError = (event: Event) => {
    const deadline = flushNow();
    const usesMemory = !event.defaultPrevented && chosen?.engine.endsWithProcess;
    while (usesMemory && waitUntil(chosen!.engine, deadline));
  };
  addEventListener("error", endOnError);
  addEventListener("unhandledrejection", (event) => {
    // An operation that `unload` has cut short. If the program has ended, no caller waits for it.
    if (isReleased && event.reason?.code === "EBADFD") event.preventDefault();
    else endOnError(event);
  });
  const endNow = () => {
    const deadline = flushNow();
    discardNamesNow();
    return deadline;
  };
  // A worker of node:worker_threads, which has no `self`, gets only this event when its event loop has run empty.
  // Elsewhere the process object is not loaded: without /proc Deno would panic.
  if (!("self" in globalThis)) globalThis.process.on("exit", endNow);
  addEventListener("unload", () => {
    const deadline = endNow();
    // With `--watch` the program restarts on the same thread. Otherwise later listeners may still write.
    if (!chosen || chosen.engine.endsWithProcess) return;
    isReleased = true;
    const isDisposed = chosen.engine.dispose(deadline);
    leaveOpenFiles();
    // A test that calls Deno.exit continues. The files that it opens from now on have another engine, unless this one
    // still has operations: both record their resources in one table.
    if (isDisposed) chosen = undefined;
  });
}

/** The chosen engine; undefined before the first use. */
export function engineAtWork(): KernelEngine | undefined {
  return chosen?.engine;
}

/**
 * The engine in use, the reason for it, and its properties. Before the first file is opened, `engine` is null.
 *
 * @example Print which engine is in use
 * ```ts
 * import { DmaFile, engineInfo } from "@denodma/dma";
 *
 * await using _file = await DmaFile.create("engine.bin");
 * const { engine, reason } = engineInfo();
 * console.log(`${engine}: ${reason}`);
 * ```
 */
export function engineInfo(): EngineInfo {
  const ring = chosen?.engine.ring;
  return {
    engine: chosen?.engine.name ?? null,
    reason: chosen?.reason ?? "not chosen before the first file is opened",
    kernel: chosen ? kernelRelease(loadShim()) : "",
    liburing: ring ? liburingVersion(ring.kernel.liburing) ?? "2.3 or older" : null,
    ringEntries: ring?.kernel.entries ?? 0,
    maxInFlight: ring?.kernel.depth ?? (chosen ? options.threads : 0),
    registeredBuffers: ring?.kernel.registersBuffers ?? false,
    features: ring ? [ring.kernel.setup, `woken by ${ring.notifier.name}`] : [],
    missing: ring?.kernel.missing ?? [],
  };
}

function choose() {
  const shim = loadShim();
  const { bufferBudget, ringEntries, threads } = options;
  const budget = new BufferBudget(bufferBudget);
  const use = (reason: string, ring?: KernelRing) => {
    return { engine: new KernelEngine(shim, budget, threads, ring), reason };
  };
  const fromEnvironment = options.engine === "auto" ? environment("DMA_ENGINE") : undefined;
  // A misspelt engine is an error. It must not fall back to io_uring.
  const wanted = OPTIONS.engine("DMA_ENGINE", fromEnvironment ?? options.engine);
  const setBy = fromEnvironment ? "set by DMA_ENGINE" : "set by configure";
  if (wanted === "threads") return use(setBy);
  try {
    const ring = new KernelRing(shim, openLiburing(), ringEntries);
    return use(wanted === "io_uring" ? setBy : "io_uring and liburing are available", ring);
  } catch (error) {
    if (wanted === "io_uring" || error instanceof Deno.errors.NotCapable) throw error;
    return use((error as Error).message);
  }
}
