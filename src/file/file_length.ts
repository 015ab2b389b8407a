// A file's length: where its content ends, how long this module may have made it, and when it may be truncated. Writes
// extend a file and truncates shorten it, so the two never run at once.

import { assert } from "../assert.ts";
import type { Descriptor } from "./descriptor.ts";
import { type FileSystem, mayBeLonger } from "./file_system.ts";
import { knownSize } from "./stat.ts";

/** The length of one open file. Everything that writes to the file or truncates it goes through here. */
export class FileLength {
  readonly #descriptor: Descriptor;
  readonly #fileSystem: FileSystem;
  #contentEnd: number;
  /** The same without what a server has answered and not confirmed. */
  #confirmedEnd: number;
  #sizeUpperBound: number;
  /** The ends of the writes and allocations under way, and how many have each. */
  readonly #ends = new Map<number, number>();
  /** What begins the truncates: the first of them runs if {@linkcode isHeld}, and the others wait. */
  readonly #holds: (() => void)[] = [];
  #isHeld = false;
  /** Called when no truncate waits or runs. */
  readonly #whenWritable = new Set<() => void>();

  /** `size` is the file's length, all of which is content. */
  constructor(descriptor: Descriptor, size: number, fileSystem: FileSystem) {
    this.#descriptor = descriptor;
    this.#fileSystem = fileSystem;
    this.#contentEnd = this.#confirmedEnd = this.#sizeUpperBound = size;
  }

  // ---- when it changes --------------------------------------------------------------------------------------------

  /** Whether a truncate waits or runs, so that no write may begin. */
  get truncating(): boolean {
    return this.#holds.length > 0;
  }

  /** Whether a truncate runs. One that only waits may be overtaken by a write that cannot wait. */
  get isHeld(): boolean {
    return this.#isHeld;
  }

  /** Whether a write, an allocation or a truncate waits or runs. */
  get isChanging(): boolean {
    return this.truncating || this.#ends.size > 0;
  }

  /** Calls `begin` once when no truncate waits or runs. Another may begin before `begin` acts. */
  whenWritable(begin: () => void): void {
    this.#whenWritable.add(begin);
  }

