// The writes of a writer in the order of their positions: which of them may start, and where the contiguous prefix of the
// file ends.

import { assert } from "../assert.ts";
import { RWF_DSYNC } from "../engine/linux.ts";
import type { TransferRange } from "../engine/operation.ts";
import type { DmaError } from "../errors.ts";
import type { OpenFile } from "../file/open_file.ts";
import { Transfer } from "../file/transfer.ts";
import { EdgeBlocks } from "./edge_blocks.ts";
import type { Pending } from "./pending.ts";
import { Preallocator } from "./preallocator.ts";

/** One contiguous write. Position, offset and length are multiples of the file's block size. */
interface Write extends TransferRange {
  /** The end of the data; what follows up to `length` is padding. */
  readonly dataEnd: number;
  /** Called once, when the kernel is done with the memory or will never have it. */
  readonly release: () => void;
  isWritten: boolean;
}

export interface QueueOptions {
  /** Writes in flight at most. */
  readonly writeBehind: number;
  /** Whether the end of file may be moved ahead. */
  readonly preallocate: boolean;
  /** Bytes that are expected, or 0. */
  readonly sizeHint: number;
}

/** What a writer has accepted, buffer by buffer, until it is in the file. */
export class WriteQueue {
  readonly #file: OpenFile;
  readonly #pending: Pending;
  readonly #writeBehind: number;
  readonly #preallocator: Preallocator;
  readonly #edges: EdgeBlocks;
  readonly #waiting: Write[] = [];
  /** Writes in flight, and those that ended behind one that has not or has failed. */
  readonly #started: Write[] = [];
  #inFlight = 0;
  /** The end of the contiguous prefix whose writes have ended. */
  written: number;
  /**
   * The end of the contiguous prefix that is in the file. Never goes back. On a server that answers early a write is in the
   * file only when a sync has confirmed it.
   */
  flushed: number;
  /** Whether a write or a confirmation has failed. */
  #failed = false;
  #confirm: "due" | "in flight" | undefined;

  constructor(file: OpenFile, options: QueueOptions, start: number, pending: Pending) {
    const { blockSize, fileSystem } = file;
    const { preallocate, sizeHint, writeBehind } = options;
    this.#file = file;
    this.#pending = pending;
    this.written = start;
    this.flushed = start;
    // Where nothing but what was written is ever seen in the file, a write that ended before an earlier one would show
    // zeros to whoever follows the file.
    const isExact = blockSize === 1 && !preallocate;
    this.#writeBehind = isExact ? 1 : writeBehind;
    // If extending a file costs nothing, only a hinted size is worth reserving.
    const hinted = fileSystem.reserves && sizeHint > 0;
    const ahead = preallocate && (hinted || !fileSystem.extendsFreely);
    this.#preallocator = new Preallocator(file, pending, ahead, hinted ? start + sizeHint : 0);
    this.#edges = new EdgeBlocks(file, start);
  }

  get idle(): boolean {
    return this.#inFlight === 0 && this.#waiting.length === 0;
  }

  /** Whether a write waits that may be in flight beside the others. */
  get canStart(): boolean {
    const next = this.#waiting[0];
    return next !== undefined && this.#hasPlaceAt(next.position);
  }

  /** Whether a write that is added now, and starts at `position`, could start at once. */
  canAdd(position: number): boolean {
    return this.#waiting.length === 0 && this.#hasPlaceAt(position);
  }

  /** Never two writes in flight on one block: a partial block is written again with the next buffer. */
  #hasPlaceAt(position: number): boolean {
    if (this.#inFlight >= this.#writeBehind) return false;
    const before = this.#started.at(-1);
    return !before || before.isWritten || before.position + before.length <= position;
  }

  add(write: Omit<Write, "isWritten">): void {
    this.#waiting.push({ ...write, isWritten: false });
  }

