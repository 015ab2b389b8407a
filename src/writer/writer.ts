// A writer: bytes are copied into buffers, and full buffers are written while the next one fills. It is in one phase at a
// time. After each completion step() decides, from the state as it is then, what comes next. It knows nothing of streams.

import { assert } from "../assert.ts";
import { Errno, RWF_DSYNC } from "../engine/linux.ts";
import type { Memory } from "../engine/operation.ts";
import { type DmaError, ioError } from "../errors.ts";
import { discardName, publish } from "../file/atomic.ts";
import { closeFile, giveUpFile } from "../file/close.ts";
import { cutToContent, exceedsContent, limitBound } from "../file/cut.ts";
import type { AttachedWriter, OpenFile } from "../file/open_file.ts";
import { sizeNow, sizeOf } from "../file/stat.ts";
import { Transfer } from "../file/transfer.ts";
import { EdgeBlocks } from "./edge_blocks.ts";
import { Preallocator } from "./preallocator.ts";
import { SyncQueue } from "./sync_queue.ts";
import { Tail } from "./tail.ts";
import { WriteBuffers } from "./write_buffers.ts";
import { type StartedWrite, WriteQueue } from "./write_queue.ts";

/** How a {@linkcode Writer} writes. Every number has been checked. */
export interface WriterOptions {
  readonly bufferSize: number;
  readonly writeBehind: number;
  /** Whether it uses smaller and fewer buffers while many streams are at work. */
  readonly sharesMemory: boolean;
  readonly position: number;
  readonly append: boolean;
  readonly sizeHint: number;
  readonly preallocate: boolean;
  readonly syncOnClose: boolean;
  readonly closeFile: boolean;
}

/**
 * The steps of an ending, in order. Each reads the state when its turn comes, and returns undefined if there is nothing
 * to do.
 */
type Ending = readonly (() => Promise<unknown> | undefined)[];

/** What a writer is doing. */
type Phase =
  /** The start position and the bytes before it are being determined. */
  | { readonly name: "opening" }
  | { readonly name: "open" }
  /** A close was requested: what was accepted is being written. */
  | { readonly name: "draining" }
  /** Everything is in the file, which is being cut, synced, named and closed. */
  | { readonly name: "committing"; readonly ending: Ending; done: number }
  /** After a failure or an abort: writes in flight are waited for, then the file is cut and closed. */
  | { readonly name: "failing"; readonly ending: Ending; done: number }
  | { readonly name: "closed" }
  | { readonly name: "failed" };

/** Why a writer failed. */
export interface WriterFailure {
  /** Every later call rejects with it: the first failure, or the reason of an abort. */
  readonly reason: unknown;
  /** Whether it was aborted from outside, and did not fail by itself. */
  readonly aborted: boolean;
}

/** The longest single wait on the JavaScript thread: the event may have happened without a completion. */
const LONGEST_WAIT_MS = 1000;

function closedError(op: string): TypeError {
  return new TypeError(`Cannot ${op} a stream that is closed`);
}

/** Writes a contiguous run of bytes to a file. A file has one writer at a time. */
export class Writer implements AttachedWriter {
  readonly file: OpenFile;
  readonly #options: WriterOptions;
  #phase: Phase = { name: "opening" };
  /** Operations and other work under way. step() runs after each. */
  #pending = 0;
  #failure: WriterFailure | undefined;
  /** The error of cutting the file after a failure. */
  #cutError: unknown;
  /** A close was asked for. */
  #closeRequest: { readonly keepOpen: boolean } | undefined;
  #closeAnnounced = false;
  readonly #opened = Promise.withResolvers<void>();
  readonly #failed = Promise.withResolvers<WriterFailure>();
  readonly #ended = Promise.withResolvers<void>();
  #room: PromiseWithResolvers<void> | undefined;

