// The end of a file's content, an upper bound of its size, and when they may change: no write runs beside a truncate.

import { assert } from "../assert.ts";
import { type Engine, waitUntil } from "../engine/engine.ts";
import type { Descriptor } from "./descriptor.ts";
import type { Durability } from "./durability.ts";
import { type FileSystem, mayBeLonger } from "./file_system.ts";
import { knownSize, type StatFacts } from "./stat.ts";

interface FileHandle {
  readonly descriptor: Descriptor;
  readonly durability: Durability;
  readonly fileSystem: FileSystem;
  readonly facts: StatFacts;
  /** Whether the open created or emptied the file. */
  readonly ownsSize: boolean;
  /** If it has opened, it may have reserved space. */
  readonly writer: { readonly hasOpened: boolean } | undefined;
}

/** A user's truncate, the cut of padding or reserved space, or a look at the size. */
type Purpose = "truncate" | "cut" | "size";

const later = (one: number, other: number) => Math.max(one, other);

/** The lengths of open files by key. Handles of one file share its length. */
const known = new WeakMap<Engine, Map<string | FileHandle, FileLength>>();

export class FileLength {
  readonly #handles: FileHandle[] = [];
  /** The end of the content. Reserved space or padding may follow. No byte below it is cut off. */
  contentEnd: number;
  /** The end of the zeros that `preallocate` has added. Only a truncate or the cut of a writer goes below it. */
  reservedEnd = 0;
  /** The end of the content without bytes that a server has not confirmed. */
  #confirmedEnd: number;
  /** The upper bound of the size without the operations in flight. */
  #bound: number;
  /** The ends of the writes and allocations in flight, and how many have each. A list of thousands is slow to search. */
  readonly #ends = new Map<number, number>();
  /** The greatest of them, or of ended ones that {@linkcode #bound} includes. */
  #lastEnd = 0;
  /**
   * Truncates, and other uses of a length that must not change meanwhile. If {@linkcode isHeld}, the first one runs and
   * the others wait. One that may overtake begins in a program that blocks, before calls whose end is not noted yet.
   */
  readonly #holds: { readonly begin: () => void; readonly mayOvertake: boolean }[] = [];
  /** Whether a hold runs. A write that cannot wait may overtake a waiting one. */
  isHeld = false;
  #isBeginning = false;
  /** The waiters whose `step` is called when no hold waits or runs. */
  #waiting: Set<{ step(): void }> | undefined;

  /** All of `size`, the file's length, is content. `forget` is called after the last handle. */
  private constructor(size: number, readonly fileSystem: FileSystem, readonly forget: () => void) {
    this.contentEnd = this.#confirmedEnd = this.#bound = size;
  }

  /** The length of a file for a new handle. */
  static join(handle: FileHandle): FileLength {
    const { descriptor, facts, fileSystem, ownsSize } = handle;
    const lengths = known.getOrInsertComputed(descriptor.engine, () => new Map());
    const key = fileSystem.identifiesFiles ? `${facts.device}:${facts.inode}` : handle;
    let length = lengths.get(key);
    if (!length) {
      length = new FileLength(ownsSize ? 0 : facts.size, fileSystem, () => lengths.delete(key));
      lengths.set(key, length);
    } else if (ownsSize) length.noteEnd();
    else length.#keepAppended();
    length.#handles.push(handle);
    return length;
  }

