// What is known of a file's length: where its content ends, how long this module may have made it, and when it may be cut.
// Writes extend a file and truncates shorten it, so the two never run at once.

import { assert } from "../assert.ts";

/** The length of one open file. Everything that writes to the file or truncates it goes through here. */
export class FileLength {
  #contentEnd: number;
  #sizeUpperBound: number;
  #writing = 0;
  /** Truncates that wait or run. */
  #truncating = 0;
  #truncates: Promise<unknown> = Promise.resolve();
  #cutting = false;
  #written: PromiseWithResolvers<void> | undefined;
  #writable: PromiseWithResolvers<void> | undefined;

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
    return this.#truncating > 0;
  }

  /** Whether a truncate is with the kernel. One that only waits may be overtaken by who cannot wait. */
  get cutting(): boolean {
    return this.#cutting;
  }

  /** Resolves when no truncate waits or runs. */
  async untruncated(): Promise<void> {
    while (this.truncating) await (this.#writable ??= Promise.withResolvers()).promise;
  }

  /** A write or an allocation up to `end` begins. Not while {@linkcode cutting}. */
  beginWrite(end: number): void {
    assert(!this.#cutting, "no write begins while the file is truncated");
    this.#writing++;
    this.extend(end);
  }

  /** It is over. */
  endWrite(): void {
    assert(this.#writing > 0, "a write ends once");
    if (--this.#writing > 0) return;
    this.#written?.resolve();
    this.#written = undefined;
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
    // Without a wait where there is none: the work begins at once then.
    if (this.truncating) await this.untruncated();
    this.beginWrite(end);
    try {
      return await work();
    } finally {
      this.endWrite();
    }
  }

  /** Runs work that truncates the file: alone, after the writes under way. It must look at the lengths when it runs. */
  async withTruncate<T>(work: () => Promise<T>): Promise<T> {
    const { alone, release } = this.holdWrites();
    try {
      await alone;
      while (this.#writing > 0) await this.#allWritten();
      return await work();
    } finally {
      release();
    }
  }

  /** Lets no write begin until `release` is called; `alone` resolves when those under way, and truncates, are over. */
  holdWrites(): { readonly alone: Promise<void>; readonly release: () => void } {
    this.#truncating++;
    const released = Promise.withResolvers<void>();
    const alone = this.#truncates.then(() => this.#allWritten());
    this.#truncates = Promise.all([alone, released.promise]);
    let held = true;
    const release = () => {
      if (!held) return;
      held = false;
      released.resolve();
      if (--this.#truncating > 0) return;
      this.#writable?.resolve();
      this.#writable = undefined;
    };
    return { alone, release };
  }

  async #allWritten(): Promise<void> {
    while (this.#writing > 0) await (this.#written ??= Promise.withResolvers()).promise;
  }

  /** A truncate is given to the kernel, from within {@linkcode withTruncate}. */
  beginCut(): void {
    assert(this.#writing === 0 && !this.#cutting, "a file is truncated alone");
    this.#cutting = true;
  }

  /** It is over. */
  endCut(): void {
    this.#cutting = false;
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