  /** Where writing starts; until that is known, a preliminary value. */
  #start: number;
  // Created as soon as the start is known.
  #buffers!: WriteBuffers;
  #queue!: WriteQueue;
  #tail!: Tail;
  readonly #edges: EdgeBlocks;
  #preallocator!: Preallocator;
  readonly #syncs = new SyncQueue();
  #syncing = false;
  #waitingForTruncate = false;
  /** Opens on the JavaScript thread, for callers that cannot await. */
  #openNow = () => {};

  constructor(file: OpenFile, options: WriterOptions) {
    this.file = file;
    this.#options = options;
    this.#edges = new EdgeBlocks(file);
    const { append, position } = options;
    this.#start = append ? file.length.contentEnd : position;
    file.descriptor.acquire("write");
    file.writer = this;
    // A file that this module created and nobody wrote to yet is known to be empty.
    // Another program may have appended to it, so an appending writer asks.
    const isEmpty = !append && file.ownsSize && file.length.sizeUpperBound === 0 && position === 0;
    if (isEmpty) this.#open(0, new Uint8Array(0));
    else this.#track(this.#findStart());
  }

  // ---- what can be asked ------------------------------------------------------------------------------------------

  /** Settles when the start is known, or never will be; undefined if it always was. */
  get opening(): Promise<void> | undefined {
    return this.#phase.name === "opening" ? this.#opened.promise : undefined;
  }

  /** Resolves with the first failure. */
  get failing(): Promise<WriterFailure> {
    return this.#failed.promise;
  }

  /** Resolves when the writer has released the file, however it ended. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** As {@linkcode ended}; rejects with the failure. */
  get closedOrFailed(): Promise<void> {
    return this.ended.then(() => {
      if (this.#failure) throw this.#failure.reason;
    });
  }

  /** Set from the first failure on. */
  get failure(): WriterFailure | undefined {
    return this.#failure;
  }

  /** Whether everything is written, and the file released. */
  get closed(): boolean {
    return this.#phase.name === "closed";
  }

  /** Whether an end was requested or has come. Nothing more is accepted. */
  get ending(): boolean {
    return this.#closeRequest !== undefined || this.#failure !== undefined;
  }

  /** Bytes accepted so far, as a position. */
  get position(): number {
    return this.#buffers?.position ?? this.#start;
  }

  /** The end of the contiguous prefix that has reached the file. Never goes back. */
  get flushedPosition(): number {
    return this.#queue?.flushed ?? this.#start;
  }

  // ---- opening ----------------------------------------------------------------------------------------------------

  /** Asks for the file's length and reads the block of the start, if the start depends on them. */
  async #findStart(): Promise<void> {
    const { file } = this;
    // A size from before the end of another write would be mistaken for the end of the content.
    const alone = Promise.withResolvers<void>();
    const release = file.length.holdWrites(() => alone.resolve());
    this.#openNow = () => {
      release();
      alone.resolve();
      this.#findStartNow();
    };
    let start = 0;
    try {
      await alone.promise;
      if (this.#phase.name !== "opening") return;
      const size = await sizeOf(file.descriptor);
      if (this.#phase.name !== "opening") return;
      start = this.#startIn(size);
    } finally {
      release();
    }
    const head = await this.#edges.readHead(start);
    if (this.#phase.name === "opening") this.#open(start, head);
  }

  /** As {@linkcode #findStart}, on the JavaScript thread. */
  #findStartNow(): void {
    const { file } = this;
    // Other writes to this file may be under way.
    while (file.engine.counters.inFlight > 0 && file.engine.waitNow(LONGEST_WAIT_MS));
    const start = this.#startIn(sizeNow(file.engine, file.fd, file.path));
    this.#open(start, this.#edges.readHeadNow(start));
  }

  /** Where to start in a file that was found to be `size` long. */
  #startIn(size: number): number {
    const { append, position } = this.#options;
    const { length, ownsSize } = this.file;
    length.found(size, append || !ownsSize);
    const start = append ? size : position;
    // A start behind reserved space means that the space is content.
    length.addContent(Math.min(start, size));
    return start;
  }

