// The state of a writer: its phase, why it failed, and the promises that settle when these change.

import { assert } from "../assert.ts";
import type { Step, WriterFailure } from "./ending.ts";

/** The error of a call on a stream that was closed. */
export function closedError(op: string): TypeError {
  return new TypeError(`Cannot ${op} a stream that is closed`);
}

/** A writer ends. It runs the steps, one after the other, while nothing else is under way. */
export type EndingPhase =
  /** Everything is in the file, which is being cut, synced, named and closed. */
  | { readonly name: "committing"; readonly steps: Step[] }
  /** After a failure or an abort: writes in flight are waited for, then the file is cut and closed. */
  | { readonly name: "failing"; readonly steps: Step[] };

/** What a writer is doing. */
type Phase =
  /** The start position and the bytes before it are being determined. */
  | { readonly name: "opening" }
  | { readonly name: "open" }
  /** A close was requested: what was accepted is being written. */
  | { readonly name: "draining" }
  | EndingPhase
  | { readonly name: "closed" }
  | { readonly name: "failed" };

/** The state of a writer, and the transitions between its phases. It does nothing to the file. */
export abstract class WriterState {
  protected phase: Phase = { name: "opening" };
  /** Whether a close was asked for. Nothing is accepted from then on. */
  protected closeBegun = false;
  #failure: WriterFailure | undefined;
  readonly #opened = Promise.withResolvers<void>();
  readonly #failed = Promise.withResolvers<WriterFailure>();
  readonly #ended = Promise.withResolvers<void>();
  /** Resolves with the first failure. */
  readonly failing: Promise<WriterFailure> = this.#failed.promise;
  /** Resolves when the writer has released the file, however it ended. */
  readonly ended: Promise<void> = this.#ended.promise;

  /** Settles when the start is known, or never will be; undefined if it is known. */
  get opening(): Promise<void> | undefined {
    return this.phase.name === "opening" ? this.#opened.promise : undefined;
  }

  /** As {@linkcode ended}; rejects with the failure. */
  get closedOrFailed(): Promise<void> {
    return this.ended.then(() => this.throwFailure());
  }

  /** Set from the first failure on. */
  get failure(): WriterFailure | undefined {
    return this.#failure;
  }

  /** Whether everything is written, and the file released. */
  get closed(): boolean {
    return this.phase.name === "closed";
  }

  /** Whether an end was requested or has come. */
  get ending(): boolean {
    return this.closeBegun || this.#failure !== undefined;
  }

  /** Whether bytes are accepted at all. */
  protected get accepts(): boolean {
    return this.phase.name === "open" && !this.closeBegun;
  }

  /** Throws if no bytes will be accepted any more. */
  assertAccepts(): void {
    this.throwFailure();
    if (this.closeBegun) throw closedError("write");
  }

  protected throwFailure(): void {
    if (this.#failure) throw this.#failure.reason;
  }

  protected toOpen(): void {
    assert(this.phase.name === "opening", "a writer opens once");
    this.phase = { name: "open" };
    this.#opened.resolve();
  }

  protected toDraining(): void {
    this.phase = { name: "draining" };
  }

  protected toCommitting(steps: Step[]): void {
    assert(this.phase.name === "draining", "a writer commits what it has drained");
    this.phase = { name: "committing", steps };
  }

  protected toFailing(failure: WriterFailure, steps: Step[]): void {
    assert(this.#failure === undefined, "the first failure is final");
    this.#failure = failure;
    this.phase = { name: "failing", steps };
    this.#opened.resolve();
    this.#failed.resolve(failure);
  }

  protected toEnd(): void {
    this.phase = { name: this.#failure ? "failed" : "closed" };
    this.#ended.resolve();
  }
}
