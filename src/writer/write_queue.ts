// The writes of a writer in the order of their positions: which of them may start, and where the contiguous prefix of the
// file ends.

import { assert } from "../assert.ts";
import type { TransferRange } from "../engine/operation.ts";

/** One contiguous write. Position, offset and length are multiples of the file's block size. */
export interface WriteRequest extends TransferRange {
  /** The end of the data; what follows up to `length` is padding. */
  readonly dataEnd: number;
  /** Called once, when the kernel is done with the memory or will never have it. */
  readonly release: () => void;
}

type State = "waiting" | "in flight" | "written";

interface QueuedWrite extends WriteRequest {
  state: State;
}

/** A started write, which must be ended. */
export type StartedWrite = WriteRequest & { readonly state: State };

/** Queues writes. It starts none itself. */
export class WriteQueue {
  readonly #writeBehind: number;
  /** Writes that have not ended, and those that ended behind one of them. */
  readonly #queue: QueuedWrite[] = [];
  #waiting = 0;
  #inFlight = 0;
  #flushed: number;
  /** The end of the last write that was started. */
  #startedEnd = 0;

  /** `start` is where the first byte goes; `writeBehind` writes may be in flight. */
  constructor(start: number, writeBehind: number) {
    this.#flushed = start;
    this.#writeBehind = writeBehind;
  }

  /** The end of the contiguous prefix that is in the file. Never goes back. */
  get flushed(): number {
    return this.#flushed;
  }

  /** Whether nothing is queued or in flight. */
  get idle(): boolean {
    return this.#inFlight === 0 && this.#waiting === 0;
  }

  /** Whether a write waits that may be in flight beside the others. */
  get canStart(): boolean {
    return this.#waiting > 0 && this.#inFlight < this.#writeBehind;
  }

  add(request: WriteRequest): void {
    this.#queue.push({ ...request, state: "waiting" });
    this.#waiting++;
  }

  /** The next write, which counts as in flight from now on; undefined if none may start. */
  startNext(): StartedWrite | undefined {
    if (!this.canStart) return undefined;
    const write = this.#queue[this.#queue.length - this.#waiting]!;
    assert(write.state === "waiting", "writes start in the order of the queue");
    // Never two writes in flight on one block: a tail that was written early is written again with its buffer.
    if (write.position < this.#startedEnd && this.#overlapsFlight(write)) return undefined;
    write.state = "in flight";
    this.#waiting--;
    this.#inFlight++;
    this.#startedEnd = write.position + write.length;
    return write;
  }

  #overlapsFlight({ position, length }: QueuedWrite): boolean {
    return this.#queue.some((other) =>
      other.state === "in flight" && other.position + other.length > position &&
      other.position < position + length
    );
  }

  /** A write has ended. Its bytes count when everything before them is written too. */
  end(write: StartedWrite, succeeded: boolean): void {
    const queued = write as QueuedWrite;
    assert(queued.state === "in flight", "a write ends once");
    this.#inFlight--;
    queued.release();
    if (!succeeded) return;
    queued.state = "written";
    while (this.#queue[0]?.state === "written") {
      this.#flushed = Math.max(this.#flushed, this.#queue.shift()!.dataEnd);
    }
  }

  /** Drops the writes that have not started: continuing past a failed write would leave a hole. */
  drop(): void {
    for (const { release } of this.#queue.splice(this.#queue.length - this.#waiting)) release();
    this.#waiting = 0;
  }
}
