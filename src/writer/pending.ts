// Counts a writer's operations in flight, and other work.

import { assert } from "../assert.ts";

export class Pending {
  #count = 0;

  /** `ended` is called after each end, with the error after a failure. */
  constructor(readonly ended: (error: unknown) => void) {}

  get any(): boolean {
    return this.#count > 0;
  }

  begin(): void {
    this.#count++;
  }

  end(error?: unknown): void {
    assert(this.#count > 0, "what ends has begun");
    this.#count--;
    this.ended(error);
  }

  track(work: Promise<unknown>): void {
    this.begin();
    work.then(() => this.end(), (error) => this.end(error));
  }
}
