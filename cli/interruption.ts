// Turns the first signal into an AbortSignal, so that a transfer keeps its bytes. A later signal ends the process at
// once. Also reports why a command has ended early.
import { assertPlatform } from "../ffi/platform.ts";
import { EXIT_IO_ERROR, STOPPING_SIGNALS, type StoppingSignal } from "./exit_codes.ts";
import { note, noteError } from "./output.ts";

/** Signals before this are ignored: one Ctrl-C often arrives twice, from the terminal and through the parent. */
const REPEAT_AFTER_MS = 300;

/** The reason of an abort by a signal. */
export class Interrupted extends Error {
  /** The name of the signal. */
  readonly by: StoppingSignal;

  constructor(by: StoppingSignal) {
    super(`Stopped by ${by}`);
    this.name = "Interrupted";
    this.by = by;
  }
}

/** Listens for the stopping signals until it is disposed. */
export class Interruption implements Disposable {
  readonly #controller = new AbortController();
  readonly #listeners = new Map<StoppingSignal, () => void>();
  #firstAt = 0;

  constructor() {
    // Checked first: other platforms lack some of these signals.
    assertPlatform();
    for (const name of Object.keys(STOPPING_SIGNALS) as StoppingSignal[]) {
      const listener = () => this.#receive(name);
      Deno.addSignalListener(name, listener);
      this.#listeners.set(name, listener);
    }
    // A write past the limit of `ulimit -f` then fails, instead of ending the process. Never removed: the end of the
    // process can write too.
    Deno.addSignalListener("SIGXFSZ", () => {});
  }

  /** Aborted by the first signal, with an {@linkcode Interrupted} as its reason. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  #receive(name: StoppingSignal): void {
    const now = performance.now();
    if (!this.signal.aborted) {
      this.#firstAt = now;
      this.#controller.abort(new Interrupted(name));
    } else if (now - this.#firstAt >= REPEAT_AFTER_MS) {
      Deno.exit(STOPPING_SIGNALS[name]);
    }
  }

  /** Rejects when a signal arrives. For waits that take no AbortSignal, such as the opening of a FIFO. */
  async race<T>(promise: Promise<T>): Promise<T> {
    this.signal.throwIfAborted();
    const { promise: aborted, reject } = Promise.withResolvers<never>();
    const onAbort = () => reject(this.signal.reason);
    this.signal.addEventListener("abort", onAbort, { once: true });
    try {
      return await Promise.race([promise, aborted]);
    } finally {
      this.signal.removeEventListener("abort", onAbort);
    }
  }

  [Symbol.dispose](): void {
    for (const [name, listener] of this.#listeners) Deno.removeSignalListener(name, listener);
    this.#listeners.clear();
  }
}

/**
 * Says why a command has ended early. Returns the exit code.
 *
 * @param stopped what a signal leaves; absent: nothing is said of a signal
 */
export function endEarly(error: unknown, stopped?: string, remedy?: string): number {
  if (error instanceof Interrupted) {
    if (stopped !== undefined) note(`stopped by ${error.by}; ${stopped}`);
    return STOPPING_SIGNALS[error.by];
  }
  // A pipe closed by its reader, such as head, needs no message.
  if (!(error instanceof Deno.errors.BrokenPipe)) noteError(error, remedy);
  return EXIT_IO_ERROR;
}
