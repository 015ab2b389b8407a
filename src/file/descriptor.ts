// An open descriptor. It is closed once, after the last operation that uses it.

import { assert } from "../assert.ts";
import { type Engine, run } from "../engine/engine.ts";
import { Errno } from "../engine/linux.ts";
import type { Operation } from "../engine/operation.ts";
import { type DmaError, ioError, unwrap } from "../errors.ts";

export function closedError(op: string, path: string): DmaError {
  return ioError(Errno.EBADF, op, path, "the file is closed");
}

export class Descriptor {
  #uses = 0;
  /** Whether the descriptor is closed or will be. New uses are not allowed. */
  closing = false;
  /** Called after the last use, if a close waits for it. */
  #unused: (() => void) | undefined;
  readonly #closed = Promise.withResolvers<void>();
  readonly closed: Promise<void> = this.#closed.promise;

  /** `path`, for messages, is the path that was opened, or the new path after a rename. */
  constructor(readonly engine: Engine, readonly fd: number, public path: string) {
    // The caller of close gets the rejection.
    this.closed.catch(() => {});
  }

  assertOpen(op: string): void {
    if (this.closing) throw closedError(op, this.path);
  }

  /** Keeps the descriptor open until {@linkcode release}. Throws if it is closed. */
  acquire(op: string): void {
    this.assertOpen(op);
    this.#uses++;
  }

  release(): void {
    assert(this.#uses > 0, "a descriptor is released once per use");
    if (--this.#uses === 0) this.#unused?.();
  }

  /** Runs work of several operations. Closing waits for the end of the work. */
  async use<T>(op: string, work: () => Promise<T>): Promise<T> {
    this.acquire(op);
    try {
      return await work();
    } finally {
      this.release();
    }
  }

  /** Runs one operation of such work. A negative result becomes an error. */
  async call(op: string, operation: Operation): Promise<number> {
    return unwrap(await run(this.engine, operation), op, this.path);
  }

  /** Closes after the last use and after `last`, even if that fails. `last` resolves to whether close(2) is quick. */
  close(last: () => Promise<boolean>): Promise<void> {
    if (!this.closing) {
      this.closing = true;
      this.#close(last).then(this.#closed.resolve, this.#closed.reject);
    }
    return this.closed;
  }

  async #close(last: () => Promise<boolean>): Promise<void> {
    const { engine, fd } = this;
    if (this.#uses > 0) await new Promise<void>((resolve) => this.#unused = resolve);
    let quick = false;
    let result: number;
    try {
      quick = await last();
    } finally {
      // Linux frees the descriptor even if close(2) fails, so close(2) is never repeated.
      result = await run(engine, { op: "close", fd, quick });
    }
    unwrap(result, "close", this.path);
  }
}