  leave(handle: FileHandle): void {
    this.#handles.splice(this.#handles.indexOf(handle), 1);
    if (this.#handles.length === 0) this.forget();
  }

  /** The file's length, if the kernel has it in memory. */
  get knownSize(): number | undefined {
    if (!this.fileSystem.statsFromMemory) return undefined;
    return knownSize(this.#handles[0]!.descriptor);
  }

  /** Whether a hold waits or runs, so that no write may begin. */
  get hasHolds(): boolean {
    return this.#holds.length > 0;
  }

  /** Whether a write, an allocation or a hold waits or runs. */
  get isChanging(): boolean {
    return this.hasHolds || this.#ends.size > 0;
  }

  /** Calls `step` of the waiter once when no hold waits or runs. Another may begin before that. */
  whenWritable(waiter: { step(): void }): void {
    (this.#waiting ??= new Set()).add(waiter);
  }

  /** Bytes that another program has appended become content, if the new end or padding of this write could hide them. */
  beginWrite(end: number, dataEnd?: number): void {
    assert(!this.isHeld, "no write begins while the file is truncated");
    if (end > this.sizeUpperBound || end > (dataEnd ?? end)) this.#keepAppended();
    this.#ends.set(end, (this.#ends.get(end) ?? 0) + 1);
    this.#lastEnd = Math.max(this.#lastEnd, end);
  }

  endWrite(start: number, end: number, succeeded: boolean): void {
    const others = this.#ends.get(end)! - 1;
    assert(others >= 0, "what ends has begun");
    if (others > 0) this.#ends.set(end, others);
    else this.#ends.delete(end);
    if (succeeded) this.#bound = Math.max(this.#bound, end);
    else this.#limitBound(start, end);
    this.#beginHold();
  }

  /**
   * Prevents new writes until `release` is called. Calls `alone` when the writes in flight and earlier holds have
   * ended, perhaps within this call, but not after `release`. `alone` must read the lengths itself. No step waits for a
   * microtask: a caller that blocks the thread until a write ends would wait for ever. A cut goes first: a writer that
   * asks for the size would take what it cuts off for content.
   */
  holdWrites(alone: (release: () => void) => void, purpose: Purpose): () => void {
    const release = () => {
      const at = this.#holds.indexOf(hold);
      if (at < 0) return;
      this.#holds.splice(at, 1);
      if (at === 0) this.isHeld = false;
      this.#beginHold();
      if (this.hasHolds) return;
      const waiting = this.#waiting;
      this.#waiting = undefined;
      waiting?.forEach((waiter) => waiter.step());
    };
    const hold = { begin: () => alone(release), mayOvertake: purpose !== "truncate" };
    if (purpose === "cut") this.#holds.splice(this.isHeld ? 1 : 0, 0, hold);
    else this.#holds.push(hold);
    this.#beginHold();
    return release;
  }

  #beginHold(despiteWrites = false): void {
    // If each hold that ends at once began the next one, thousands would exceed the stack.
    if (this.#isBeginning) return;
    this.#isBeginning = true;
    while (this.hasHolds && !this.isHeld && (despiteWrites || this.#ends.size === 0)) {
      despiteWrites = false;
      this.isHeld = true;
      this.#holds[0]!.begin();
    }
    this.#isBeginning = false;
  }

  /**
   * As {@linkcode waitUntil}. If nothing is in flight, a hold that may overtake begins: a program that blocks is not
   * notified of the end of other calls' writes.
   */
  waitNow(engine: Engine, deadline: number): boolean {
    if (waitUntil(engine, deadline)) return true;
    const at = this.#holds.findIndex(({ mayOvertake }) => mayOvertake);
    if (engine.counters.inFlight > 0 || this.isHeld || at < 0) return false;
    this.#holds.unshift(...this.#holds.splice(at, 1));
    this.#beginHold(true);
    return true;
  }

  /** The length below which no cut goes. Only in a program that blocks it includes writes whose end is not noted. */
  get keptEnd(): number {
    return this.#ends.keys().reduce(later, this.contentEnd);
  }

  /** An upper bound of the file's size, unless another program has extended the file. */
  get sizeUpperBound(): number {
    return Math.max(this.#bound, this.#lastEnd);
  }

  /** The file's length, as the kernel or this module knows it without a request to a server; otherwise undefined. */
  get sizeNow(): number | undefined {
    if (!this.fileSystem.statsFromMemory) return this.sizeUpperBound;
    const size = this.knownSize;
    return size === undefined || mayBeLonger(this.fileSystem, size) ? undefined : size;
  }

  /** Marks all bytes below `end` as content; with `confirmed` false, only until {@linkcode noteLoss}. */
  addContent(end: number, confirmed = true): void {
    this.contentEnd = Math.max(this.contentEnd, end);
    this.#bound = Math.max(this.#bound, end);
    if (confirmed) this.#confirmedEnd = Math.max(this.#confirmedEnd, end);
  }

  confirm(): void {
    this.#confirmedEnd = this.contentEnd;
  }

  /** Notes that a server has lost completed but unconfirmed writes. */
  noteLoss(): void {
    this.contentEnd = this.#confirmedEnd;
  }

  #keepAppended(): void {
    const size = this.sizeNow;
    if (size !== undefined && size > this.sizeUpperBound) this.addContent(size);
  }

  /** After a failed write or allocation. Bytes past the bound belong to another program, and are not cut off. */
  #limitBound(start: number, end: number): void {
    const size = this.knownSize ?? Infinity;
    const reached = size > start ? Math.max(this.#bound, end) : this.#bound;
    this.#limit(Math.max(this.contentEnd, Math.min(size, reached)));
  }

  #limit(bound: number): void {
    this.#bound = bound;
    // In flight it is still the greatest.
    if (!this.#ends.has(this.#lastEnd)) this.#lastEnd = this.#ends.keys().reduce(later, 0);
  }

  /** The length to which a file of `size` bytes must be cut: see `cutToContent`; undefined if it must not be cut. */
  lengthToCutTo(size: number | undefined): number | undefined {
    const end = this.keptEnd;
    // A file that another program has cut must not be extended again.
    const isReserved = size === undefined || (size > end && size <= this.sizeUpperBound);
    if (isReserved) return end;
    this.#limit(this.contentEnd);
    return undefined;
  }

  /** Notes that the file was truncated to `length`. With `isContent` the whole file is content. */
  truncated(length: number, isContent: boolean): void {
    this.#endAt(length);
    if (isContent) this.addContent(length);
    // A writer of another handle relies on the cut, and makes it durable when it closes.
    for (const { durability } of this.#handles) durability.noteChange();
  }

  /** Notes the end of the file, which another program may have cut below the end of the content. */
  noteEnd(): void {
    this.#endAt(this.sizeNow ?? Infinity);
  }

  #endAt(end: number): void {
    this.contentEnd = Math.min(this.contentEnd, end);
    this.#confirmedEnd = Math.min(this.#confirmedEnd, end);
    this.#limit(Math.min(this.#bound, end));
    this.reservedEnd = Math.min(this.reservedEnd, end);
  }

  /**
   * Notes the file's `size` when a writer opens. Bytes that another program has appended become content, and content
   * that it has cut off is gone. The bytes below `known` are content, unless another writer may have reserved some.
   */
  found(size: number, known: number): void {
    const appended = size > this.sizeUpperBound;
    this.#endAt(size);
    if (appended) this.addContent(size);
    else if (!this.#handles.some(({ writer }) => writer?.hasOpened)) {
      this.addContent(Math.min(known, Math.max(this.#bound, this.reservedEnd)));
    }
  }
}
