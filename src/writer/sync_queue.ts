// The callers that wait until all bytes below a position are flushed or durable. Any number of them share one sync.

import { assert } from "../assert.ts";
import { RWF_DSYNC } from "../engine/linux.ts";
import type { OpenFile } from "../file/open_file.ts";
import { cutToContent } from "../file/space.ts";
import type { WriteQueue } from "./write_queue.ts";

interface Waiter extends Pick<PromiseWithResolvers<number>, "resolve" | "reject"> {
  /** The position below which all bytes must be flushed. */
  readonly target: number;
  readonly durable: boolean;
}

/** Keeps waiters until they are served. One sync runs at a time: the first of two would serve the waiters of the second. */
export class SyncQueue {
  #waiting: Waiter[] = [];
  #running = false;

  /** `preallocates`: padding and reserved space may stay past the content until the end. */
  constructor(readonly file: OpenFile, readonly preallocates: boolean) {}

  /** All bytes below this position are to be written now. During a sync a tail waits: more callers may come. */
  get wantedEnd(): number {
    let end = 0;
    for (const { durable, target } of this.#waiting) {
      if (!durable || !this.#running) end = Math.max(end, target);
    }
    return end;
  }

  /**
   * A write that ends at or past this position is durable itself (RWF_DSYNC): one operation instead of two. Infinity,
   * unless a caller waits for exactly these bytes and nothing else needs a sync.
   */
  get durableFrom(): number {
    const { blockSize, isDurable, writeFlags } = this.file;
    // Otherwise padding is cut before each sync.
    const keepsPadding = this.preallocates || blockSize === 1;
    if (!(writeFlags & RWF_DSYNC) || !keepsPadding || !isDurable) return Infinity;
    let from = Infinity;
    for (const { durable, target } of this.#waiting) if (durable) from = Math.min(from, target);
    return from;
  }

  /** The lowest position past `flushed` that a caller waits for; Infinity if there is none. */
  nextTarget(flushed: number): number {
    let next = Infinity;
    for (const { target } of this.#waiting) if (target > flushed) next = Math.min(next, target);
    return next;
  }

  add(target: number, durable: boolean): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ target, durable, resolve, reject });
    });
  }

  /** Resolves the waiters whose bytes are flushed or durable. Returns whether a sync is due. */
  serve(flushed: number): boolean {
    if (this.#waiting.length === 0) return false;
    const { isDurable } = this.file;
    let isDue = false;
    this.#waiting = this.#waiting.filter(({ target, durable, resolve }) => {
      if (target > flushed) return true;
      if (durable && !isDurable) return isDue = true;
      resolve(flushed);
      return false;
    });
    return isDue && !this.#running;
  }

  /** Syncs the file and its name, and serves the waiters of the bytes that `queue` has flushed when the sync begins. */
  async run(queue: WriteQueue): Promise<void> {
    assert(!this.#running, "one sync at a time");
    this.#running = true;
    let served: Waiter[] = [];
    try {
      const file = this.file;
      // With preallocation off, padding is cut before each sync, so that no other program sees it for long.
      const cut = !this.preallocates && queue.size === 0 ? cutToContent(file) : undefined;
      if (cut) await cut;
      // The sync may not cover later completions.
      const { flushed } = queue;
      served = this.#waiting.filter(({ target }) => target <= flushed);
      this.#waiting = this.#waiting.filter(({ target }) => target > flushed);
      await file.sync();
      for (const { resolve } of served) resolve(flushed);
    } catch (error) {
      // These settle after the writer has failed: callers get its failure, when everything is freed.
      for (const { resolve } of served) resolve(Promise.reject(error));
      throw error;
    } finally {
      this.#running = false;
    }
  }

  /** The writer has failed. Rejects all waiters except those of the sync in flight, which may succeed. */
  fail(reason: unknown): void {
    for (const { reject } of this.#waiting.splice(0)) reject(reason);
  }
}
