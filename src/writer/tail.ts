// The partial last block: when it is written before it is full, and what fills it up.

/** What stands in the file behind the last byte of a block. */
interface KnownBlock {
  readonly position: number;
  readonly bytes: Uint8Array;
}

/** Fills the partial last block with existing file bytes or zeros. */
export class Tail {
  readonly #blockSize: number;
  /** Up to where somebody wants it written. */
  #wanted = -1;
  /** Up to where it was written, or is being written. */
  #begun: number;
  /** A copy of the last block waits or is in flight. */
  copied = false;
  /** The last block as it was before anything was written to it. */
  #known: KnownBlock | undefined;

  /** `start` is where the first byte goes. */
  constructor(blockSize: number, start: number) {
    this.#blockSize = blockSize;
    this.#begun = start;
  }

  /** Somebody wants everything below `position` written. */
  want(position: number): void {
    this.#wanted = Math.max(this.#wanted, position);
  }

  /** Whether it is to be written now. One copy after the other: they share a block, so they could not fly together. */
  get due(): boolean {
    return this.#wanted > this.#begun && !this.copied;
  }

  /** Everything below `end` is being written. */
  begin(end: number): void {
    this.#begun = end;
  }

  /** Whether everything below `end`, and no more, is written or being written. */
  covers(end: number): boolean {
    return this.#begun === end;
  }

  /**
   * The position of the block of `end`, where content stands behind `end` in it that nobody has read yet: it would be
   * lost. Undefined where there is none.
   */
  unread(end: number, contentEnd: number): number | undefined {
    const inside = end % this.#blockSize;
    const position = end - inside;
    if (inside === 0 || end >= contentEnd || this.#known?.position === position) return undefined;
    return position;
  }

  /** That block has been read. What the file does not have of it is zeros. */
  learn(position: number, bytes: Uint8Array): void {
    this.#known = { position, bytes };
  }

  /** What was read of the file does not stand there any more. */
  forget(): void {
    this.#known = undefined;
  }

  /** What goes behind `end`, to the end of its block. */
  padding(end: number): Uint8Array {
    const inside = end % this.#blockSize;
    if (inside === 0) return new Uint8Array(0);
    return this.#known?.position === end - inside
      ? this.#known.bytes.subarray(inside)
      : new Uint8Array(this.#blockSize - inside);
  }
}
