// The writes of a writer in the order of their positions: which of them may start, and which have reached the file.

import { alignUp } from "../align.ts";
import { assert } from "../assert.ts";
import { RWF_DSYNC } from "../engine/linux.ts";
import type { Memory, TransferRange } from "../engine/operation.ts";
import type { DmaError } from "../errors.ts";
import type { OpenFile } from "../file/open_file.ts";
import { completeBlocks, Transfer } from "../file/transfer.ts";
import type { WriterOptions } from "../stream_options.ts";
import type { Pending } from "./pending.ts";
import { Preallocator } from "./preallocator.ts";

/** One contiguous write. Position and length are multiples of the file's block size. */
interface Write extends TransferRange {
  readonly end: number;
  /** The end of the data. The bytes past it, up to `end`, are padding. */
  readonly dataEnd: number;
  /** Whether the memory goes back to the engine's pool after the write. */
  readonly isPooled: boolean;
  isWritten: boolean;
}

export class WriteQueue {
  readonly #preallocator: Preallocator;
  readonly #waiting: Write[] = [];
  /** Writes in flight, and ended writes that follow one that is in flight or has failed. */
  readonly #started: Write[] = [];
  #inFlight = 0;
  /** The end of the contiguous prefix whose writes have ended. */
  written: number;
  /** The end of the contiguous prefix that is in the file: on a server that answers early, confirmed by a sync. */
  flushed: number;
  /** Whether a write or a confirmation has failed. */
  #failed = false;
  #confirm: "due" | "in flight" | undefined;

  constructor(
    readonly file: OpenFile,
    readonly options: WriterOptions,
    readonly startPosition: number,
    readonly pending: Pending,
  ) {
    this.written = this.flushed = startPosition;
    this.#preallocator = new Preallocator(file, pending, options, startPosition);
  }

  /** Writes that wait or are in flight. */
  get size(): number {
    return this.#waiting.length + this.#inFlight;
  }

  get canStart(): boolean {
    const next = this.#waiting[0];
    return next !== undefined && this.#hasPlaceAt(next.position);
  }

  canAdd(position: number): boolean {
    return this.#waiting.length === 0 && this.#hasPlaceAt(position);
  }

  /** Prevents two writes of one block in flight: a partial block is written again with the next buffer. */
  #hasPlaceAt(position: number): boolean {
    const { fileSystem, length } = this.file;
    const isAlone = fileSystem.extendsInOrder && position >= length.contentEnd;
    if (this.#inFlight >= (isAlone ? 1 : this.options.writeBehind)) return false;
    const before = this.#started.at(-1);
    return !before || before.isWritten || before.end <= position;
  }

  /** Adds a write of the data at the start of `memory`, which it pads with zeros to whole blocks. */
  add(memory: Memory, position: number, dataEnd: number, isPooled: boolean): void {
    const dataLength = dataEnd - position;
    const length = alignUp(dataLength, this.file.blockSize);
    memory.bytes.fill(0, dataLength, length);
    const end = position + length;
    this.#waiting.push({ memory, length, position, end, dataEnd, isPooled, isWritten: false });
  }

  /** Drops the writes that have not started: continuing past a failed write would leave a hole. */
  drop(): void {
    for (const write of this.#waiting.splice(0)) this.release(write.memory, write.isPooled);
  }

  /** Releases the memory of a write, which the kernel no longer uses, or never will. */
  release(memory: Memory, isPooled: boolean): void {
    this.options.budget.held -= memory.bytes.length;
    if (isPooled) this.file.engine.release(memory);
  }

  /**
   * Starts the writes that may start. No truncate may be running. A write that ends at or past `durableFrom` is a
   * durable write, if nothing else is in flight. With `isEnding` no space is reserved.
   */
  start(durableFrom: number, isEnding: boolean): void {
    const { changes, engine } = this.file;
    let started = false;
    while (!this.#confirm && this.canStart) {
      const write = this.#waiting.shift()!;
      this.#started.push(write);
      this.#inFlight++;
      changes.beginWrite(write.end, write.dataEnd);
      if (!isEnding) this.#preallocator.start(this.flushed, write.dataEnd);
      this.#launch(write, write.dataEnd >= durableFrom && !this.pending.any);
      started = true;
    }
    // The last writes of many files are submitted together.
    if (started && !isEnding) engine.flush();
  }

  #launch(write: Write, syncs: boolean): void {
    const { durability, length } = this.file;
    const { changes } = durability;
    this.pending.begin();
    const ended = () => {
      if (writing.flags & RWF_DSYNC && !writing.error) durability.noteDurableWrite(changes);
      else durability.noteChange();
      this.#end(write, writing.error);
    };
    const writing = new Transfer(this.file, "write", write, ended, syncs ? RWF_DSYNC : 0);
    // The rest of the first and the last block is read for each write: another program may have changed it meanwhile.
    const to = write.dataEnd < length.contentEnd ? write.dataEnd : write.end;
    completeBlocks(this.file, write, this.startPosition, to, (outcome) => {
      // Other handles may write below the start. No later cut removes that, even after a failure.
      length.addContent(this.startPosition);
      if (outcome instanceof Error) this.#end(write, outcome);
      else writing.start();
    });
  }

  #end(write: Write, error: DmaError | undefined): void {
    assert(!write.isWritten, "a write ends once");
    this.#inFlight--;
    this.release(write.memory, write.isPooled);
    write.isWritten = error === undefined;
    this.#failed ||= !write.isWritten;
    this.#advance();
    // A truncate may begin within this call, and cuts to the content.
    this.file.changes.endWrite(write.position, write.end, write.isWritten);
    this.pending.end(error);
  }

  #advance(): void {
    const before = this.written;
    while (this.#started[0]?.isWritten) {
      this.written = Math.max(this.written, this.#started.shift()!.dataEnd);
    }
    if (this.written === before) return;
    const { fileSystem, length } = this.file;
    const isConfirmed = fileSystem.confirmAfter === 0;
    if (isConfirmed) this.flushed = this.written;
    length.addContent(this.written, isConfirmed);
  }

  /**
   * Syncs the file on a server that answers early, if a caller waits for bytes up to `awaitedEnd`, or if there are many
   * unconfirmed ones. The sync runs alone: the server reports a failure once, perhaps to a write beside the sync.
   */
  confirm(awaitedEnd: number): void {
    const unconfirmed = this.written - this.flushed;
    if (unconfirmed === 0 || this.#confirm === "in flight") return;
    const isMuch = unconfirmed >= this.file.fileSystem.confirmAfter;
    if (this.written >= awaitedEnd || isMuch) this.#confirm = "due";
    if (!this.#confirm || this.#inFlight > 0) return;
    this.pending.begin();
    this.#submitConfirm((error) => this.pending.end(error));
  }

  #submitConfirm(ended: (error: DmaError | undefined) => void): void {
    this.#confirm = "in flight";
    this.file.durability.submitSync(true, (error) => {
      this.#confirm = undefined;
      this.#failed ||= error !== undefined;
      this.noteSync();
      ended(error);
    });
  }

  /** After a failure, unconfirmed bytes are content only if the server confirms them and no write has failed. */
  async confirmRest(): Promise<void> {
    if (this.written === this.flushed) return;
    if (!this.#failed) await new Promise((resolve) => this.#submitConfirm(resolve));
    this.file.length.noteLoss();
  }

  /** The file was synced while no write was in flight. After a failed write such a sync confirms nothing. */
  noteSync(): void {
    if (this.#failed) return;
    this.flushed = this.written;
    this.file.length.confirm();
  }
}
