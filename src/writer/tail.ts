// The partial last block: when it is written before it is full, and how it is padded.

/** Bytes of the file in one block. */
interface KnownBlock {
  readonly position: number;
  readonly bytes: Uint8Array;
}

/** Fills the partial last block with existing file bytes or zeros. */
export class Tail {
  readonly #blockSize: number;
  /** The position up to which a caller wants it written. */
  #wanted = -1;
  /** The position up to which it was written, or is being written. */
  #begun: number;
  /** Whether a copy of the last block waits or is in flight. */
  copied = false;
  /** The last block as it was before anything was written to it. */
  #known: KnownBlock | undefined;

  /** `start` is where the first byte goes. */
  constructor(blockSize: number, start: number) {
    this.#blockSize = blockSize;
    this.#begun = start;
  }

  /** Requests that everything below `position` is written. */
  want(position: number): void {
    this.#wanted = Math.max(this.#wanted, position);
  }

  /** Whether it is to be written now. Copies go one after the other, because they share a block. */
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
   * The position of the block of `end`, if it has content behind `end` that must be read first, or it would be lost.
   * Undefined if there is none.
   */
  unread(end: number, contentEnd: number): number | undefined {
    const inside = end % this.#blockSize;
    const position = end - inside;
    if (inside === 0 || end >= contentEnd || this.#known?.position === position) return undefined;
    return position;
  }

  /** Records the block that was read. Bytes beyond the end of file are zeros. */
  learn(position: number, bytes: Uint8Array): void {
    this.#known = { position, bytes };
  }

  /** Forgets the block: the file has changed there. */
  forget(): void {
    this.#known = undefined;
  }

  /** The padding from `end` to the end of its block. */
  padding(end: number): Uint8Array {
    const inside = end % this.#blockSize;
    if (inside === 0) return new Uint8Array(0);
    return this.#known?.position === end - inside
      ? this.#known.bytes.subarray(inside)
      : new Uint8Array(this.#blockSize - inside);
  }
}
