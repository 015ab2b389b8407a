// Callers that wait until everything below a position is in the file, or durable. They wait for positions, not for
// writes, so any number can share one sync.

interface Waiter {
  /** The position below which everything must be flushed. */
  readonly target: number;
  /** Whether it must be durable too. */
  readonly durable: boolean;
  readonly resolve: (position: number) => void;
  readonly reject: (error: unknown) => void;
}

/** Keeps waiters until they are served. It starts no sync itself. */
export class SyncQueue {
  #waiting: Waiter[] = [];
  /** The waiters that the sync in flight serves. */
  #attached: Waiter[] = [];
  /** The flushed position when that sync began. */
  #syncedPosition = 0;

  /** Whether a waiter needs more than the sync in flight. */
  get empty(): boolean {
    return this.#waiting.length === 0;
  }

  /** Whether somebody waits for no more than everything below `end` to be durable. */
  wantsDurable(end: number): boolean {
    return this.#waiting.some(({ target, durable }) => durable && target <= end);
  }

  /** Waits until everything below `target` is flushed, and with `durable` also synced. */
  add(target: number, durable: boolean): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ target, durable, resolve, reject });
    });
  }

  /**
   * Resolves waiters for whom enough is flushed, and those for durability if `durable`. Returns whether a sync is due.
   */
  serve(flushed: number, durable: boolean): boolean {
    if (this.empty) return false;
    let due = false;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const waiter of waiting) {
      if (waiter.target > flushed) this.#waiting.push(waiter);
      else if (durable || !waiter.durable) waiter.resolve(flushed);
      else {
        due = true;
        this.#waiting.push(waiter);
      }
    }
    return due;
  }

  /** A sync begins. It serves waiters for positions that are flushed by now: later completions may miss it. */
  begin(flushed: number): void {
    this.#syncedPosition = flushed;
    this.#attached = this.#waiting.filter(({ target }) => target <= flushed);
    this.#waiting = this.#waiting.filter(({ target }) => target > flushed);
  }

  /** The sync succeeded. */
  succeed(): void {
    for (const { resolve } of this.#attached.splice(0)) resolve(this.#syncedPosition);
  }

  /**
   * The sync failed. The kernel has dropped what it could not write, so another sync would succeed and mean nothing.
   */
  fail(error: unknown): void {
    for (const { reject } of this.#attached.splice(0)) reject(error);
  }

  /** Rejects all waiters except those attached to the sync in flight. */
  rejectWaiting(reason: unknown): void {
    for (const { reject } of this.#waiting.splice(0)) reject(reason);
  }
}
