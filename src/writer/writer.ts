// A writer accepts bytes, writes them in the background, and makes them durable. It is in one phase at a time. After
// each completion step() reads the current state and decides what comes next. It does not depend on streams.

import { assert } from "../assert.ts";
import { afterCallers } from "../engine/event_loop.ts";
import { Errno } from "../engine/linux.ts";
import type { Memory } from "../engine/operation.ts";
import { closedStreamError, type DmaError, ioError } from "../errors.ts";
import type { AttachedSink, AttachedWriter, OpenFile } from "../file/open_file.ts";
import { reportAtEnd } from "../file/program_end.ts";
import { cutToContent } from "../file/space.ts";
import { type StatFacts, submitStat } from "../file/stat.ts";
import type { WriterOptions } from "../stream_options.ts";
import { Pending } from "./pending.ts";
import { SyncQueue } from "./sync_queue.ts";
import { WriteBuffers } from "./write_buffers.ts";
import { WriteQueue } from "./write_queue.ts";

/** A writer is opening until its start is known, and draining once a close has begun. */
type Phase = "opening" | "open" | "draining" | "committing" | "closed" | "failing" | "failed";

export class Writer implements AttachedWriter {
  #phase: Phase = "opening";
  /**
   * The rest of the ending, while the phase is committing or failing. Each step runs with nothing else in flight, and
   * reads the file's state when it runs. It returns undefined if there is nothing to wait for.
   */
  #steps: (() => Promise<unknown> | undefined)[] = [];
  hasOpened = false;
  /** Whether the stream closes, and accepts no further chunk. Those before may still wait. */
  closeAnnounced = false;
  /** Whether a close has begun: of the stream, or by the end of the program. No bytes are accepted after it. */
  #closeBegun = false;
  /** What happens to the file after a close. A sealed file is complete, and stays open. */
  #fate: "leave" | "seal" | "close";
  /** The first failure, or the reason of an abort. Every later call rejects with it. */
  failure: { readonly reason: unknown } | undefined;
  /** The failure of the cut to the flushed prefix. */
  #cutError: unknown;
  /** Notified of the first failure, within {@linkcode fail}. */
  sink: AttachedSink & { writerFailed(): void } | undefined;
  readonly #ended = Promise.withResolvers<void>();
  /** Resolves when the writer has released the file, however it ended. */
  readonly ended: Promise<void> = this.#ended.promise;
  #closedOrFailed: Promise<void> | undefined;
  readonly #pending: Pending = new Pending((error) => {
    if (error) this.fail(error);
    this.step();
  });
  #room: PromiseWithResolvers<void> | undefined;
  #stepScheduled = false;
  /** Ends the hold on the file's length while the writer opens. */
  #letOthersWrite: (() => void) | undefined;
  /** Replaced when the start is known, if that requires the file's size. */
  #queue: WriteQueue;
  #buffers: WriteBuffers;
  readonly #syncs: SyncQueue;

  constructor(readonly file: OpenFile, readonly options: WriterOptions) {
    this.#fate = options.closeFile ? "close" : "leave";
    this.#syncs = new SyncQueue(file, options.preallocate);
    const { append, position } = options;
    [this.#queue, this.#buffers] = this.#writeFrom(append ? file.length.contentEnd : position);
    file.descriptor.acquire("write");
    file.writer = this;
    // A new file without writes is empty. An appending writer reads the size, because another program may append.
    const isEmpty = !append && file.ownsSize && file.length.sizeUpperBound === 0 && position === 0;
    if (isEmpty) this.#noteOpen();
    // The size before the end of another write would be mistaken for the end of the content.
    else this.#letOthersWrite = file.changes.holdWrites((end) => this.#askSize(end), "open");
  }

  /** Reads the size. Until `letOthersWrite` nothing else writes to the file or truncates it. */
  #askSize(letOthersWrite: () => void): void {
    this.#pending.begin();
    submitStat(this.file.descriptor, (facts) => {
      this.#open(facts);
      letOthersWrite();
      this.#pending.end();
    });
  }

  #open(facts: StatFacts | DmaError): void {
    const { append, position } = this.options;
    const { changes, ownsSize } = this.file;
    if (facts instanceof Error) this.fail(facts);
    else if (this.#phase === "opening") {
      const start = append ? facts.size : position;
      // Reserved space before the start is content.
      changes.noteSize(facts.size, ownsSize ? start : facts.size);
      // Other programs may have written to the file without a sync.
      if (start > 0) this.file.durability.noteOthers();
      [this.#queue, this.#buffers] = this.#writeFrom(start);
      this.#noteOpen();
    }
  }

  #noteOpen(): void {
    this.#phase = "open";
    this.hasOpened = true;
  }

  #writeFrom(start: number): [WriteQueue, WriteBuffers] {
    const queue = new WriteQueue(this.file, this.options, start, this.#pending);
    return [queue, new WriteBuffers(this.file, this.options, queue, start)];
  }

  get position(): number {
    return this.#buffers.position;
  }

  get flushedPosition(): number {
    return this.#queue.flushed;
  }

  /** The same promise each time, because each reaction of {@linkcode ended} takes memory until the end. */
  get closedOrFailed(): Promise<void> {
    return this.#closedOrFailed ??= this.ended.then(() => this.#throwFailure());
  }

  get closed(): boolean {
    return this.#phase === "closed";
  }

  get ending(): boolean {
    return this.#closeBegun || this.failure !== undefined;
  }

  get isOver(): boolean {
    return this.closeAnnounced || this.ending;
  }

  get #isDetached(): boolean {
    return this.file.writer !== this;
  }

  #throwFailure(): void {
    if (this.failure) throw this.failure.reason;
  }

  /** The error of a call to a writer that is {@linkcode ending}. */
  get refusal(): unknown {
    return this.failure ? this.failure.reason : closedStreamError("write to", this.file);
  }

  /** As {@linkcode WriteBuffers.write}. Without memory the writer fails. */
  write(bytes: Uint8Array, from = 0): number {
    if (this.#phase !== "open") return 0;
    try {
      const taken = this.#buffers.write(bytes, from);
      if (this.#queue.canStart) this.step();
      return taken;
    } catch (error) {
      this.fail(error);
      return 0;
    }
  }

  writeWhole(bytes: Uint8Array, length: number): boolean {
    return this.#phase === "open" && this.#buffers.writeWhole(bytes, length);
  }

  get hasRoom(): boolean {
    return this.#phase === "open" && this.#buffers.hasRoom;
  }

  /** Resolves when {@linkcode write} may accept a byte. If it does not, wait again. */
  room(): Promise<void> {
    if (this.ending) return Promise.reject(this.refusal);
    if (this.hasRoom) return Promise.resolve();
    return (this.#room ??= Promise.withResolvers()).promise;
  }

  get takesMemory(): boolean {
    return this.#phase === "open" && this.#buffers.takesMemory;
  }

  writeMemory(memory: Memory, length: number, isPooled: boolean): void {
    assert(this.takesMemory, "memory is handed over when there is room for it");
    this.#buffers.writeMemory(memory, length, isPooled);
    this.step();
  }

  /** As `flushAligned` of a DmaStreamWriter, or as its `sync` if `durable` is set. */
  flush(tail: boolean, durable: boolean): Promise<number> {
    if (this.failure) return Promise.reject(this.failure.reason);
    if (durable && this.#isPastSync) return Promise.reject(closedStreamError("sync", this.file));
    // A writer that is opening has accepted nothing.
    const end = tail ? this.position : this.#buffers.queuedEnd;
    const served = this.#syncs.add(this.#phase === "opening" ? 0 : end, durable);
    if (this.#isDetached) this.#syncs.serve(this.flushedPosition);
    else this.#stepSoon();
    return served;
  }

  /** Whether it is too late for a sync: the descriptor may be closed, and its number may belong to another file. */
  get #isPastSync(): boolean {
    return this.#isDetached && !this.file.isDurable;
  }

  /** Calls step() after the current callers have run, so that one write and one sync serve all of them. */
  #stepSoon(): void {
    if (this.#stepScheduled) return;
    this.#stepScheduled = true;
    afterCallers(() => {
      this.#stepScheduled = false;
      if (this.#buffers.isTailDue(this.#syncs.wantedEnd)) this.#buffers.queueBuffer();
      this.step();
    });
  }

  /** Blocks until all accepted bytes are in the file, and with `durable` are synced. Throws as {@linkcode waitNow}. */
  flushNow(durable: boolean, deadline: number): void {
    while (this.#phase === "opening") this.waitNow(deadline);
    this.#throwFailure();
    const { file, position: end } = this;
    while (this.#queue.written < end) {
      if (this.#buffers.isTailDue(end)) this.#buffers.queueBuffer();
      this.waitNow(deadline);
    }
    if (!durable && this.#queue.flushed === end) return;
    // The kernel reports a failure only once, so a second sync must not run beside the first.
    while (file.durability.isSyncing) this.waitNow(deadline);
    if (this.#isPastSync) throw closedStreamError("sync", file);
    try {
      if (!file.isDurable) file.syncNow();
    } catch (error) {
      this.fail(error);
      throw error;
    }
    this.#queue.noteSync();
  }

  /** Blocks until the writer may have made progress. Throws the failure, and a timeout at `deadline` (`performance.now()`). */
  waitNow(deadline: number): void {
    this.#throwFailure();
    const { changes, engine, path } = this.file;
    if (this.#phase !== "opening") this.#startWrites(changes.isHeld);
    if (changes.waitNow(engine, deadline)) return;
    // Nothing is in flight, perhaps because an operation has failed.
    this.#throwFailure();
    const late = "the accepted bytes did not reach the file in time";
    throw ioError(Errno.ETIMEDOUT, "write", path, late);
  }

  /** Announces a close, which follows when the chunks before it are accepted. With `seals` the file stays open. */
  announceClose(seals = false): void {
    this.closeAnnounced = true;
    if (seals) this.#fate = "seal";
    // The opens of other writers let it write now.
    this.step();
  }

  /** Writes the rest, and ends as the options or {@linkcode announceClose} say. After a failure it rejects. */
  close(): Promise<void> {
    this.closeAnnounced = true;
    this.finish();
    return this.closedOrFailed;
  }

  /** As {@linkcode close}, at the end of the program, which does not close the stream. */
  finish(): void {
    if (this.ending) return;
    this.#closeBegun = true;
    this.step();
  }

  /** Discards unflushed bytes. A close that has begun is not undone. Rejects if the file could not be cut. */
  async abort(reason: unknown, isClosing: boolean = this.#closeBegun): Promise<void> {
    if (!isClosing) this.fail(reason, true);
    await this.ended;
    if (this.#cutError) throw this.#cutError;
  }

  /** As {@linkcode abort}, when the file is closed. A close that was announced comes first. */
  abortWriter(reason: unknown): Promise<void> {
    return this.abort(reason, this.isOver);
  }

  /**
   * The first failure is final: rejects all waiters, and drops the unwritten bytes. `isKnown` says that a caller has
   * aborted the writer or closed its file, so that the end of the program does not report it.
   */
  fail(reason: unknown, isKnown = false): void {
    if (this.failure || this.closed) return;
    this.failure = { reason };
    if (!isKnown) reportAtEnd(this.file, reason);
    this.#phase = "failing";
    // After the writer has left the file there is nothing to undo.
    if (!this.#isDetached) this.#undo();
    this.sink?.writerFailed();
    this.#queue.drop();
    this.#buffers.drop();
    this.#syncs.fail(reason);
    this.#letOthersWrite?.();
    this.step();
  }

  #undo(): void {
    const { file } = this;
    const confirm = () => this.#queue.confirmRest();
    const cut = () => cutToContent(file)?.catch((error) => this.#cutError = error);
    const leave = () => {
      file.detach();
      return this.options.closeFile || file.dropped ? file.close().catch(() => {}) : undefined;
    };
    // A writer that never opened has extended nothing.
    const cuts = this.hasOpened ? [confirm, cut] : [];
    this.#steps = [...cuts, () => file.naming.discard(), leave];
  }

  step(): void {
    if (this.#phase === "open" && this.#closeBegun) this.#phase = "draining";
    if (this.#phase === "open" || this.#phase === "draining") this.#advance();
    if (this.#room && (this.hasRoom || this.ending)) {
      this.#room.resolve();
      this.#room = undefined;
    }
    const isIdle = !this.#pending.any && this.#queue.size === 0;
    if (this.#phase === "draining" && isIdle) this.#commit();
    if (this.#phase === "committing" || this.#phase === "failing") this.#goOnEnding();
  }

  #advance(): void {
    const isDraining = this.#phase === "draining";
    if (isDraining) this.#buffers.queueBuffer();
    else if (this.#buffers.isTailDue(this.#syncs.wantedEnd)) this.#stepSoon();
    const awaited = this.#syncs.nextTarget(this.#queue.flushed);
    this.#queue.confirm(isDraining ? Math.min(awaited, this.position) : awaited);
    this.#startWrites(this.file.changes.hasHolds);
    this.#syncIfDue();
  }

  /** Starts the writes that may start: none while the file is `held` for a truncate. */
  #startWrites(held: boolean): void {
    if (!held) this.#queue.start(this.#syncs.durableFrom, this.#phase !== "open");
    else if (this.#queue.size > 0) this.file.changes.whenWritable(this);
  }

  #syncIfDue(): void {
    if (this.#syncs.serve(this.#queue.flushed)) this.#pending.track(this.#syncs.run(this.#queue));
  }

  #commit(): void {
    assert(this.flushedPosition === this.position, "a writer that is drained has flushed all");
    const { file } = this;
    const sync = () => {
      // A file without changes is closed without a sync.
      const isChanged = file.durability.unsynced || file.naming.isVolatile;
      return this.options.syncOnClose && isChanged ? this.#syncs.run(this.#queue) : undefined;
    };
    const leave = () => {
      if (this.#fate === "seal") file.sealed = true;
      file.detach();
      return this.#fate === "close" ? file.close() : undefined;
    };
    this.#phase = "committing";
    this.#steps = [
      () => cutToContent(file),
      sync,
      // An atomic file that stays open for more writers is published when it is closed.
      () => {
        if (this.#fate === "leave" || !file.naming.isUnpublished) return undefined;
        return file.publish(this.#fate === "close");
      },
      leave,
    ];
  }

  #goOnEnding(): void {
    if (this.#phase === "committing" && !this.#isDetached) this.#syncIfDue();
    while (!this.#pending.any && this.#steps.length > 0) {
      const work = this.#steps.shift()!();
      if (work) this.#pending.track(work);
    }
    if (this.#pending.any) return;
    this.#phase = this.failure ? "failed" : "closed";
    this.#ended.resolve();
  }
}
