// Who waits until everything below a position is on disk, or durable, and the syncs that make it so. Positions are
// what is waited for, and not writes, so that any number may wait at once and share one sync.

import { type Engine, run } from "../engine/engine.ts";
import { type DmaError, ioError } from "../errors.ts";
import type { WriteLine } from "./write_line.ts";

/** What a {@linkcode Durability} is made of. */
export interface DurabilityOptions {
  engine: Engine;
  fd: number;
  /** For messages. */
  path: string;
  line: WriteLine;
  /** Whether something about the file is not durable yet. */
  unsynced: boolean;
  /** How often others changed the file. */
  others: () => number;
  /** What has to happen to the file before each sync. False where that failed: then there is none. */
  prepare: () => Promise<boolean>;
  /** Called when a sync is over that did not fail, or was not begun. */
  settled: () => void;
  /** Called with the error of a sync. Returns what those are told who wait: the first failure. */
  failed: (error: DmaError) => unknown;
}

interface Waiter {
  /** Everything below it must be flushed. */
  readonly target: number;
  /** And be durable. */
  readonly durable: boolean;
  readonly resolve: (position: number) => void;
  readonly reject: (error: unknown) => void;
}

/** Keeps waiters until they are served, and syncs the file where they want it. */
export class Durability {
  readonly #options: DurabilityOptions;
  #waiting: Waiter[] = [];
  /** The count of changes that are durable. */
  #durable: number;
  /** The same of those that others made. */
  #othersDurable: number;
  /** A sync is being prepared, or with the kernel. */
  busy = false;

  constructor(options: DurabilityOptions) {
    this.#options = options;
    this.#durable = options.unsynced ? -1 : options.line.changes;
    this.#othersDurable = options.others();
  }

  /** Whether everything that was done to the file here is durable. */
  get whole(): boolean {
    return this.#durable === this.#options.line.changes;
  }

  /** Whether also what others did to it meanwhile is. */
  get wholeWithOthers(): boolean {
    return this.whole && this.#othersDurable === this.#options.others();
  }

  /** Whether somebody waits. */
  get awaited(): boolean {
    return this.#waiting.length > 0;
  }

  /** Everything that was done to the file was synced by somebody else. */
  noteSync(): void {
    this.#durable = this.#options.line.changes;
    this.#othersDurable = this.#options.others();
  }

  /**
   * Waits until everything below `target` is flushed, and with `durable` also synced. Resolves to the flushed
   * position, as it was when the sync began where there was one.
   */
  wait(target: number, durable: boolean): Promise<number> {
    const served = new Promise<number>((resolve, reject) => {
      this.#waiting.push({ target, durable, resolve, reject });
    });
    this.serve();
    this.#options.engine.flush();
    return served;
  }

  /** Resolves those who have what they wait for, and starts the sync that others wait for. */
  serve(): void {
    if (this.#waiting.length === 0) return;
    const { flushed } = this.#options.line;
    const { whole } = this;
    let syncWanted = false;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const waiter of waiting) {
      if (waiter.target <= flushed && (whole || !waiter.durable)) {
        waiter.resolve(flushed);
        continue;
      }
      syncWanted ||= waiter.target <= flushed;
      this.#waiting.push(waiter);
    }
    if (syncWanted && !this.busy) this.#sync();
  }

  async #sync(): Promise<void> {
    const { engine, fd, path, line, others, prepare, settled, failed } = this.#options;
    this.busy = true;
    if (!await prepare()) {
      this.busy = false;
      settled();
      return;
    }
    // What completes from here on may be too late for this sync, and whoever comes later needs another.
    const { flushed, changes } = line;
    const othersChanges = others();
    const served = this.#waiting.filter(({ target }) => target <= flushed);
    this.#waiting = this.#waiting.filter(({ target }) => target > flushed);
    const queued = run(engine, { op: "sync", fd, dataOnly: true });
    engine.flush();
    const result = await queued;
    this.busy = false;
    if (result < 0) {
      // A failed sync has thrown away what it could not write; another would succeed and mean nothing.
      const reason = failed(ioError(-result, "sync", path));
      for (const { reject } of served) reject(reason);
      return;
    }
    this.#durable = changes;
    this.#othersDurable = othersChanges;
    for (const { resolve } of served) resolve(flushed);
    settled();
  }

  /** Tells everybody why there is nothing left to wait for, but those whom a sync serves that is with the kernel. */
  stop(reason: unknown): void {
    for (const { reject } of this.#waiting.splice(0)) reject(reason);
  }
}
