// Callers that wait until everything below a position is in the file, or durable, and the syncs that serve them. They wait
// for positions, not for writes, so any number can share one sync.

import { assert } from "../assert.ts";
import { cutToContent, exceedsContent } from "../file/cut.ts";
import type { OpenFile } from "../file/open_file.ts";
import type { WriteQueue } from "./write_queue.ts";

interface Waiter {
  /** The position below which everything must be flushed. */
  readonly target: number;
  /** Whether it must be durable too. */
  readonly durable: boolean;
  readonly resolve: (position: number) => void;
  readonly reject: (error: unknown) => void;
}

/** Keeps waiters until they are served. One sync runs at a time: the first of two would serve the waiters of the second. */
export class SyncQueue {
  readonly #file: OpenFile;
  readonly #preallocates: boolean;
  #waiting: Waiter[] = [];
  #running = false;
  #failure: { readonly reason: unknown } | undefined;

  /** `preallocates` says that reserved space may stay behind the content until the end. */
  constructor(file: OpenFile, preallocates: boolean) {
    this.#file = file;
    this.#preallocates = preallocates;
  }

  /** Whether everything in the file is durable, with its name. */
  get isDurable(): boolean {
    return this.#file.durability.isDurable && !this.#file.nameIsVolatile;
  }

  /** Everything below it is to be written now. While a sync is in flight nothing is for the next one: more callers may come. */
  get wantedEnd(): number {
    const isWanted = ({ durable }: Waiter) => !durable || !this.#running;
    return this.#waiting.reduce(
      (end, waiter) => isWanted(waiter) ? Math.max(end, waiter.target) : end,
      0,
    );
  }

  /**
   * Where a write must end at least for being durable by itself when it is over: one trip instead of two, if somebody
   * waits for just that, and nothing else is left to sync. Infinity otherwise.
   */
  get durableFrom(): number {
    const { blockSize, fileSystem } = this.#file;
    // Otherwise padding is cut before each sync.
    const keepsPadding = this.#preallocates || blockSize === 1;
    if (!fileSystem.syncsWrites || !keepsPadding || !this.isDurable) return Infinity;
    return this.#waiting.reduce(
      (least, { target, durable }) => durable ? Math.min(least, target) : least,
      Infinity,
    );
  }

  /** The least position behind `flushed` that a caller waits for; Infinity if there is none. */
  nextTarget(flushed: number): number {
    return this.#waiting.reduce(
      (least, { target }) => target > flushed ? Math.min(least, target) : least,
      Infinity,
    );
  }

  /** Waits until everything below `target` is flushed, and with `durable` also synced. */
  add(target: number, durable: boolean): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ target, durable, resolve, reject });
    });
  }

  /** Resolves waiters for whom enough is flushed and durable. Returns whether a sync is due. */
  serve(flushed: number): boolean {
    if (this.#waiting.length === 0) return false;
    const { isDurable } = this;
    let isDue = false;
    this.#waiting = this.#waiting.filter(({ target, durable, resolve }) => {
      if (target > flushed) return true;
      if (durable && !isDurable) return isDue = true;
      resolve(flushed);
      return false;
    });
    return isDue && !this.#running;
  }

  /** Syncs the file, with its name, and serves the waiters for what `queue` has flushed when the sync begins. */
  async run(queue: WriteQueue): Promise<void> {
    assert(!this.#running, "one sync at a time");
    this.#running = true;
    let served: Waiter[] = [];
    try {
      const file = this.#file;
      // With preallocation off, padding is cut before each sync, so that no other program sees it for long.
      const cuts = !this.#preallocates && queue.idle && exceedsContent(file);
      if (cuts) await cutToContent(file);
      if (this.#failure) return;
      // Later completions may miss the sync.
      const { flushed } = queue;
      served = this.#waiting.filter(({ target }) => target <= flushed);
      this.#waiting = this.#waiting.filter(({ target }) => target > flushed);
      await this.#sync();
      for (const { resolve } of served) resolve(flushed);
    } catch (error) {
      // They are told why the writer failed first.
      for (const { reject } of served) reject(this.#failure ? this.#failure.reason : error);
      throw error;
    } finally {
      this.#running = false;
    }
  }

  async #sync(): Promise<void> {
    const file = this.#file;
    const { durability } = file;
    const synced = await Promise.allSettled([
      !durability.isDurable && durability.sync(false),
      file.nameIsVolatile && file.syncName(),
    ]);
    const failed = synced.find((each) => each.status === "rejected");
    if (failed) throw failed.reason;
  }

  /** The writer has failed. Rejects all waiters except those whom the sync in flight serves: it may succeed. */
  fail(reason: unknown): void {
    this.#failure = { reason };
    for (const { reject } of this.#waiting.splice(0)) reject(reason);
  }
}