  /** Drops the writes that have not started: continuing past a failed write would leave a hole. */
  drop(): void {
    for (const { release } of this.#waiting.splice(0)) release();
  }

  /**
   * Starts the writes that may start. No truncate may be running. A write that ends at `durableFrom` or behind it is durable
   * when it is over, if it is all that is under way. Space is reserved unless the file `isEnding`, and gets its exact length.
   */
  start(durableFrom: number, isEnding: boolean): void {
    const { engine, length } = this.#file;
    let started = false;
    while (!this.#confirm && this.canStart) {
      const write = this.#waiting.shift()!;
      this.#started.push(write);
      this.#inFlight++;
      const end = write.position + write.length;
      length.beginWrite(end, write.dataEnd);
      if (!isEnding) this.#preallocator.start(this.flushed, write.dataEnd);
      this.#launch(write, write.dataEnd >= durableFrom && !this.#pending.any);
      started = true;
    }
    if (started) engine.flush();
  }

  #launch(write: Write, syncs: boolean): void {
    const { durability } = this.#file;
    const { changes } = durability;
    this.#pending.begin();
    const complete = (result: number) => {
      if (writing.isDurable && result >= 0) durability.noteDurableWrite(changes);
      else durability.noteChange();
      this.#edges.ownChanges++;
      this.#end(write, writing.error);
    };
    const writing = new Transfer(this.#file, "write", write, { complete }, syncs ? RWF_DSYNC : 0);
    this.#edges.complete(write, write.dataEnd, (error) => {
      if (error) this.#end(write, error);
      else writing.start();
    });
  }

  #end(write: Write, error: DmaError | undefined): void {
    const file = this.#file;
    assert(!write.isWritten, "a write ends once");
    this.#inFlight--;
    write.release();
    write.isWritten = error === undefined;
    this.#failed ||= !write.isWritten;
    this.#advance();
    // A truncate may begin within it, and cuts to the content.
    file.length.endWrite(write.position + write.length, write.isWritten);
    this.#pending.end(error);
  }

  #advance(): void {
    const before = this.written;
    while (this.#started[0]?.isWritten) {
      this.written = Math.max(this.written, this.#started.shift()!.dataEnd);
    }
    if (this.written === before) return;
    const { fileSystem, length } = this.#file;
    const isConfirmed = fileSystem.confirmAfter === 0;
    if (isConfirmed) this.flushed = this.written;
    length.addContent(this.written, isConfirmed);
  }

  /**
   * Has a server that answers early confirm by a sync what is written, if a caller waits for bytes up to `awaitedEnd`, or if
   * it is much. The sync runs alone: the server reports a failure once, and might report it to a write beside the sync.
   */
  confirm(awaitedEnd: number): void {
    const unconfirmed = this.written - this.flushed;
    if (unconfirmed === 0 || this.#confirm === "in flight") return;
    const isMuch = unconfirmed >= this.#file.fileSystem.confirmAfter;
    if (this.written >= awaitedEnd || isMuch) this.#confirm = "due";
    if (!this.#confirm || this.#inFlight > 0) return;
    this.#pending.begin();
    this.#submitConfirm((error) => this.#pending.end(error));
  }

  #submitConfirm(ended: (error: DmaError | undefined) => void): void {
    this.#confirm = "in flight";
    this.#file.durability.submitSync(true, (error) => {
      this.#confirm = undefined;
      this.#failed ||= error !== undefined;
      this.noteSync();
      ended(error);
    });
  }

  /** After a failure: what is written and not confirmed is content if the server confirms it, and no write has failed. */
  async confirmRest(): Promise<void> {
    if (this.written === this.flushed) return;
    if (!this.#failed) await new Promise((resolve) => this.#submitConfirm(resolve));
    this.#file.length.noteLoss();
  }

  /** The file was synced when no write was in flight. If one had failed, that says nothing. */
  noteSync(): void {
    if (this.#failed) return;
    this.flushed = this.written;
    this.#file.length.confirm();
  }
}
