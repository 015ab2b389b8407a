// Write-behind: what a writer has accepted, on its way to the file. Bytes are copied into buffers, full buffers become
// writes, and those are in flight while the next buffer fills.

import { alignDown } from "../align.ts";
import { RWF_DSYNC } from "../engine/linux.ts";
import type { DmaError } from "../errors.ts";
import { readBlock } from "../file/block.ts";
import type { OpenFile } from "../file/open_file.ts";
import { Transfer } from "../file/transfer.ts";
import type { Pending } from "./pending.ts";
import { Preallocator } from "./preallocator.ts";
import { WriteBuffers } from "./write_buffers.ts";
import { type StartedWrite, WriteQueue } from "./write_queue.ts";
import type { WriterOptions } from "./writer_options.ts";

/** A block as it was in the file. */
interface KnownBlock {
  readonly position: number;
  readonly bytes: Uint8Array;
  /** The changes by others that were over when the read began. */
  readonly changesOfOthers: number;
}

/** The bytes between a writer and its file. It starts writes when it is told to. */
export class WriteBehind {
  readonly #file: OpenFile;
  readonly #pending: Pending;
  /** Accepts bytes. */
  readonly buffers: WriteBuffers;
  /** What was accepted and is not in the file, buffer by buffer. */
  readonly queue: WriteQueue;
  readonly #preallocator: Preallocator;
  readonly #start: number;
  /** The block that was read last. */
  #known: KnownBlock | undefined;
  /** The writes that have ended. */
  #ended = 0;
  /** Whether a write or a confirmation has failed. */
  #failed = false;
  #confirm: "due" | "in flight" | undefined;
  /** Where the content of the file ended before writes that are not confirmed. */
  #confirmedEnd: number | undefined;

  constructor(file: OpenFile, options: WriterOptions, start: number, pending: Pending) {
    this.#file = file;
    this.#pending = pending;
    this.#start = start;
    const { blockSize, fileSystem } = file;
    const { preallocate, sizeHint, writeBehind } = options;
    // Where nothing but what was written is ever seen in the file, a write that ended before an earlier one would show
    // zeros to whoever follows the file.
    const isExact = blockSize === 1 && !preallocate;
    this.queue = new WriteQueue(start, isExact ? 1 : writeBehind, fileSystem.confirmAfter > 0);
    this.buffers = new WriteBuffers(file, options, this.queue, start);
    // If extending a file costs nothing, only a hinted size is worth reserving.
    const hinted = fileSystem.reserves && sizeHint > 0;
    const ahead = preallocate && (hinted || !fileSystem.extendsFreely);
    this.#preallocator = new Preallocator(file, pending, ahead, hinted ? start + sizeHint : 0);
  }

  // ---- from buffers to the queue ----------------------------------------------------------------------------------

  /**
   * Whether the partly filled buffer should be written for a caller who waits for everything below `wanted`: its write would
   * start at once. Until then filling goes on in it.
   */
  isTailDue(wanted: number): boolean {
    const { buffers, queue } = this;
    return wanted > buffers.queuedEnd && queue.canAdd(buffers.nextWrite);
  }

  /** The file is about to get its exact length: no more space is reserved. */
  stopReserving(): void {
    this.#preallocator.stop();
  }

  /** Drops what was not started: continuing past a failed write would leave a hole. */
  drop(): void {
    this.#preallocator.stop();
    this.queue.drop();
    this.buffers.drop();
  }

  // ---- from the queue to the file ---------------------------------------------------------------------------------

  /**
   * Starts the writes that may start. No truncate may be running. A write that ends at `durableFrom` or behind it is durable when
   * it is over, if it is all that is under way.
   */
  startWrites(durableFrom: number): void {
    let started = false;
    for (let write; !this.#confirm && (write = this.queue.startNext());) {
      const end = write.position + write.length;
      // The rest of the last block may be another handle's.
      if (write.dataEnd < end) this.#file.keepAppended();
      this.#file.length.beginWrite(end);
      this.#preallocator.start(this.queue.flushed, end);
      this.#launch(write, write.dataEnd >= durableFrom && !this.#pending.any);
      started = true;
    }
    if (started) this.#file.engine.flush();
  }

