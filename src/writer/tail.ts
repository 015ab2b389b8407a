// The partial last block: when it is written before it is full.

/** Tells when the partly filled buffer is to be written as it is. */
export class Tail {
  /** Up to where somebody wants it written. */
  #wanted = -1;
  /** Up to where it was written, or is being written. */
  #begun: number;
  /** A copy of the last block waits or is in flight. */
  copied = false;

  /** `start` is where the first byte goes. */
  constructor(start: number) {
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
}
