// What a writer has under way.

import { assert } from "../assert.ts";

/** Counts operations and other work. The writer decides after each what comes next. */
export class Pending {
  #count = 0;
  readonly #ended: (error: unknown) => void;

  /** `ended` is called after each end, with the error if it failed. */
  constructor(ended: (error: unknown) => void) {
    this.#ended = ended;
  }

  /** Whether something is under way. */
  get any(): boolean {
    return this.#count > 0;
  }

  begin(): void {
    this.#count++;
  }

  end(error?: unknown): void {
    assert(this.#count > 0, "what ends has begun");
    this.#count--;
    this.#ended(error);
  }

  /** Counts work until it settles. */
  track(work: Promise<unknown>): void {
    this.begin();
    work.then(() => this.end(), (error) => this.end(error));
  }
}
