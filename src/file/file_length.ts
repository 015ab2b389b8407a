// A file's length: where its content ends, how long this module may have made it, and when it may be truncated. Writes
// extend a file and truncates shorten it, so the two never run at once.

import { assert } from "../assert.ts";

/** A truncate that waits or runs. */
interface Hold {
  readonly begin: () => void;
  begun: boolean;
}

/** The length of one open file. Everything that writes to the file or truncates it goes through here. */
export class FileLength {
  #contentEnd: number;
  #sizeUpperBound: number;
  #writing = 0;
  /** Truncates that wait, behind the one that runs. */
  readonly #holds: Hold[] = [];
  /** Called when no truncate waits or runs. */
  #whenWritable: (() => void)[] = [];

  /** `size` is the file's length, all of which is content. */
  constructor(size: number) {
    this.#contentEnd = size;
    this.#sizeUpperBound = size;
  }

  /** The end of the content, behind which there may be reserved space or padding. Nothing below it is cut off. */
  get contentEnd(): number {
    return this.#contentEnd;
  }

  /** The file is no longer than this, unless another program has extended it. */
  get sizeUpperBound(): number {
    return this.#sizeUpperBound;
  }

  /** Whether a truncate waits or runs, so that no write may begin. */
  get truncating(): boolean {
    return this.#holds.length > 0;
  }

  /** Whether a truncate runs. One that only waits may be overtaken by a write that cannot wait. */
  get isHeld(): boolean {
    return this.#holds[0]?.begun === true;
  }

  /** Whether a write, an allocation or a truncate waits or runs. */
  get isChanging(): boolean {
    return this.truncating || this.#writing > 0;
  }

  /** Calls `begin` when no truncate waits or runs. Another may begin before `begin` acts. */
  whenWritable(begin: () => void): void {
    this.#whenWritable.push(begin);
  }

  /** A write or an allocation up to `end` begins. Not while {@linkcode isHeld}. */
  beginWrite(end: number): void {
    assert(!this.isHeld, "no write begins while the file is truncated");
    this.#writing++;
    this.extend(end);
  }

  /** A write or an allocation has ended. */
  endWrite(): void {
    assert(this.#writing > 0, "a write ends once");
    if (--this.#writing === 0) this.#beginHold();
  }

  /** The file may be `end` bytes long from now on. */
  extend(end: number): void {
    this.#sizeUpperBound = Math.max(this.#sizeUpperBound, end);
  }

  /** Everything below `end` is content from now on. */
  addContent(end: number): void {
    this.#contentEnd = Math.max(this.#contentEnd, end);
    this.extend(end);
  }

  /**
   * Lets no write begin until `release` is called. `alone` is called when writes under way and earlier truncates are over:
   * perhaps within this call, and not if `release` was called before. It must read the lengths then. Nothing here waits for
   * a microtask: a caller that blocks the JavaScript thread until a write is over would wait for ever.
   */
  holdWrites(alone: (release: () => void) => void): () => void {
    const release = () => {
      const at = this.#holds.indexOf(hold);
      if (at < 0) return;
      this.#holds.splice(at, 1);
      if (this.truncating) this.#beginHold();
      else for (const begin of this.#whenWritable.splice(0)) begin();
    };
    const hold = { begin: () => alone(release), begun: false };
    this.#holds.push(hold);
    this.#beginHold();
    return release;
  }

  #beginHold(): void {
    const [first] = this.#holds;
    if (!first || first.begun || this.#writing > 0) return;
    first.begun = true;
    first.begin();
  }

  /** The file was truncated to `length`, all of which is content. */
  truncated(length: number): void {
    this.#contentEnd = length;
    this.#sizeUpperBound = length;
  }

  /** Everything behind `length` was cut off; nothing became content. */
  cut(length: number): void {
    this.#contentEnd = Math.min(this.#contentEnd, length);
    this.#sizeUpperBound = length;
  }

  /** The file was found to end at `size`, below the `contentEnd` of before: another program has cut it. */
  shrank(contentEnd: number, size: number): void {
    if (this.#contentEnd === contentEnd && size < contentEnd) this.#contentEnd = size;
  }

  /** The file was found to be no longer than `size`. */
  isAtMost(size: number): void {
    if (this.isChanging || size >= this.#sizeUpperBound) return;
    this.#sizeUpperBound = Math.max(this.#contentEnd, size);
  }

  /** What is behind the content belongs to others: it is not to be cut off. */
  leaveRest(): void {
    this.#sizeUpperBound = this.#contentEnd;
  }

  /**
   * The file was found to be `size` long, before anything is written to it. Bytes that another program appended are content,
   * and content that it cut off is gone. With `whole` everything is content.
   */
  found(size: number, whole: boolean): void {
    const appended = size > this.#sizeUpperBound;
    if (whole || appended || size < this.#contentEnd) this.#contentEnd = size;
    this.#sizeUpperBound = Math.max(size, this.#contentEnd);
  }
}