  #open(start: number, head: Uint8Array): void {
    const { engine, blockSize, fileSystem } = this.file;
    const { bufferSize, writeBehind, sharesMemory, sizeHint, preallocate } = this.#options;
    this.#start = start;
    // If extending a file costs nothing, only a hinted size is worth reserving.
    const hinted = fileSystem.reserves && sizeHint > 0;
    const ahead = preallocate && (hinted || !fileSystem.extendsFreely);
    this.#preallocator = new Preallocator(ahead, hinted ? start + sizeHint : 0);
    // A write that ends before an earlier one would show zeros to whoever follows the file.
    this.#queue = new WriteQueue(start, this.#isExact ? 1 : writeBehind);
    this.#tail = new Tail(start);
    this.#edges.open(start, blockSize);
    const budget = sharesMemory ? engine.budget : undefined;
    const base = start - head.length;
    const wholeChunks = this.file.appends;
    const options = { engine, blockSize, bufferSize, writeBehind, budget, wholeChunks, base };
    const buffers = new WriteBuffers(options);
    if (head.length > 0) buffers.startWith(head);
    this.#buffers = buffers;
    this.#phase = { name: "open" };
    this.#opened.resolve();
  }

  /** Whether nothing but what was written is ever seen in the file. */
  get #isExact(): boolean {
    return this.file.blockSize === 1 && !this.#options.preallocate;
  }

  // ---- filling ----------------------------------------------------------------------------------------------------

  /**
   * Copies what there is room for, from `from` on, and returns how much that was. If all buffers are full, {@linkcode
   * room} tells when to go on. If there is no memory, the writer fails.
   */
  write(bytes: Uint8Array, from = 0): number {
    if (this.#phase.name !== "open" || this.#closeRequest) return 0;
    const buffers = this.#buffers;
    try {
      const taken = buffers.write(bytes, from);
      if (buffers.hasFull || this.#tail.due) this.#step();
      return taken;
    } catch (error) {
      this.fail(error);
      return 0;
    }
  }

  /** Copies a whole small chunk, if the current buffer has room. */
  writeWhole(bytes: Uint8Array, length: number): boolean {
    return this.#phase.name === "open" && !this.#closeRequest &&
      this.#buffers.writeWhole(bytes, length);
  }

  /** Whether {@linkcode write} would take a byte. */
  get hasRoom(): boolean {
    return this.#phase.name === "open" && !this.#closeRequest && this.#buffers.hasRoom;
  }

  /** Resolves when {@linkcode write} would take a byte; rejects with the failure. */
  room(): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure.reason);
    if (this.#closeRequest) return Promise.reject(closedError("write"));
    if (this.hasRoom) return Promise.resolve();
    return (this.#room ??= Promise.withResolvers()).promise;
  }

  /** Whether {@linkcode writeMemory} may be called now: nothing partly filled, and a buffer to spare. */
  get takesMemory(): boolean {
    return this.hasRoom && this.#buffers.takesMemory;
  }

  /**
   * Writes memory that is handed over, without a copy. Its length must be a multiple of the block size, and
   * {@linkcode takesMemory} true. `release` is called when the kernel is done with it.
   */
  writeMemory(memory: Memory, length: number, release: () => void): void {
    assert(this.takesMemory, "memory is handed over when there is room for it");
    this.#buffers.writeMemory(memory, length, release);
    this.#step();
  }

  // ---- flush and sync ---------------------------------------------------------------------------------------------

  /** Waits for every full buffer, and with `tail` for the rest too. Resolves to the flushed position. */
  flush(tail: boolean): Promise<number> {
    return this.#wait(tail, false);
  }

  /**
   * As {@linkcode flush}, and makes it durable, with the file's name. Resolves to the flushed position as it was when the
   * sync of the file began.
   */
  sync(tail: boolean): Promise<number> {
    return this.#wait(tail, true);
  }

  /**
   * Blocks until everything accepted is in the file, and with `durable` is synced, until `deadline` at most
   * (`performance.now()`). Throws the failure.
   */
  flushNow(durable: boolean, deadline: number): void {
    if (this.#failure) throw this.#failure.reason;
    if (this.#phase.name === "opening") this.#openNow();
    const end = this.position;
    while (this.#queue.flushed < end) {
      this.#tail.want(end);
      if (this.#tail.due) this.#edges.readNow(end);
      this.#step();
      if (this.#queue.flushed < end) this.waitNow(deadline);
    }
    // A second sync beside one that fails would not be told of it.
    while (durable && this.file.isSyncing) this.waitNow(deadline);
    if (durable && !this.#isDurable) this.#syncNow();
  }

  #syncNow(): void {
    // The descriptor may be closed, and its number another file's.
    if (this.file.writer !== this) throw closedError("sync");
    try {
      this.file.syncNow();
    } catch (error) {
      // What was not written is thrown away: another sync would succeed and mean nothing.
      this.fail(error);
      throw error;
    }
  }

  /**
   * Blocks until the writer has come further: it knows where to start, or something in flight has ended. Throws the failure,
   * and where it takes until `deadline`.
   */
  waitNow(deadline: number): void {
    if (this.#failure) throw this.#failure.reason;
    if (this.#phase.name === "opening") return this.#openNow();
    this.#startWrites(true);
    const { engine, path } = this.file;
    const left = deadline - performance.now();
    if (left > 0 && engine.waitNow(Math.min(left, LONGEST_WAIT_MS))) return;
    if (left > LONGEST_WAIT_MS && engine.counters.inFlight > 0) return;
    // The failure of an operation may be why nothing is in flight any more.
    const { failure } = this;
    throw failure?.reason ??
      ioError(Errno.ETIMEDOUT, "write", path, "what was accepted is not in the file in time");
  }

  async #wait(tail: boolean, durable: boolean): Promise<number> {
    if (this.#phase.name === "opening") await this.#opened.promise;
    if (this.#failure) throw this.#failure.reason;
    // The descriptor may be closed, and its number another file's.
    const detached = this.file.writer !== this;
    if (detached && durable && !this.#isDurable) throw closedError("sync");
    if (tail) this.#tail.want(this.position);
    const waiting = this.#syncs.add(tail ? this.position : this.#buffers.fullEnd, durable);
    if (detached) this.#syncs.serve(this.#queue.flushed, true);
    else this.#step();
    return await waiting;
  }

  /** Whether everything that was done to the file is durable, with its name. */
  get #isDurable(): boolean {
    return !this.file.unsynced && !this.file.nameIsVolatile;
  }

  // ---- the end ----------------------------------------------------------------------------------------------------

  /**
   * Writes what is left, cuts the file to its exact length, makes it durable with its name, and closes it, or leaves it
   * open with `keepOpen`. After a failure frees everything and rejects with it.
   */
  async close(keepOpen = false): Promise<void> {
    if (!this.#closeRequest && !this.#failure) {
      this.#closeRequest = { keepOpen };
      this.#room?.reject(closedError("write"));
      this.#room = undefined;
      this.#step();
    }
    await this.ended;
    if (this.#failure) throw this.#failure.reason;
  }

  /**
   * Discards what is not whole: the file is cut to the flushed position and closed. A close that has begun is not
   * undone, and this resolves with it. Rejects if the file could not be cut.
   */
  async abort(reason: unknown): Promise<void> {
    if (!this.#closeRequest) this.fail(reason, true);
    await this.ended;
    if (this.#cutError) throw this.#cutError;
  }

  /** Announces a close that follows when the chunks before it are accepted. */
  announceClose(): void {
    this.#closeAnnounced = true;
  }

  /** Aborts because the file is closed. A close that has begun comes first. */
  async abortWriter(reason: unknown): Promise<void> {
    if (!this.#closeRequest && !this.#closeAnnounced) this.fail(reason);
    await this.ended;
  }

  /**
   * The first failure is final: rejects all waiters, and drops queued writes. Continuing past a failed write would
   * leave a hole.
   */
  fail(reason: unknown, aborted = false): void {
    if (this.#failure || this.#phase.name === "closed") return;
    this.#failure = { reason, aborted };
    this.#preallocator?.stop();
    this.#queue?.drop();
    this.#buffers?.drop();
    this.#syncs.rejectWaiting(reason);
    this.#room?.reject(reason);
    this.#room = undefined;
    const ending = [this.#cutAfterFailure, () => discardName(this.file), this.#leaveAfterFailure];
    this.#phase = { name: "failing", ending, done: 0 };
    this.#opened.resolve();
    this.#failed.resolve(this.#failure);
    this.#step();
  }

  readonly #cut = (): Promise<void> | undefined => {
    return exceedsContent(this.file) ? cutToContent(this.file) : undefined;
  };

  readonly #syncAtEnd = (): Promise<void> | undefined => {
    const wanted = this.#options.syncOnClose || this.file.publication !== undefined;
    return wanted && !this.#isDurable ? this.#syncAlone() : undefined;
  };

  /** An atomic file that stays open for more writers is published when it is closed. */
  readonly #publish = (): Promise<void> | undefined => {
    const { file } = this;
    const { publication, spoiled } = file;
    const staysOpen = !this.#options.closeFile && !this.#closeRequest!.keepOpen;
    if (!publication || staysOpen) return undefined;
    return spoiled ? Promise.reject(spoiled.error) : publish(file, publication);
  };

  readonly #leave = (): Promise<void> | undefined => {
    this.#detach();
    if (!this.#options.closeFile || this.#closeRequest!.keepOpen) return undefined;
    // The file is released, so a failure here is only reported.
    return closeFile(this.file).catch((reason) => {
      this.#failure = { reason, aborted: false };
      this.#failed.resolve(this.#failure);
    });
  };

  readonly #cutAfterFailure = (): Promise<void> | undefined => {
    // A writer that never opened has extended nothing, and does not know what others did.
    if (!this.#queue) return undefined;
    return this.#cut()?.catch((error) => this.#cutError = error);
  };

  readonly #leaveAfterFailure = (): Promise<void> | undefined => {
    this.#detach();
    return this.#options.closeFile || this.file.dropped ? giveUpFile(this.file) : undefined;
  };

  #detach(): void {
    assert(this.file.writer === this, "a writer leaves its file once");
    this.file.writer = undefined;
    this.file.descriptor.release();
  }

  // ---- the step ---------------------------------------------------------------------------------------------------

  /** Counts work as pending until it settles. Its failure is the writer's. */
  async #track(work: Promise<unknown>): Promise<void> {
    this.#pending++;
    try {
      await work;
      this.#pending--;
    } catch (error) {
      this.#pending--;
      this.fail(error);
    }
    this.#step();
  }

  /** Decides what comes next. Called after every change of the state. */
  #step(): void {
    if (this.#phase.name === "open" && this.#closeRequest) this.#phase = { name: "draining" };
    switch (this.#phase.name) {
      case "open":
      case "draining":
        this.#advance();
        if (this.#isDrained) this.#commit();
        break;
      case "committing":
      case "failing":
        this.#goOnEnding(this.#phase);
    }
  }

  /** Begins whatever can begin now. */
  #advance(): void {
    const draining = this.#phase.name === "draining";
    if (draining) this.#preallocator.stop();
    this.#queueFull();
    try {
      if (draining) this.#writeRest();
      else if (this.#tail.due) this.#writeTail();
    } catch (error) {
      // There is no memory.
      return this.fail(error);
    }
    this.#startWrites();
    if (this.#room && this.hasRoom) {
      this.#room.resolve();
      this.#room = undefined;
    }
    this.#syncIfDue();
  }

  #queueFull(): void {
    for (const request of this.#buffers.takeFull()) this.#queue.add(request);
  }

  get #isDrained(): boolean {
    return this.#phase.name === "draining" && this.#pending === 0 && this.#queue.idle &&
      !this.#buffers.isFilling;
  }

  #commit(): void {
    assert(this.#queue.flushed === this.position, "a writer that is drained has flushed all");
    const ending = [this.#cut, this.#syncAtEnd, this.#publish, this.#leave];
    this.#phase = { name: "committing", ending, done: 0 };
    this.#step();
  }

  /** Runs the next step of an ending, if nothing is under way. */
  #goOnEnding(phase: Phase & { name: "committing" | "failing" }): void {
    if (phase.name === "committing" && this.file.writer === this) this.#syncIfDue();
    while (this.#pending === 0 && phase.done < phase.ending.length) {
      const work = phase.ending[phase.done++]!();
      if (work) this.#track(work);
    }
    if (this.#pending > 0 || this.#phase !== phase) return;
    this.#phase = { name: this.#failure ? "failed" : "closed" };
    this.#ended.resolve();
  }

  // ---- writes -----------------------------------------------------------------------------------------------------

  /** Starts the writes that may start; with `now` also before a truncate that has not begun. */
  #startWrites(now = false): void {
    const { engine, length } = this.file;
    let started = false;
    for (;;) {
      if (now ? length.isHeld : length.truncating) return void this.#goOnAfterTruncate();
      const write = this.#queue.startNext();
      if (!write) break;
      this.#startWrite(write);
      started = true;
    }
    if (started) engine.flush();
  }

  #goOnAfterTruncate(): void {
    if (this.#waitingForTruncate || this.#queue.idle) return;
    this.#waitingForTruncate = true;
    this.file.length.whenWritable(() => {
      this.#waitingForTruncate = false;
      this.#step();
    });
  }

  #startWrite(write: StartedWrite): void {
    const { file } = this;
    const end = write.position + write.length;
    this.#edges.clearTruncated(write);
    file.length.beginWrite(end);
    this.#preallocate(end);
    const syncs = this.#maySync(write);
    const { changes } = file;
    this.#pending++;
    const complete = (result: number) => {
      // What else changed the file meanwhile it does not cover.
      const isSynced = syncs && result >= 0 && file.changes === changes;
      this.#endWrite(write, writing.error, result >= 0, isSynced);
    };
    const flags = syncs ? RWF_DSYNC : 0;
    const writing = new Transfer(file, "write", write, { complete }, flags);
    writing.start();
  }

  /**
   * Whether a write that begins is to be durable when it is over: one trip instead of two, where somebody waits for just
   * that, and nothing else is left to sync.
   */
  #maySync({ dataEnd }: StartedWrite): boolean {
    const { blockSize, fileSystem, wasSynced, unsynced, nameIsVolatile } = this.file;
    // Else padding is cut before each sync.
    const keepsPadding = this.#options.preallocate || blockSize === 1;
    return fileSystem.syncsWrites && keepsPadding && this.#pending === 0 && wasSynced &&
      !unsynced && !nameIsVolatile && this.#syncs.wantsDurable(dataEnd);
  }

  #endWrite(
    write: StartedWrite,
    error: DmaError | undefined,
    succeeded: boolean,
    isSynced: boolean,
  ): void {
    const { file } = this;
    this.#pending--;
    const { flushed } = this.#queue;
    this.#queue.end(write, succeeded);
    file.length.endWrite();
    file.changes++;
    if (isSynced) file.noteSync(file.changes);
    if (this.#queue.flushed > flushed) file.length.addContent(this.#queue.flushed);
    if (!succeeded) {
      limitBound(file);
      this.fail(error);
    }
    this.#step();
  }

  /** Moves the end of the file ahead of a write up to `written`, if that is due. */
  #preallocate(written: number): void {
    const { engine, fd, length } = this.file;
    const allocation = this.#preallocator.next(
      this.#queue.flushed,
      written,
      length.sizeUpperBound,
    );
    if (!allocation) return;
    length.beginWrite(allocation.position + allocation.length);
    this.#pending++;
    const complete = (result: number) => {
      this.#pending--;
      this.#preallocator.end(result);
      length.endWrite();
      this.file.changes++;
      this.#step();
    };
    engine.submit({ op: "allocate", fd, mode: 0, ...allocation }, { complete });
  }

  // ---- the tail ---------------------------------------------------------------------------------------------------

  /** Writes the partly filled buffer as it is now. Filling goes on. */
  #writeTail(): void {
    const end = this.position;
    if (this.#readPadding(end)) return;
    this.#tail.begin(end);
    this.#buffers.writeFullBlocks();
    this.#queueFull();
    const partial = this.#buffers.partialBlock;
    if (partial.length > 0) this.#writeCopy(partial, end);
  }

  /** The last block is written from a copy, so that filling can go on. It is written again with its buffer. */
  #writeCopy(partial: Uint8Array, end: number): void {
    const { engine, blockSize: length } = this.file;
    const memory = engine.acquire(length);
    memory.bytes.set(partial);
    memory.bytes.set(this.#edges.padding(end), partial.length);
    this.#tail.copied = true;
    const release = () => {
      engine.release(memory);
      this.#tail.copied = false;
    };
    const position = end - partial.length;
    this.#queue.add({ memory, offset: 0, length, position, dataEnd: end, release });
  }

  /** Writes the partly filled buffer, padded, for the last time. */
  #writeRest(): void {
    if (!this.#buffers.isFilling) return;
    const end = this.position;
    // A tail that a sync wrote in its present state need not be written again.
    const written = this.#tail.covers(end);
    if (!written && this.#readPadding(end)) return;
    this.#buffers.finish(this.#edges.padding(end), written);
    this.#queueFull();
  }

  /** Reads the bytes of the file behind `end` in its block. Returns whether the caller must wait. */
  #readPadding(end: number): boolean {
    const position = this.#edges.unread(end);
    if (position === undefined) return false;
    if (!this.#edges.reading) this.#track(this.#edges.read(position));
    return true;
  }

  truncated(length: number): void {
    this.#edges.truncated(length);
  }

  // ---- syncs ------------------------------------------------------------------------------------------------------

  /** Serves the waiters, and begins a sync if one is due. */
  #syncIfDue(): void {
    if (!this.#syncs.serve(this.#queue.flushed, this.#isDurable) || this.#syncing) return;
    this.#track(this.#syncAlone());
  }

  /** Syncs the file. With two syncs at once the first to end would serve waiters of the second. */
  async #syncAlone(): Promise<void> {
    assert(!this.#syncing, "one sync at a time");
    this.#syncing = true;
    try {
      // With preallocation off, padding is cut before each sync, so that no other program sees it for long.
      const cuts = !this.#options.preallocate && this.#queue.idle && exceedsContent(this.file);
      if (cuts) await cutToContent(this.file);
      if (!this.#failure) await this.#syncFile();
    } finally {
      this.#syncing = false;
    }
  }

  /** Makes the file durable, and its name beside it. */
  async #syncFile(): Promise<void> {
    const { file } = this;
    this.#syncs.begin(this.#queue.flushed);
    const synced = await Promise.allSettled([
      file.unsynced && file.sync(false),
      file.nameIsVolatile && file.syncName(),
    ]);
    const failed = synced.find((each) => each.status === "rejected");
    if (!failed) return this.#syncs.succeed();
    this.fail(failed.reason);
    this.#syncs.fail(this.#failure!.reason);
  }
}
