// Tracks the durability of a file: its changes, the syncs that cover them, and failures that may have lost bytes.

import { promiseOf } from "../engine/engine.ts";
import { type DmaError, ioError } from "../errors.ts";
import type { Descriptor } from "./descriptor.ts";

export class Durability {
  /** The changes that a sync has covered; -1 before the first sync. */
  #synced = -1;
  /** Whether a sync is in flight or waits. */
  isSyncing = false;
  /** The callers that share the next sync. */
  readonly #waiting: { dataOnly: boolean; ended: (error: DmaError | undefined) => void }[] = [];
  /** The first write or sync that failed: bytes may be missing. */
  failure: { readonly error: unknown } | undefined;
  syncError: DmaError | undefined;

  /** `changes` of the file so far: one if its open has created it. */
  constructor(readonly descriptor: Descriptor, public changes: number) {}

  get unsynced(): boolean {
    return this.changes > Math.max(0, this.#synced);
  }

  /** Whether the whole file is durable, also its content at the open, which another program may not have synced. */
  get isDurable(): boolean {
    return this.#synced === this.changes;
  }

  noteChange(): void {
    this.changes++;
  }

  /** Notes that other programs may have changed the file: only a further sync makes all of it durable. */
  noteOthers(): void {
    // A sync in flight may not cover their changes.
    if (this.isDurable || this.isSyncing) this.noteChange();
  }

  /** Notes a durable write (RWF_DSYNC) that began after `changes` changes. It does not cover changes meanwhile. */
  noteDurableWrite(changes: number): void {
    const isAlone = this.changes === changes;
    this.noteChange();
    if (isAlone) this.#noteSync(this.changes);
  }

  noteFailure(error: unknown): void {
    this.failure ??= { error };
  }

  #noteSync(changes: number): void {
    this.#synced = Math.max(this.#synced, changes);
  }

  /** Makes bytes and length durable. A failure is final: the kernel drops the bytes, and another sync would succeed. */
  sync(dataOnly: boolean): Promise<void> {
    if (this.syncError) return Promise.reject(this.syncError);
    return promiseOf((ended) => this.submitSync(dataOnly, ended));
  }

  /**
   * Syncs the file. `ended` gets the error of the first failed sync, if there is one. One sync runs at a time, because
   * the kernel reports a failure only once, perhaps to the wrong one of two. Calls during a sync share the next one.
   */
  submitSync(dataOnly: boolean, ended: (error: DmaError | undefined) => void): void {
    this.#waiting.push({ dataOnly, ended });
    if (!this.isSyncing) this.#startSync();
  }

  #startSync(): void {
    const { engine, fd } = this.descriptor;
    const served = this.#waiting.splice(0);
    const dataOnly = served.every((wanted) => wanted.dataOnly);
    const changes = this.changes;
    // Noted here and not after a promise, because flushSync() may block the thread before a microtask runs.
    const complete = (result: number) => {
      this.#noteResult(result);
      if (!this.syncError) this.#noteSync(changes);
      this.isSyncing = false;
      if (this.#waiting.length > 0) this.#startSync();
      for (const { ended } of served) ended(this.syncError);
    };
    this.isSyncing = true;
    engine.submit({ op: "sync", fd, dataOnly }, { complete });
  }

  #noteResult(result: number): void {
    if (result >= 0) return;
    this.syncError ??= ioError(-result, "sync", this.descriptor.path);
    this.noteFailure(this.syncError);
  }

  syncNow(): void {
    const { engine, fd } = this.descriptor;
    if (this.syncError) throw this.syncError;
    this.#noteResult(engine.runNow({ op: "sync", fd, dataOnly: true }));
    if (this.syncError) throw this.syncError;
    this.#noteSync(this.changes);
  }
}
