// Write-behind: what a writer has accepted, on its way to the file. Bytes are copied into buffers, full buffers become
// writes, and those are in flight while the next buffer fills.

import { alignDown } from "../align.ts";
import { RWF_DSYNC } from "../engine/linux.ts";
import type { DmaError } from "../errors.ts";
import { readBlock } from "../file/block.ts";
import type { OpenFile } from "../file/open_file.ts";
import { Transfer } from "../file/transfer.ts";
import { LastBlock } from "./last_block.ts";
import type { Pending } from "./pending.ts";
import { Preallocator } from "./preallocator.ts";
import type { Start } from "./start_search.ts";
import { WriteBuffers } from "./write_buffers.ts";
import { type StartedWrite, WriteQueue } from "./write_queue.ts";
import type { WriterOptions } from "./writer_options.ts";

/** The bytes between a writer and its file. It starts writes when it is told to. */
export class WriteBehind {
  readonly #file: OpenFile;
  readonly #pending: Pending;
  /** Accepts bytes. */
  readonly buffers: WriteBuffers;
  /** What was accepted and is not in the file, buffer by buffer. */
  readonly queue: WriteQueue;
  readonly #lastBlock: LastBlock;
  readonly #preallocator: Preallocator;
  readonly #start: number;
  /** The least that the file was truncated to since the bytes before the start were read. */
  #truncatedTo = Infinity;
  /** Whether others have written to the file: what the writer has read of it may have changed. */
  #isShared = false;

  constructor(file: OpenFile, options: WriterOptions, start: Start, pending: Pending) {
    const { position } = start;
    this.#file = file;
    this.#pending = pending;
    this.#start = position;
    const { blockSize, fileSystem } = file;
    const { preallocate, sizeHint, writeBehind } = options;
    // Where nothing but what was written is ever seen in the file, a write that ended before an earlier one would show
    // zeros to whoever follows the file.
    const isExact = blockSize === 1 && !preallocate;
    this.queue = new WriteQueue(position, isExact ? 1 : writeBehind);
    this.buffers = new WriteBuffers(file, options, this.queue, start);
    this.#lastBlock = new LastBlock(file);
    // If extending a file costs nothing, only a hinted size is worth reserving.
    const hinted = fileSystem.reserves && sizeHint > 0;
    const ahead = preallocate && (hinted || !fileSystem.extendsFreely);
    this.#preallocator = new Preallocator(file, pending, ahead, hinted ? position + sizeHint : 0);
  }

  // ---- from buffers to the queue ----------------------------------------------------------------------------------

  /**
   * Whether the partly filled buffer should be written for a caller who waits for everything below `wanted`: its write would
   * start at once. Until then filling goes on in it.
   */
  isTailDue(wanted: number): boolean {
    const { buffers, queue } = this;
    return wanted > buffers.queuedEnd && !this.#lastBlock.reading &&
      queue.canAdd(buffers.nextWrite);
  }

  /**
   * Queues the partly filled buffer, if there is one. If the bytes that follow it in its last block must be read, that comes
   * first. Throws without memory.
   */
  queueTail(): void {
    const { buffers } = this;
    if (!buffers.isFilling || this.#lastBlock.reading) return;
    const end = buffers.position;
    const padding = this.#lastBlock.padding(end);
    if (padding) return buffers.queueBuffer(padding);
    this.#lastBlock.read(end, (error) => this.#pending.end(error));
    this.#pending.begin();
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

  /** The file was truncated to `length` past the writer. */
  truncated(length: number): void {
    this.#truncatedTo = Math.min(this.#truncatedTo, length);
    this.#lastBlock.truncated(length);
  }

  /** Others have written to the file. */
  changed(): void {
    this.#isShared = true;
  }

  // ---- from the queue to the file ---------------------------------------------------------------------------------

  /**
   * Starts the writes that may start. No truncate may be running. A write that ends at `durableFrom` or behind it is durable when
   * it is over, if it is all that is under way.
   */
  startWrites(durableFrom: number): void {
    let started = false;
    for (let write; (write = this.queue.startNext());) {
      const end = write.position + write.length;
      this.#clearTruncated(write);
      this.#file.length.beginWrite(end);
      this.#preallocator.start(this.queue.flushed, end);
      this.#launch(write, write.dataEnd >= durableFrom && !this.#pending.any);
      started = true;
    }
    if (started) this.#file.engine.flush();
  }

  /** Clears bytes of a write that were read from the file and truncated since. */
  #clearTruncated({ memory, length, position, dataEnd }: StartedWrite): void {
    const end = position + length;
    const clear = (from: number, to: number) => {
      if (from < to) memory.bytes.fill(0, from - position, to - position);
    };
    clear(Math.max(position, this.#truncatedTo), Math.min(this.#start, end));
    clear(Math.max(dataEnd, this.#lastBlock.truncatedTo), end);
  }

  #launch(write: StartedWrite, syncs: boolean): void {
    const file = this.#file;
    this.#pending.begin();
    const { changes } = file.durability;
    const complete = (result: number) => {
      if (syncs && result >= 0) file.durability.noteDurableWrite(changes);
      else file.durability.noteChange();
      this.#end(write, writing.error);
      this.#pending.end(writing.error);
    };
    const writing = new Transfer(file, "write", write, { complete }, syncs ? RWF_DSYNC : 0);
    if (!this.#isShared) return writing.start();
    this.#readAround(write, (error) => {
      if (!error) return writing.start();
      this.#end(write, error);
      this.#pending.end(error);
    });
  }

  /** Reads once more those bytes of a write that are not the writer's: what is in front of its start, and behind its data. */
  #readAround(write: StartedWrite, ended: (error?: DmaError) => void): void {
    const { memory, offset, length, position, dataEnd } = write;
    const file = this.#file;
    const end = position + length;
    const parts: [from: number, to: number][] = [];
    if (position < this.#start) parts.push([position, Math.min(this.#start, end)]);
    if (dataEnd < Math.min(end, file.length.contentEnd)) parts.push([dataEnd, end]);
    const readNext = () => {
      const [from, to] = parts.shift() ?? [];
      if (from === undefined) return ended();
      const at = alignDown(from, file.blockSize);
      try {
        readBlock(file, at, (block) => {
          if (block instanceof Error) return ended(block);
          memory.bytes.set(block.bytes.subarray(from - at, to! - at), offset + from - position);
          readNext();
        });
      } catch (error) {
        // There is no memory.
        ended(error as DmaError);
      }
    };
    readNext();
  }

  #end(write: StartedWrite, error: DmaError | undefined): void {
    const file = this.#file;
    const { flushed } = this.queue;
    this.queue.end(write, error === undefined);
    file.length.endWrite();
    if (this.queue.flushed > flushed) file.length.addContent(this.queue.flushed);
    this.#preallocator.limitBound();
    if (error) file.limitBound();
  }
}
