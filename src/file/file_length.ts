// What is known of a file's length: where its content ends, how long this module may have made it, and when it may be cut.
// Writes extend a file and truncates shorten it, so the two never run at once.

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
  /** Told when no truncate waits or runs any more. */
  #whenWritable: (() => void)[] = [];

  /** `size` is the file's length; with `reserved` none of it is content. */
  constructor(size: number, reserved = false) {
    this.#contentEnd = reserved ? 0 : size;
    this.#sizeUpperBound = size;
  }

  /** The end of what is content, and not only reserved or padding: no cut goes below it. */
  get contentEnd(): number {
    return this.#contentEnd;
  }

  /** The file is no longer than this, unless somebody else extended it. */
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

  /** Calls `begin` when no truncate waits or runs any more. Only then, and another may have begun before its turn. */
  whenWritable(begin: () => void): void {
    this.#whenWritable.push(begin);
  }

  /** A write or an allocation up to `end` begins. Not while {@linkcode isHeld}. */
  beginWrite(end: number): void {
    assert(!this.isHeld, "no write begins while the file is truncated");
    this.#writing++;
    this.extend(end);
  }

  /** It is over. */
  endWrite(): void {
    assert(this.#writing > 0, "a write ends once");
    if (--this.#writing === 0) this.#beginHold();
  }

  /** The file may be `end` long from now on. */
  extend(end: number): void {
    this.#sizeUpperBound = Math.max(this.#sizeUpperBound, end);
  }

  /** What is below `end` is content from now on. */
  addContent(end: number): void {
    this.#contentEnd = Math.max(this.#contentEnd, end);
    this.extend(end);
  }

  /** Runs work that writes up to `end` at most, when no truncate waits or runs. */
  async withWrite<T>(end: number, work: () => Promise<T>): Promise<T> {
    // Without a wait where there is none: the work begins at once then. After a wait the next truncate may be there.
    while (this.truncating) await new Promise<void>((resolve) => this.whenWritable(resolve));
    this.beginWrite(end);
    try {
      return await work();
    } finally {
      this.endWrite();
    }
  }

  /**
   * Lets no write begin until `release` is called. `alone` is called when those under way, and other truncates, are over:
   * perhaps at once, and not where `release` was called before. It must look at the lengths then. Nothing here waits for
   * a microtask: who blocks the JavaScript thread until a write is over must not wait for ever.
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

  /** The file was found to end at `size`, inside the content that was known before: somebody else cut it. */
  shrank(contentEnd: number, size: number): void {
    if (this.#contentEnd === contentEnd && size < contentEnd) this.#contentEnd = size;
  }

  /** The file was found to be no longer than `size`. */
  isAtMost(size: number): void {
    if (this.isChanging || size >= this.#sizeUpperBound) return;
    this.#sizeUpperBound = Math.max(this.#contentEnd, size);
  }

  /** What may stand behind the content is not for this module to cut any more. */
  leaveRest(): void {
    this.#sizeUpperBound = this.#contentEnd;
  }

  /**
   * The file was found to be `size` long, before anything is written to it. Bytes that somebody else appended are content,
   * and content that somebody else cut off is none any more. With `whole` everything is content.
   */
  found(size: number, whole: boolean): void {
    const appended = size > this.#sizeUpperBound;
    if (whole || appended || size < this.#contentEnd) this.#contentEnd = size;
    this.#sizeUpperBound = Math.max(size, this.#contentEnd);
  }
}
