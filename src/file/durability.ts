// What of a file is durable: its changes, the syncs that cover them, and the failures after which bytes may be missing.

import { type DmaError, ioError } from "../errors.ts";
import type { Descriptor } from "./descriptor.ts";

/** A sync that was asked for. */
interface WantedSync {
  readonly dataOnly: boolean;
  readonly ended: (error: DmaError | undefined) => void;
}

/** Counts the changes of one open file, and those that a sync has covered. The durability of its name is not part of it. */
export class Durability {
  readonly #descriptor: Descriptor;
  #changes: number;
  /** The changes that a sync has covered; -1 before the first sync. */
  #synced = -1;
  /** Whether a sync is in flight. */
  #isSyncing = false;
  /** Those who share the next one. */
  readonly #waiting: WantedSync[] = [];
  #failure: { readonly error: unknown } | undefined;
  #syncError: DmaError | undefined;

  /** `changed` says that opening the file has changed it. */
  constructor(descriptor: Descriptor, changed: boolean) {
    this.#descriptor = descriptor;
    this.#changes = changed ? 1 : 0;
  }

  /** Changes so far. */
  get changes(): number {
    return this.#changes;
  }

  /** Whether there are changes that no sync has covered. */
  get unsynced(): boolean {
    return this.#changes > Math.max(0, this.#synced);
  }

  /** Whether all of the file is durable: also what was in it when it was opened, by a program that may not have synced it. */
  get isDurable(): boolean {
    return this.#synced === this.#changes;
  }

  /** Whether a sync is in flight, or waits for that. */
  get isSyncing(): boolean {
    return this.#isSyncing;
  }

  /** The first write or sync that failed: bytes may be missing. */
  get failure(): { readonly error: unknown } | undefined {
    return this.#failure;
  }

  /** The first sync that failed. */
  get syncError(): DmaError | undefined {
    return this.#syncError;
  }

  /** Notes that the file was changed, or may have been. */
  noteChange(): void {
    this.#changes++;
  }

  /** Others may have changed the file: only a further sync shows that all of it is durable. */
  noteOthers(): void {
    if (this.isDurable) this.#synced = -1;
  }

  /** Notes a write that was durable when it was over. It covers no other change since there were `changes`. */
  noteDurableWrite(changes: number): void {
    const isAlone = this.#changes === changes;
    this.noteChange();
    if (isAlone) this.#noteSync(this.#changes);
  }

  /** Notes that bytes may be missing. */
  noteFailure(error: unknown): void {
    this.#failure ??= { error };
  }

  /** A sync succeeded that began after `changes` changes. */
  #noteSync(changes: number): void {
    this.#synced = Math.max(this.#synced, changes);
  }

  /**
   * Makes bytes and length durable, and with `metadata` everything else about the file. After a sync that failed, the kernel has
   * dropped what it could not write, and another sync would succeed and mean nothing: every later one rejects with that error.
   */
  sync(metadata: boolean): Promise<void> {
    return this.#descriptor.use("sync", () =>
      new Promise((resolve, reject) => {
        if (this.#syncError) return reject(this.#syncError);
        this.submitSync(!metadata, (error) => error ? reject(error) : resolve());
      }));
  }

  /**
   * Syncs the file. `ended` gets the error of the first sync that failed, if one did. One runs at a time, because the kernel
   * reports a failure only once, and then perhaps to another one. Those who ask meanwhile share the next one.
   */
  submitSync(dataOnly: boolean, ended: (error: DmaError | undefined) => void): void {
    this.#waiting.push({ dataOnly, ended });
    if (!this.#isSyncing) this.#startSync();
  }

  #startSync(): void {
    const { engine, fd } = this.#descriptor;
    const served = this.#waiting.splice(0);
    const dataOnly = served.every((wanted) => wanted.dataOnly);
    const changes = this.#changes;
    // Noted here, and not in a reaction to a promise: flushSync() may block the program before that.
    const complete = (result: number) => {
      this.#noteResult(result);
      if (!this.#syncError) this.#noteSync(changes);
      this.#isSyncing = false;
      if (this.#waiting.length > 0) this.#startSync();
      for (const { ended } of served) ended(this.#syncError);
    };
    this.#isSyncing = true;
    engine.submit({ op: "sync", fd, dataOnly }, { complete });
  }

  #noteResult(result: number): void {
    if (result >= 0) return;
    this.#syncError ??= ioError(-result, "sync", this.#descriptor.path);
    this.noteFailure(this.#syncError);
  }

  /** As {@linkcode sync} without `metadata`, on the JavaScript thread. */
  syncNow(): void {
    const { engine, fd } = this.#descriptor;
    if (this.#syncError) throw this.#syncError;
    this.#noteResult(engine.runNow({ op: "sync", fd, dataOnly: true }));
    if (this.#syncError) throw this.#syncError;
    this.#noteSync(this.#changes);
  }
}
