// A writer: bytes are accepted, written behind the caller, and made durable. It is in one phase at a time. After each
// completion step() decides, from the state as it is then, what comes next. It knows nothing of streams.

import { assert } from "../assert.ts";
import { afterCallers } from "../engine/event_loop.ts";
import { Errno } from "../engine/linux.ts";
import type { Memory } from "../engine/operation.ts";
import { ioError } from "../errors.ts";
import type { AttachedWriter, OpenFile } from "../file/open_file.ts";
import { stepsAfterFailure, stepsOfClose } from "./ending.ts";
import { Pending } from "./pending.ts";
import { StartSearch } from "./start_search.ts";
import { SyncQueue } from "./sync_queue.ts";
import { WriteBehind } from "./write_behind.ts";
import type { WriterOptions } from "./writer_options.ts";
import { closedError, type EndingPhase, WriterState } from "./writer_state.ts";

/** The longest single wait on the JavaScript thread: the event may have happened without a completion. */
const LONGEST_WAIT_MS = 1000;

/** Writes a contiguous run of bytes to a file. A file has one writer at a time. */
export class Writer extends WriterState implements AttachedWriter {
  readonly file: OpenFile;
  readonly #options: WriterOptions;
  readonly #pending: Pending = new Pending((error) => {
    if (error) this.fail(error);
    this.#step();
  });
  #announcedClose: { readonly keepOpen: boolean } | undefined;
  #stepsSoon = false;
  #room: PromiseWithResolvers<void> | undefined;

  /** The start before the file was asked. */
  readonly #expectedStart: number;
  /** There if the file must be asked. */
  #search: StartSearch | undefined;
  /** Created as soon as the start is known. */
  #writes!: WriteBehind;
  readonly #syncs: SyncQueue;
  #waitingForTruncate = false;

  constructor(file: OpenFile, options: WriterOptions) {
    super();
    this.file = file;
    this.#options = options;
    this.#syncs = new SyncQueue(file, options.preallocate);
    const { append, position } = options;
    this.#expectedStart = append ? file.length.contentEnd : position;
    file.descriptor.acquire("write");
    file.writer = this;
    // A file that this module created and nobody wrote to yet is known to be empty.
    // Another program may have appended to it, so an appending writer asks.
    const isEmpty = !append && file.ownsSize && file.length.sizeUpperBound === 0 && position === 0;
    if (isEmpty) this.#open(position);
    else {
      this.#pending.begin();
      this.#search = new StartSearch(file, options, (found) => this.#endSearch(found));
    }
  }

  /** Bytes accepted so far, as a position. */
  get position(): number {
    return this.#writes?.buffers.position ?? this.#expectedStart;
  }

  /** The end of the contiguous prefix that has reached the file. Never goes back. */
  get flushedPosition(): number {
    return this.#writes?.queue.flushed ?? this.#expectedStart;
  }

  #endSearch(found: number | Error | undefined): void {
    if (typeof found !== "number") return this.#pending.end(found);
    if (this.opening) this.#open(found);
    this.#pending.end();
  }

  #open(start: number): void {
    this.#writes = new WriteBehind(this.file, this.#options, start, this.#pending);
    this.toOpen();
  }

  // ---- filling ----------------------------------------------------------------------------------------------------

  /**
   * Copies what there is room for, from `from` on, and returns how much that was. If all buffers are full, {@linkcode
   * room} tells when to go on. If there is no memory, the writer fails.
   */
  write(bytes: Uint8Array, from = 0): number {
    if (!this.accepts) return 0;
    const writes = this.#writes;
    try {
      const taken = writes.buffers.write(bytes, from);
      if (writes.queue.canStart) this.#step();
      return taken;
    } catch (error) {
      this.fail(error);
      return 0;
    }
  }

  /** Copies a whole small chunk, if a buffer has room. If there is no memory, the writer fails. */
  writeWhole(bytes: Uint8Array, length: number): boolean {
    if (!this.accepts) return false;
    try {
      return this.#writes.buffers.writeWhole(bytes, length);
    } catch (error) {
      this.fail(error);
      return false;
    }
  }

  /** Whether {@linkcode write} would take a byte. */
  get hasRoom(): boolean {
    return this.accepts && this.#writes.buffers.hasRoom;
  }

  /** Resolves when {@linkcode write} may take a byte, and is to be called again if it does not; rejects with the failure. */
  async room(): Promise<void> {
    this.assertAccepts();
    if (!this.hasRoom) await (this.#room ??= Promise.withResolvers()).promise;
  }

  /** Whether {@linkcode writeMemory} may be called now: nothing partly filled, and a buffer to spare. */
  get takesMemory(): boolean {
    return this.accepts && this.#writes.buffers.takesMemory;
  }

  /**
   * Writes memory that is handed over, without a copy. Its length must be a multiple of the block size, and
   * {@linkcode takesMemory} true. `release` is called when the kernel is done with it.
   */
  writeMemory(memory: Memory, length: number, release: () => void): void {
    assert(this.takesMemory, "memory is handed over when there is room for it");
    this.#writes.buffers.writeMemory(memory, length, release);
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

  async #wait(tail: boolean, durable: boolean): Promise<number> {
    if (this.opening) await this.opening;
    this.throwFailure();
    const syncs = this.#syncs;
    // The descriptor may be closed, and its number another file's.
    if (this.#isDetached && durable && !syncs.isDurable) throw closedError("sync");
    const { buffers } = this.#writes;
    const waiting = syncs.add(tail ? buffers.position : buffers.queuedEnd, durable);
    if (this.#isDetached) syncs.serve(this.#writes.queue.flushed);
    else this.#stepSoon();
    return await waiting;
  }

  /** Goes on when all who call now have called: one write and one sync serve them all. */
  #stepSoon(): void {
    if (this.#stepsSoon) return;
    this.#stepsSoon = true;
    afterCallers(() => {
      this.#stepsSoon = false;
      if (this.#writes.isTailDue(this.#syncs.wantedEnd)) this.#writes.buffers.queueBuffer();
      this.#step();
    });
  }

  /**
   * Blocks until everything accepted is in the file, and with `durable` is synced, until `deadline` at most
   * (`performance.now()`). Throws the failure.
   */
  flushNow(durable: boolean, deadline: number): void {
    while (this.opening) this.waitNow(deadline);
    this.throwFailure();
    const writes = this.#writes;
    const end = this.position;
    while (writes.queue.written < end) {
      if (writes.isTailDue(end)) this.#writes.buffers.queueBuffer();
      this.#step();
      if (writes.queue.written < end) this.waitNow(deadline);
    }
    const syncs = durable || writes.queue.flushed < end;
    // A second sync beside one that fails would not be told of it.
    while (syncs && this.file.durability.isSyncing) this.waitNow(deadline);
    if (syncs && !this.#syncs.isDurable) this.#syncNow();
    if (syncs) writes.noteConfirmed();
  }

  #syncNow(): void {
    // The descriptor may be closed, and its number another file's.
    if (this.#isDetached) throw closedError("sync");
    try {
      this.file.syncNow();
    } catch (error) {
      // What was not written is thrown away: another sync would succeed and mean nothing.
      this.fail(error);
      throw error;
    }
  }

  /**
   * Blocks until the writer has made progress: it is open, or an operation has ended. Throws the failure, and a timeout at
   * `deadline`.
   */
  waitNow(deadline: number): void {
    this.throwFailure();
    if (this.opening) this.#search?.beginNow();
    else this.#startWrites(this.file.length.isHeld);
    const { engine, path } = this.file;
    const left = deadline - performance.now();
    if (left > 0 && engine.waitNow(Math.min(left, LONGEST_WAIT_MS))) return;
    if (left > LONGEST_WAIT_MS && engine.counters.inFlight > 0) return;
    // Nothing is in flight, perhaps because an operation has failed.
    const { failure } = this;
    throw failure?.reason ??
      ioError(Errno.ETIMEDOUT, "write", path, "what was accepted is not in the file in time");
  }

  // ---- the end ----------------------------------------------------------------------------------------------------

  /**
   * Writes what is left, cuts the file to its exact length, makes it durable with its name, and closes it, unless the
   * announcement says otherwise. After a failure frees everything and rejects with it.
   */
  async close(): Promise<void> {
    if (!this.closeBegun && !this.failure) {
      this.closeBegun = true;
      this.#step();
    }
    await this.closedOrFailed;
  }

  /**
   * Discards what is not whole: the file is cut to the flushed position and closed. A close that has begun is not
   * undone, and this resolves with it. Rejects if the file could not be cut.
   */
  async abort(reason: unknown): Promise<void> {
    if (!this.closeBegun) this.fail(reason, true);
    await this.ended;
    if (this.failure?.cutError) throw this.failure.cutError;
  }

  /** Announces a close that follows when the chunks before it are accepted. With `keepOpen` it leaves the file open. */
  announceClose(keepOpen = false): void {
    this.#announcedClose ??= { keepOpen };
  }

  /** Whether a close was announced. */
  get closeAnnounced(): boolean {
    return this.#announcedClose !== undefined;
  }

  /** Aborts because the file is closed. A close that has begun comes first. */
  async abortWriter(reason: unknown): Promise<void> {
    if (!this.closeBegun && !this.closeAnnounced) this.fail(reason);
    await this.ended;
  }

  /** The first failure is final: rejects all waiters, and drops what was accepted and not written. */
  fail(reason: unknown, aborted = false): void {
    if (this.failure || this.closed) return;
    const failure = { reason, aborted, cutError: undefined };
    // After the writer has left the file there is nothing to undo.
    const steps = this.#isDetached
      ? []
      : stepsAfterFailure(this.file, this.#options, this.#writes, failure);
    this.toFailing(failure, steps);
    this.#writes?.drop();
    this.#syncs.fail(reason);
    this.#search?.stop();
    this.#step();
  }

  /** Whether the writer has left its file. */
  get #isDetached(): boolean {
    return this.file.writer !== this;
  }

  // ---- the step ---------------------------------------------------------------------------------------------------

  /** Counts work as pending until it settles. Its failure is the writer's. */
  #track(work: Promise<unknown>): void {
    this.#pending.begin();
    work.then(() => this.#pending.end(), (error) => this.#pending.end(error));
  }

  /** Decides what comes next. Called after every change of the state. */
  #step(): void {
    if (this.phase.name === "open" && this.closeBegun) this.#drain();
    const { name } = this.phase;
    if (name === "open" || name === "draining") this.#advance();
    if (this.#room && (this.hasRoom || this.ending)) {
      this.#room.resolve();
      this.#room = undefined;
    }
    if (this.#isDrained) this.#commit();
    const { phase } = this;
    if (phase.name === "committing" || phase.name === "failing") this.#goOnEnding(phase);
  }

  #drain(): void {
    this.toDraining();
    const { file } = this;
    if (!this.#options.syncOnClose || !file.nameIsVolatile) return;
    // Beside the last writes. The step that needs it waits for it, and reports its failure.
    file.descriptor.use("sync", () => file.syncName()).catch(() => {});
  }

  /** Begins whatever can begin now. */
  #advance(): void {
    if (this.phase.name === "draining") {
      this.#writes.stopReserving();
      this.#writes.buffers.queueBuffer();
    } else if (this.#writes.isTailDue(this.#syncs.wantedEnd)) this.#stepSoon();
    const { flushed } = this.#writes.queue;
    const end = this.phase.name === "draining" ? this.position : Infinity;
    this.#writes.confirm(Math.min(this.#syncs.nextTarget(flushed), end));
    this.#startWrites(this.file.length.truncating);
    this.#syncIfDue();
  }

  get #isDrained(): boolean {
    return this.phase.name === "draining" && !this.#pending.any && this.#writes.queue.idle &&
      !this.#writes.buffers.isFilling;
  }

  #commit(): void {
    const writes = this.#writes;
    const keepOpen = this.#announcedClose?.keepOpen ?? false;
    assert(writes.queue.flushed === this.position, "a writer that is drained has flushed all");
    const steps = stepsOfClose(this.file, this.#options, keepOpen, this.#syncs, writes.queue);
    this.toCommitting(steps);
  }

  /** Runs the next step of an ending, if nothing is under way. */
  #goOnEnding({ name, steps }: EndingPhase): void {
    if (name === "committing" && !this.#isDetached) this.#syncIfDue();
    while (!this.#pending.any && steps.length > 0) {
      const work = steps.shift()!();
      if (work) this.#track(work);
    }
    if (!this.#pending.any) this.toEnd();
  }

  /** Starts the writes that may start. While the file is `held` for a truncate none may. */
  #startWrites(held: boolean): void {
    if (held) return this.#goOnAfterTruncate();
    this.#writes.startWrites(this.#pending.any ? Infinity : this.#syncs.durableFrom);
  }

  #goOnAfterTruncate(): void {
    if (this.#waitingForTruncate || this.#writes.queue.idle) return;
    this.#waitingForTruncate = true;
    this.file.length.whenWritable(() => {
      this.#waitingForTruncate = false;
      this.#step();
    });
  }

  /** Serves the waiters, and begins a sync if one is due. */
  #syncIfDue(): void {
    if (this.#syncs.serve(this.#writes.queue.flushed)) {
      this.#track(this.#syncs.run(this.#writes.queue));
    }
  }

  synced(): void {
    this.#writes?.noteConfirmed();
  }
}
