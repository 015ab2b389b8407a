// Who waits until everything below a position is in the file, or durable. Positions are what is waited for, and not
// writes, so that any number may wait at once and share one sync.

interface Waiter {
  /** Everything below it must be flushed. */
  readonly target: number;
  /** And be durable. */
  readonly durable: boolean;
  readonly resolve: (position: number) => void;
  readonly reject: (error: unknown) => void;
}

/** Keeps waiters until they are served. It syncs nothing itself. */
export class SyncQueue {
  #waiting: Waiter[] = [];
  /** Those whom the sync with the kernel serves. */
  #attached: Waiter[] = [];
  /** The flushed position when that sync began. */
  #syncedPosition = 0;

  /** Whether somebody waits for something that no sync with the kernel will bring. */
  get empty(): boolean {
    return this.#waiting.length === 0;
  }

  /** Waits until everything below `target` is flushed, and with `durable` also synced. */
  add(target: number, durable: boolean): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ target, durable, resolve, reject });
    });
  }

  /**
   * Resolves those who have what they wait for: the flushed position, and with `durable` everything else. Returns whether
   * a sync is due.
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

  /** A sync begins. It serves those who wait for no more than is flushed: what completes later may be too late for it. */
  begin(flushed: number): void {
    this.#syncedPosition = flushed;
    this.#attached = this.#waiting.filter(({ target }) => target <= flushed);
    this.#waiting = this.#waiting.filter(({ target }) => target > flushed);
  }

  /** The sync succeeded. */
  succeed(): void {
    for (const { resolve } of this.#attached.splice(0)) resolve(this.#syncedPosition);
  }

  /** The sync failed: it has thrown away what it could not write. Another would succeed and mean nothing. */
  fail(error: unknown): void {
    for (const { reject } of this.#attached.splice(0)) reject(error);
  }

  /** Rejects all waiters except those attached to the sync with the kernel. */
  rejectWaiting(reason: unknown): void {
    for (const { reject } of this.#waiting.splice(0)) reject(reason);
  }
}
