// What a DmaStreamWriter's stream calls: chunks on their way to the session, and who was told of its failure.

import { chunkBytes } from "./arguments.ts";
import { yieldIfNeeded } from "./engine/event_loop.ts";
import type { WriteSession } from "./core/write_session.ts";

/** Resolved for good: for what was possible at once. */
export const resolved: Promise<void> = Promise.resolve();

/** What the stream's own functions share with the class. They must not hold the class: it could never be dropped. */
export class WriterSink {
  /** Chunks that the stream holds. While there are any, what is written past the stream has to wait. */
  queued = 0;
  /** What was written past the stream and waits for room: the last of it. */
  waiting: Promise<void> | undefined;
  controller: WeakRef<WritableStreamDefaultController> | undefined;
  stream: WeakRef<WritableStream> | undefined;
  /** The stream while something waits: it must not be dropped under that. */
  #held: WritableStream | undefined;
  /**
   * Stands for who has the lock and is told of a failure by what is called: a writer of `getWriter`, or a pipe of this
   * module's. Not the writer itself: it would hold the stream.
   */
  lent: symbol | undefined;
  /** Somebody was told of the failure: disposing need not tell it again. */
  told = false;

  constructor(readonly session: WriteSession) {}

  start(controller: WritableStreamDefaultController): Promise<void> | undefined {
    this.controller = new WeakRef(controller);
    const { session } = this;
    // The stream itself would first wait for the chunk that is being written, however large that is.
    controller.signal.addEventListener("abort", () => {
      session.abort(controller.signal.reason).catch(() => {});
    });
    return session.opening;
  }

  write(chunk: BufferSource): Promise<void> | undefined {
    const pending = this.#take(chunk);
    if (pending === undefined) {
      this.queued--;
      return yieldIfNeeded(chunk.byteLength);
    }
    return pending.finally(() => this.queued--);
  }

  #take(chunk: BufferSource): Promise<void> | undefined {
    let bytes: Uint8Array;
    try {
      bytes = chunkBytes("chunk", chunk);
    } catch (error) {
      return this.#refuse(error);
    }
    const { session, waiting } = this;
    const { length } = bytes;
    return waiting
      ? waiting.then(() => session.accept(bytes, length))
      : session.accept(bytes, length);
  }

  /** The stream takes this for its own failure, and never calls again: everything must be freed here. */
  async #refuse(error: unknown): Promise<never> {
    await this.session.abort(error).catch(() => {});
    throw error;
  }

  close(): Promise<void> {
    return this.session.close(this.waiting);
  }

  /** Has something taken past the stream, behind what waits already. */
  wait(take: () => Promise<void> | undefined): Promise<void> {
    const { waiting } = this;
    const taken = waiting ? waiting.then(take) : take() ?? resolved;
    this.waiting = taken;
    this.#held = this.stream?.deref();
    const over = () => {
      if (this.waiting !== taken) return;
      this.waiting = undefined;
      this.#held = undefined;
    };
    taken.then(over, over);
    return this.telling(taken);
  }

  /**
   * What a user gets: its failure counts as told, where it is the session's. It is a promise of its own, so that one that
   * nobody looks at is reported as any other.
   */
  async telling<T>(promise: Promise<T>): Promise<T> {
    try {
      return await promise;
    } catch (error) {
      if (this.session.failed && error === this.session.error) this.told = true;
      throw error;
    }
  }

  /** The stream fails: whoever pipes into it is told by the pipe. */
  fail(error: unknown): void {
    if (this.stream?.deref()?.locked && !this.lent) this.told = true;
    this.controller?.deref()?.error(error);
  }

  /** Chunks that were given to `write` before belong to what is flushed, synced or closed now. */
  async settled(): Promise<void> {
    await this.waiting?.catch(() => {});
  }
}