  #launch(write: StartedWrite, syncs: boolean): void {
    const file = this.#file;
    this.#pending.begin();
    const { changes } = file.durability;
    const complete = (result: number) => {
      if (syncs && result >= 0) file.durability.noteDurableWrite(changes);
      else file.durability.noteChange();
      this.#ended++;
      this.#end(write, writing.error);
      this.#pending.end(writing.error);
    };
    const writing = new Transfer(file, "write", write, { complete }, syncs ? RWF_DSYNC : 0);
    this.#readAround(write, (error) => {
      if (!error) return writing.start();
      this.#end(write, error);
      this.#pending.end(error);
    });
  }

  /** Completes a write by the file's own bytes of its blocks, in front of the start and behind the data. */
  #readAround(
    { memory, length, position, dataEnd }: StartedWrite,
    ended: (error?: DmaError) => void,
  ): void {
    const end = position + length;
    const part = (from: number, to: number, next: (error?: DmaError) => void) => {
      if (from >= to) return next();
      this.#read(from, (block) => {
        if (block instanceof Error) return ended(block);
        memory.bytes.set(
          block.bytes.subarray(from - block.position, to - block.position),
          from - position,
        );
        next();
      });
    };
    const { contentEnd } = this.#file.length;
    part(
      position,
      Math.min(this.#start, end),
      () => part(dataEnd, dataEnd < contentEnd ? end : 0, ended),
    );
  }

  /** Reads the block that holds `at`, unless it is known and nothing but this writer has changed the file since. */
  #read(at: number, ended: (block: KnownBlock | DmaError) => void): void {
    const file = this.#file;
    const { contentEnd } = file.length;
    const position = alignDown(at, file.blockSize);
    const changesOfOthers = file.durability.changes - this.#ended;
    const known = this.#known;
    if (known?.position === position && known.changesOfOthers === changesOfOthers) {
      return ended(known);
    }
    try {
      readBlock(file, position, (block) => {
        if (block instanceof Error) return ended(block);
        const { bytes, length } = block;
        // What the file does not have of the block is zeros.
        if (length < file.blockSize) file.length.shrank(contentEnd, position + length);
        ended(this.#known = { position, bytes, changesOfOthers });
      });
    } catch (error) {
      // There is no memory.
      ended(error as DmaError);
    }
  }

  #end(write: StartedWrite, error: DmaError | undefined): void {
    const file = this.#file;
    const { queue } = this;
    const { written } = queue;
    queue.end(write, error === undefined);
    if (queue.written > written) {
      const { contentEnd } = file.length;
      // Below what was written before, the file was truncated since.
      const isNew = this.#confirmedEnd === undefined || contentEnd < written;
      if (queue.written > queue.flushed && isNew) this.#confirmedEnd = contentEnd;
      file.length.addContent(queue.written);
    }
    // Last: a truncate may begin within it, and cuts to the content.
    file.length.endWrite();
    this.#preallocator.limitBound();
    if (error) file.limitBound();
    this.#failed ||= error !== undefined;
  }

  /**
   * Has a server that answers early confirm by a sync what is written, if a caller waits for bytes up to `awaitedEnd`, or if
   * it is much. The sync runs alone: the server reports a failure once, and might report it to a write beside the sync.
   */
  confirm(awaitedEnd: number): void {
    const { flushed, isStill, written } = this.queue;
    if (written === flushed || this.#confirm === "in flight") return;
    const isMuch = written - flushed >= this.#file.fileSystem.confirmAfter;
    if (written >= awaitedEnd || isMuch) this.#confirm = "due";
    if (!this.#confirm || !isStill) return;
    this.#pending.begin();
    this.#submitConfirm((error) => this.#pending.end(error));
  }

  #submitConfirm(ended: (error: DmaError | undefined) => void): void {
    this.#confirm = "in flight";
    this.#file.durability.submitSync(true, (error) => {
      this.#confirm = undefined;
      this.#failed ||= error !== undefined;
      this.noteConfirmed();
      ended(error);
    });
  }

  /**
   * After a failure: what is written and not confirmed is content if the server confirms it, and no write has failed.
   */
  confirmRest(): Promise<void> | undefined {
    return this.queue.written > this.queue.flushed ? this.#confirmRest() : undefined;
  }

  async #confirmRest(): Promise<void> {
    if (!this.#failed) await new Promise((resolve) => this.#submitConfirm(resolve));
    const { length } = this.#file;
    if (this.#confirmedEnd !== undefined) length.shrank(this.queue.written, this.#confirmedEnd);
  }

  /** The file was synced when no write was in flight. If one had failed, that says nothing. */
  noteConfirmed(): void {
    if (this.#failed) return;
    this.queue.confirm();
    this.#confirmedEnd = undefined;
  }
}