  /**
   * A write or an allocation up to `end` begins. Not while {@linkcode isHeld}. What another program has appended is content
   * from now on, if a new end of the file could hide it, or padding behind the end of the data.
   */
  beginWrite(end: number, dataEnd?: number): void {
    assert(!this.#isHeld, "no write begins while the file is truncated");
    this.#ends.set(end, (this.#ends.get(end) ?? 0) + 1);
    if (end > this.#sizeUpperBound || end > (dataEnd ?? end)) this.#keepAppended();
    this.#sizeUpperBound = Math.max(this.#sizeUpperBound, end);
  }

  /** A write or an allocation up to `end` has ended. */
  endWrite(end: number, succeeded: boolean): void {
    const count = this.#ends.get(end);
    assert(count !== undefined, "a write ends once");
    if (count > 1) this.#ends.set(end, count - 1);
    else this.#ends.delete(end);
    if (!succeeded) this.#limitBound();
    this.#beginHold();
  }

  /**
   * Lets no write begin until `release` is called. `alone` is called when writes under way and earlier truncates are over:
   * perhaps within this call, and not if `release` was called before. It must read the lengths then. Nothing here waits for
   * a microtask: a caller that blocks the JavaScript thread until a write is over would wait for ever.
   */
  holdWrites(alone: (release: () => void) => void): () => void {
    const begin = () => alone(release);
    const release = () => {
      const at = this.#holds.indexOf(begin);
      if (at < 0) return;
      this.#holds.splice(at, 1);
      if (at === 0) this.#isHeld = false;
      this.#beginHold();
      if (this.truncating) return;
      const waiting = [...this.#whenWritable];
      this.#whenWritable.clear();
      for (const begin of waiting) begin();
    };
    this.#holds.push(begin);
    this.#beginHold();
    return release;
  }

  #beginHold(): void {
    if (!this.truncating || this.#isHeld || this.#ends.size > 0) return;
    this.#isHeld = true;
    this.#holds[0]!();
  }

  // ---- the lengths ------------------------------------------------------------------------------------------------

  /** The end of the content, behind which there may be reserved space or padding. Nothing below it is cut off. */
  get contentEnd(): number {
    return this.#contentEnd;
  }

  /** The file is no longer than this, unless another program has extended it. */
  get sizeUpperBound(): number {
    return this.#sizeUpperBound;
  }

  /** How long the file is, as the kernel or else this module knows it without asking a server; undefined if they do not. */
  get sizeNow(): number | undefined {
    const fileSystem = this.#fileSystem;
    if (!fileSystem.statsFromMemory) return this.#sizeUpperBound;
    const size = knownSize(this.#descriptor);
    return size === undefined || mayBeLonger(fileSystem, size) ? undefined : size;
  }

  /** Everything below `end` is content from now on; with `confirmed` false, until {@linkcode noteLoss}. */
  addContent(end: number, confirmed = true): void {
    this.#contentEnd = Math.max(this.#contentEnd, end);
    this.#sizeUpperBound = Math.max(this.#sizeUpperBound, end);
    if (confirmed) this.#confirmedEnd = Math.max(this.#confirmedEnd, end);
  }

  /** A server has confirmed everything that it had answered. */
  confirm(): void {
    this.#confirmedEnd = this.#contentEnd;
  }

  /** A server has lost what it had answered and not confirmed. */
  noteLoss(): void {
    this.#contentEnd = this.#confirmedEnd;
  }

  #keepAppended(): void {
    const size = this.sizeNow;
    if (size !== undefined && size > this.#sizeUpperBound) this.addContent(size);
  }

  /**
   * Lowers the upper bound after a failure to the file's length, or to where a write under way may still bring it. What comes
   * behind that later is another program's, and is not cut off.
   */
  #limitBound(): void {
    const size = knownSize(this.#descriptor) ?? Infinity;
    const reached = Math.min(size, this.#sizeUpperBound);
    this.#sizeUpperBound = Math.max(this.#contentEnd, reached);
    for (const end of this.#ends.keys()) this.#sizeUpperBound = Math.max(this.#sizeUpperBound, end);
  }

  /**
   * The length to cut a file to that may be longer than its content; undefined if it is not. If it is longer than this module
   * ever made it, another program's bytes are behind the content, and are left there.
   */
  lengthToCutTo(): number | undefined {
    const size = knownSize(this.#descriptor);
    // A file that another program has cut to less must not be made longer again.
    const isReserved = size === undefined ||
      (size > this.#contentEnd && size <= this.#sizeUpperBound);
    if (isReserved) return this.#contentEnd;
    this.#sizeUpperBound = this.#contentEnd;
    return undefined;
  }

  /** The file was truncated to `length`. With `isContent` all that is there now is content. */
  truncated(length: number, isContent: boolean): void {
    this.#endAt(length, isContent);
    this.#sizeUpperBound = length;
  }

  /** A read has met the end of the file. If that is below the content, another program has cut the file. */
  noteEnd(): void {
    this.#endAt(this.sizeNow ?? Infinity, false);
  }

  /** The content ends at `end`, or before that unless it is `exact`. */
  #endAt(end: number, exact: boolean): void {
    this.#contentEnd = exact ? end : Math.min(this.#contentEnd, end);
    this.#confirmedEnd = exact ? end : Math.min(this.#confirmedEnd, end);
  }

  /**
   * The file was found to be `size` long, before anything is written to it. Bytes that another program appended are content,
   * and content that it cut off is gone. With `whole` everything is content.
   */
  found(size: number, whole: boolean): void {
    const appended = size > this.#sizeUpperBound;
    this.#endAt(size, whole || appended);
    this.#sizeUpperBound = Math.max(size, this.#contentEnd);
  }
}
