// Decides when a file's length may change: writes run side by side, and a truncate alone. A file's handles share it.

import { assert } from "../assert.ts";
import { type Engine, waitUntil } from "../engine/engine.ts";
import type { Descriptor } from "./descriptor.ts";
import type { Durability } from "./durability.ts";
import { FileLength } from "./file_length.ts";
import { type FileSystem, mayBeLonger } from "./file_system.ts";
import { knownSize, type StatFacts } from "./stat.ts";

interface FileHandle {
  readonly descriptor: Descriptor;
  readonly durability: Durability;
  readonly fileSystem: FileSystem;
  readonly facts: StatFacts;
  /** If it has opened, it may have reserved space, which it cuts off when it is over. */
  readonly writer: { readonly hasOpened: boolean; readonly isOver: boolean } | undefined;
}

/** In their order: the cut of padding or reserved space, a user's truncate, the open of a file or writer. */
const PURPOSES = ["cut", "truncate", "open"] as const;
export type Purpose = typeof PURPOSES[number];

/** The changes of open files by key. Handles of one file share them. */
const known = new WeakMap<Engine, Map<string | FileHandle, FileChanges>>();

export class FileChanges {
  readonly #handles: FileHandle[] = [];
  readonly length: FileLength;
  /**
   * Truncates, and other uses of a length that must not change meanwhile. If {@linkcode isHeld}, the first one runs and
   * the others wait. In a program that blocks all but a user's truncate begin before calls whose end is not noted yet.
   */
  readonly #holds: { readonly begin: () => void; readonly purpose: Purpose }[] = [];
  /** Whether a hold runs. A write that cannot wait may overtake a waiting one. */
  isHeld = false;
  #isBeginning = false;
  /** The waiters whose `step` is called when no hold waits or runs. */
  #waiting: Set<{ step(): void }> | undefined;

  /** `forget` is called after the last handle. */
  private constructor({ facts, fileSystem }: FileHandle, readonly forget: () => void) {
    this.length = new FileLength(facts.size, () => {
      // A server would have to answer.
      if (fileSystem.statWaits) return this.length.sizeUpperBound;
      const size = knownSize(this.#handles[0]!.descriptor);
      return size === undefined || mayBeLonger(fileSystem, size) ? undefined : size;
    });
  }

  /** The changes of a file for a new handle. */
  static join(handle: FileHandle): FileChanges {
    const { descriptor, facts, fileSystem } = handle;
    const files = known.getOrInsertComputed(descriptor.engine, () => new Map());
    const key = fileSystem.identifiesFiles ? `${facts.device}:${facts.inode}` : handle;
    let changes = files.get(key);
    if (!changes) files.set(key, changes = new FileChanges(handle, () => files.delete(key)));
    else changes.length.noteAppended();
    changes.#handles.push(handle);
    return changes;
  }

  leave(handle: FileHandle): void {
    this.#handles.splice(this.#handles.indexOf(handle), 1);
    if (this.#handles.length === 0) this.forget();
  }

  /** Whether a hold waits or runs, so that no write may begin. */
  get hasHolds(): boolean {
    return this.isHeld || (this.#holds.length > 0 && !this.#awaitsWriters);
  }

  /** Whether only opens wait, and for writers that are over, which first write the rest and cut the file. */
  get #awaitsWriters(): boolean {
    return this.#holds[0]?.purpose === "open" &&
      this.#handles.some(({ writer }) => writer?.hasOpened && writer.isOver);
  }

  /** Calls `step` of the waiter when no hold waits or runs. The step of an earlier waiter may then have begun another. */
  whenWritable(waiter: { step(): void }): void {
    (this.#waiting ??= new Set()).add(waiter);
  }

  /** A write or an allocation up to `end` begins. Past `dataEnd` it writes padding. */
  beginWrite(end: number, dataEnd?: number): void {
    assert(!this.isHeld, "no write begins while the file is truncated");
    this.length.noteBegin(end, dataEnd);
  }

  endWrite(start: number, end: number, succeeded: boolean): void {
    this.length.noteResult(start, end, succeeded);
    this.beginHolds();
  }

  /**
   * Prevents new writes until `release` is called. Calls `alone` when the writes in flight and earlier holds have
   * ended, perhaps within this call, but not after `release`. `alone` must read the lengths itself. No step waits for a
   * microtask: a caller that blocks the thread until a write ends would wait for ever. A cut goes first: a writer that
   * asks for the size would take what it cuts off for content. An open goes last, because it may wait for writers.
   */
  holdWrites(alone: (release: () => void) => void, purpose: Purpose): () => void {
    const release = () => {
      const at = this.#holds.indexOf(hold);
      if (at < 0) return;
      this.#holds.splice(at, 1);
      if (at === 0) this.isHeld = false;
      this.beginHolds();
      if (this.hasHolds) return;
      const waiting = this.#waiting;
      this.#waiting = undefined;
      waiting?.forEach((waiter) => waiter.step());
    };
    const hold = { begin: () => alone(release), purpose };
    const turn = PURPOSES.indexOf(purpose);
    const isBefore = (other: typeof hold, at: number) =>
      PURPOSES.indexOf(other.purpose) <= turn || (at === 0 && this.isHeld);
    this.#holds.splice(this.#holds.findLastIndex(isBefore) + 1, 0, hold);
    this.beginHolds();
    return release;
  }

  /** Begins the holds that may begin now: after the end of a write, of a hold or of a writer. */
  beginHolds(despiteWrites = false): void {
    // If each hold that ends at once began the next one, thousands would exceed the stack.
    if (this.#isBeginning) return;
    this.#isBeginning = true;
    const mayBegin = () => this.hasHolds && !this.length.hasInFlight;
    while (this.#holds.length > 0 && !this.isHeld && (despiteWrites || mayBegin())) {
      despiteWrites = false;
      this.isHeld = true;
      this.#holds[0]!.begin();
    }
    this.#isBeginning = false;
  }

  /**
   * As {@linkcode waitUntil}. If nothing is in flight, a cut or an open begins: a program that blocks is not
   * notified of the end of other calls' writes.
   */
  waitNow(engine: Engine, deadline: number): boolean {
    if (waitUntil(engine, deadline)) return true;
    const at = this.#holds.findIndex(({ purpose }) => purpose !== "truncate");
    if (engine.counters.inFlight > 0 || this.isHeld || at < 0) return false;
    this.#holds.unshift(...this.#holds.splice(at, 1));
    this.beginHolds(true);
    return true;
  }

  /**
   * Notes the file's `size` when a writer opens. The bytes below `known` are content, unless another writer may have
   * reserved some.
   */
  noteSize(size: number, known: number): void {
    const mayBeReserved = this.#handles.some(({ writer }) => writer?.hasOpened);
    this.length.noteSize(size, mayBeReserved ? 0 : known);
  }

  /** Notes that the file was truncated to `length`. With `isContent` the whole file is content. */
  noteTruncate(length: number, isContent: boolean): void {
    this.length.noteCut(length);
    if (isContent) this.length.addContent(length);
    // A writer of another handle relies on the cut, and makes it durable when it closes.
    for (const { durability } of this.#handles) durability.noteChange();
  }
}
