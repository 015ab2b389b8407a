// The writer that DmaStreamWriter.getWriter returns.

import { chunkBytes } from "../arguments.ts";
import { isOverdue } from "../engine/event_loop.ts";
import type { WriterSink } from "./sink.ts";

/** A lock of a writer's stream. It rejects a chunk that is not bytes, so that the stream stays usable. */
export class WriterLock extends WritableStreamDefaultWriter<ArrayBufferView | ArrayBufferLike> {
  readonly #sink: WriterSink;
  #holds = true;
  /** The number of its chunks in the stream's queue whose promises have not resolved. */
  #queued = 0;

  constructor(stream: WritableStream, sink: WriterSink) {
    super(stream);
    this.#sink = sink;
    sink.hasLock = true;
  }

  override get closed(): Promise<void> {
    return this.#sink.watched(super.closed);
  }

  override write(chunk: unknown): Promise<void> {
    // Called on another object it rejects, like the platform's method.
    if (!(#sink in Object(this))) return Promise.reject(new TypeError("Not a writer"));
    const sink = this.#sink;
    try {
      // The queue costs more than a small chunk. It is for chunks behind others, and makes `ready` wait for a due yield.
      const skips = this.#holds && this.#queued === 0 && !isOverdue && super.desiredSize === 1;
      const taken = skips && sink.takeAtOnce(chunk);
      if (taken) return taken;
      const bytes = chunkBytes("chunk", chunk);
      // In a stream that is being closed Deno calls a size function that it has dropped, and throws.
      if (sink.writer.closeAnnounced && this.#holds) throw sink.writer.refusal;
      this.#queued++;
      return sink.report(super.write(bytes), () => void this.#queued--);
    } catch (error) {
      return sink.rethrow(error);
    }
  }

  override async close(): Promise<void> {
    // After releaseLock() the stream rejects the close.
    if (this.#holds) this.#sink.writer.announceClose();
    await this.#sink.report(super.close());
  }

  override async abort(reason: unknown = AbortSignal.abort().reason): Promise<void> {
    await this.#sink.abort(this.#holds, () => super.abort(reason));
  }

  override releaseLock(): void {
    super.releaseLock();
    if (this.#holds) this.#sink.hasLock = false;
    this.#holds = false;
  }

  /** The platform's method reads `closed`, which counts as knowing of a failure. Without the lock it throws. */
  [Symbol.for("Deno.customInspect")](): string {
    const desiredSize = #sink in this && this.#holds ? super.desiredSize : null;
    return `WriterLock { desiredSize: ${desiredSize} }`;
  }
}
