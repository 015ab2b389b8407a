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
  #written: number;
  #flushed: number;
  readonly #confirms: boolean;

  /**
   * `start` is where the first byte goes; `writeBehind` writes may be in flight. With `confirms` a write that has ended is
   * in the file only when that is {@linkcode confirm | confirmed}.
   */
  constructor(start: number, writeBehind: number, confirms: boolean) {
    this.#written = start;
    this.#flushed = start;
    this.#writeBehind = writeBehind;
    this.#confirms = confirms;
  }

  /** The end of the contiguous prefix whose writes have ended. */
  get written(): number {
    return this.#written;
  }

  /** The end of the contiguous prefix that is in the file. Never goes back. */
  get flushed(): number {
    return this.#flushed;
  }

  /** Whether no write is in flight. */
  get isStill(): boolean {
    return this.#inFlight === 0;
  }

  /** Whether nothing is queued or in flight. */
  get idle(): boolean {
    return this.#inFlight === 0 && this.#waiting === 0;
  }

  /** Whether a write waits that may be in flight beside the others. */
  get canStart(): boolean {
    return this.#waiting > 0 && this.#hasPlace;
  }

  get #hasPlace(): boolean {
    return this.#inFlight < this.#writeBehind;
  }

  /** Whether a write that is added now, and starts at `position`, could start at once. */
  canAdd(position: number): boolean {
    return this.#waiting === 0 && this.#hasPlace &&
      !this.#isWrittenBy(this.#queue.at(-1), position);
  }

  add(request: WriteRequest): void {
    this.#queue.push({ ...request, state: "waiting" });
    this.#waiting++;
  }

  /** The next write, which counts as in flight from now on; undefined if none may start. */
  startNext(): StartedWrite | undefined {
    if (!this.canStart) return undefined;
    const index = this.#queue.length - this.#waiting;
    const write = this.#queue[index]!;
    assert(write.state === "waiting", "writes start in the order of the queue");
    // Never two writes in flight on one block: a partial block is written again with the next buffer.
    if (this.#isWrittenBy(this.#queue[index - 1], write.position)) return undefined;
    write.state = "in flight";
    this.#waiting--;
    this.#inFlight++;
    return write;
  }

  /** Whether the block at `position` is being written by `before`. Earlier writes end before that one. */
  #isWrittenBy(before: QueuedWrite | undefined, position: number): boolean {
    return before?.state === "in flight" && before.position + before.length > position;
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
      this.#written = Math.max(this.#written, this.#queue.shift()!.dataEnd);
    }
    if (!this.#confirms) this.confirm();
  }

  /** Everything that is written is in the file. */
  confirm(): void {
    this.#flushed = this.#written;
  }

  /** Drops the writes that have not started: continuing past a failed write would leave a hole. */
  drop(): void {
    for (const { release } of this.#queue.splice(this.#queue.length - this.#waiting)) release();
    this.#waiting = 0;
  }
}
