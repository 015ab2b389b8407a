// Write-behind: bytes are copied into aligned buffers, and full buffers are written while the next one fills.
// A state machine over an engine, with no stream in it.
//
// The way of a byte: `write` copies it into the current buffer; a full buffer becomes a piece in the line; pieces
// wait there for a place in flight; a piece that is whole on disk moves `flushedPosition` as soon as every piece
// before it is whole too; a sync makes durable what is below it.
//
// Buffers, the line of writes, the end of file, padding and durability are files of their own. This one is long because
// it is where they meet: who may go on after an event, and in which order it all ends, can only be judged in one place.

import type { BufferBudget } from "../engine/buffer_budget.ts";
import { type Engine, run } from "../engine/engine.ts";
import type { Block, Memory } from "../engine/operation.ts";
import { type DmaError, ioError } from "../errors.ts";
import { Durability } from "./durability.ts";
import { EndOfFile } from "./end_of_file.ts";
import { Padding } from "./padding.ts";
import { parseStat } from "./stat.ts";
import { WriteBuffers } from "./write_buffers.ts";
import { type Piece, WriteLine } from "./write_line.ts";

/** What a {@linkcode WriteBehind} is made of. Every number has been checked. */
export interface WriteBehindOptions {
  engine: Engine;
  fd: number;
  /** For messages. */
  path: string;
  /** Positions and lengths of writes are multiples of it. */
  alignment: number;
  /** Whether writes go past the page cache. */
  direct: boolean;
  /** Where the first byte goes. */
  start: number;
  /** What stands in the block of `start` before it; empty where `start` is aligned. */
  head: Uint8Array;
  /** The length that the file keeps even where less is written. May grow meanwhile. */
  readonly keep: number;
  /** The length of the file on disk, at most. */
  size: number;
  /** How long others of this file's handle made it since. */
  readonly reach?: number;
  /** How often others of this file's handle changed it. */
  readonly changes?: number;
  /** Runs what may cut the file, so that others do not write to it meanwhile. */
  cutting?: <T>(work: () => Promise<T>) => Promise<T>;
  /** A multiple of the alignment. */
  bufferSize: number;
  /** Writes in flight at most. */
  writeBehind: number;
  /** What the buffers count against. Without one there are always as many as were asked for. */
  budget?: BufferBudget | undefined;
  /** Move the end of file ahead of the writes. */
  preallocate: boolean;
  /** Only as far as was hinted: on this file system steps gain nothing. */
  extendsFreely?: boolean;
  /** Bytes expected in all; 0 where nobody knows. */
  sizeHint: number;
  /** Whether something about the file is not durable yet. */
  unsynced: boolean;
}

const ignore = () => {};

function closed(op: string): TypeError {
  return new TypeError(`Cannot ${op} a stream that is closed`);
}

/** Writes a contiguous run of bytes behind the caller's back. */
export class WriteBehind {
  readonly #options: WriteBehindOptions;
  readonly #engine: Engine;
  readonly #endOfFile: EndOfFile;
  readonly #line: WriteLine;
  readonly #padding: Padding;
  readonly #durability: Durability;
  readonly #buffers: WriteBuffers;
  readonly #alignment: number;

  #room: PromiseWithResolvers<void> | undefined;

  /** Position up to which a partly filled buffer shall be written. */
  #tailTarget = -1;
  /** Position up to which it was written, padding and all. */
  #tailBegun: number;
  /** The copy of a last block is on its way. */
  #tailCopied = false;

  #quiet: (() => void)[] = [];
  #ending = false;
  /** The last sync is with the kernel. */
  #syncing = false;
  #finished = false;
  #aborted: Promise<DmaError | undefined> | undefined;

  /** The first failure, or what it was aborted with. It is final. */
  error: unknown;
  #failure = false;
  /** Called once, with the first failure. */
  failed: (error: unknown) => void = ignore;

  constructor(options: WriteBehindOptions) {
    const { engine, fd, path, alignment, start, head } = options;
    this.#options = options;
    this.#engine = engine;
    this.#alignment = alignment;
    this.#tailBegun = start;
    this.#endOfFile = new EndOfFile({
      engine,
      fd,
      path,
      size: options.size,
      start,
      ahead: options.preallocate && (options.sizeHint > 0 || !options.extendsFreely),
      expectedEnd: options.sizeHint > 0 ? start + options.sizeHint : 0,
      settled: () => this.#advance(),
    });
    this.#line = new WriteLine({
      engine,
      fd,
      path,
      alignment,
      direct: options.direct,
      writeBehind: options.writeBehind,
      start,
      endOfFile: this.#endOfFile,
      progressed: () => this.#advance(),
      failed: (error) => this.#fail(error),
    });
    this.#padding = new Padding({ engine, fd, path, alignment, keep: () => options.keep });
    this.#durability = new Durability({
      engine,
      fd,
      path,
      line: this.#line,
      unsynced: options.unsynced,
      others: () => options.changes ?? 0,
      prepare: () => this.#cutPadding(),
      settled: () => this.#advance(),
      failed: (error) => {
        this.#fail(error);
        return this.error;
      },
    });
    this.#buffers = new WriteBuffers({
      engine,
      line: this.#line,
      alignment,
      bufferSize: options.bufferSize,
      writeBehind: options.writeBehind,
      budget: options.budget,
      base: start - head.length,
    });
    if (head.length > 0) {
      const filling = this.#buffers.start();
      filling.bytes.set(head);
      filling.fill = head.length;
    }
  }

  /** Bytes accepted so far, as a position. */
  get position(): number {
    return this.#buffers.position;
  }

  /** Whether nothing is accepted any more. */
  get #over(): boolean {
    return this.#failure || this.#ending;
  }

  /** The end of the contiguous prefix that has reached the file. Never goes back. */
  get flushedPosition(): number {
    return this.#line.flushed;
  }

  /** The file is no longer than this on disk. */
  get longest(): number {
    return this.#endOfFile.longest;
  }

  /** Most buffers that ever existed at once. */
  get mostBuffers(): number {
    return this.#buffers.most;
  }

  /** Writes with the kernel. */
  get inFlight(): number {
    return this.#line.inFlight;
  }

  // ---- filling ------------------------------------------------------------------------------------------------

  /**
   * Copies what there is room for, from `from` on, and returns how much that was. Everything, unless all buffers
   * are full: then {@linkcode room} tells when to go on. Where there is no memory to be had, that is the failure.
   */
  write(bytes: Uint8Array, from = 0): number {
    if (this.#over) return 0;
    try {
      return this.#buffers.write(bytes, from);
    } catch (error) {
      this.#fail(error);
      return 0;
    }
  }

  /** Whether {@linkcode write} would take a byte. */
  get hasRoom(): boolean {
    return this.#buffers.hasRoom && !this.#over;
  }

  /** Resolves when {@linkcode write} would take a byte; rejects with the failure. */
  room(): Promise<void> {
    if (this.#failure) return Promise.reject(this.error);
    if (this.#ending) return Promise.reject(closed("write"));
    if (this.hasRoom) return Promise.resolve();
    this.#room ??= Promise.withResolvers<void>();
    return this.#room.promise;
  }

  /** Whether {@linkcode writeMemory} may be called now: nothing partly filled, and a buffer to spare. */
  get takesMemory(): boolean {
    return this.#buffers.takesMemory && !this.#over;
  }

  /**
   * Writes memory that is handed over, without a copy. Length and position must be aligned, and
   * {@linkcode takesMemory} true. `release` is called when the kernel is done with it, or where nothing is accepted
   * any more.
   */
  writeMemory(memory: Memory, offset: number, length: number, release: () => void): void {
    if (this.#over) release();
    else this.#buffers.writeMemory(memory, offset, length, release);
  }

  // ---- after every event ----------------------------------------------------------------------------------------

  /** Goes on with whatever can go on now. */
  #advance(): void {
    if (!this.#failure) {
      this.#line.launch();
      this.#writeTail();
      if (this.#room && this.hasRoom) {
        this.#room.resolve();
        this.#room = undefined;
      }
      this.#durability.serve();
    }
    this.#settle();
  }

  /** Tells those who wait for quiet, when nothing is with the kernel. */
  #settle(): void {
    if (this.#busy) return;
    for (const resolve of this.#quiet.splice(0)) resolve();
  }

  /** Whether something is with the kernel, or will be without any further call. */
  get #busy(): boolean {
    return !this.#line.idle || this.#endOfFile.busy || this.#durability.busy ||
      this.#padding.reading || this.#syncing;
  }

  /** Resolves when nothing was busy; something may be again when the caller gets to know of it. */
  #nextQuiet(): Promise<void> {
    return new Promise((resolve) => this.#quiet.push(resolve));
  }

  #fail(error: unknown): void {
    if (!this.#failure) {
      this.#giveUp(error);
      this.failed(error);
    }
    this.#settle();
  }

  /** From here on nothing is begun any more, and whoever waits is told why. */
  #giveUp(reason: unknown): void {
    this.#failure = true;
    this.error = reason;
    this.#endOfFile.stop();
    this.#line.stop();
    this.#durability.stop(reason);
    this.#dismissRoom(reason);
  }

  #dismissRoom(reason: unknown): void {
    this.#room?.reject(reason);
    this.#room = undefined;
  }

  // ---- flush and sync -------------------------------------------------------------------------------------------

  /** Waits for every full buffer. Resolves to the flushed position. */
  flush(): Promise<number> {
    return this.#wait(this.#buffers.base, false);
  }

  /**
   * Waits for every full buffer, with `tail` also for the partly filled one, and makes them durable. Resolves to
   * the flushed position as it was when the sync of the file began.
   */
  sync(tail: boolean): Promise<number> {
    if (!tail) return this.#wait(this.#buffers.base, true);
    const target = this.position;
    this.#tailTarget = Math.max(this.#tailTarget, target);
    this.#writeTail();
    return this.#wait(target, true);
  }

  #wait(target: number, durable: boolean): Promise<number> {
    if (this.#failure) return Promise.reject(this.error);
    // The descriptor may be closed, and its number another file's.
    if (this.#finished && durable && !this.#durability.whole) return Promise.reject(closed("sync"));
    return this.#durability.wait(target, durable);
  }

  /** Writes the partly filled buffer as it is now, where somebody waits for it. Filling it may go on. */
  #writeTail(): void {
    const { filling } = this.#buffers;
    if (!filling || this.#over || this.#tailTarget <= this.#tailBegun) return;
    // One after the other: they would have to wait for each other all the same, each with a copy.
    if (this.#tailCopied) return;
    const { bytes, fill, end } = filling;
    if (this.#padding.lacks(end)) {
      if (!this.#padding.reading) this.#readPadding(end).then(() => this.#advance());
      return;
    }
    this.#tailBegun = end;
    // Whole blocks are written in place: nothing is filled in there any more.
    const alignment = this.#alignment;
    const blocks = fill - fill % alignment;
    if (blocks > filling.begun) this.#line.queue(filling.part(blocks));
    if (blocks === fill) return;
    try {
      this.#line.queue(this.#copyTail(bytes.subarray(blocks, fill), end));
    } catch (error) {
      // There is no memory to be had.
      this.#fail(error);
    }
  }

  /** The last block goes from a copy, so that filling can go on. It is written again with its buffer. */
  #copyTail(bytes: Uint8Array, end: number): Piece {
    const copy = this.#engine.acquire(this.#alignment);
    copy.bytes.set(bytes);
    this.#padding.apply(copy.bytes, bytes.length, end);
    this.#tailCopied = true;
    return {
      memory: copy,
      offset: 0,
      length: this.#alignment,
      position: end - bytes.length,
      dataEnd: end,
      release: () => {
        this.#engine.release(copy);
        this.#tailCopied = false;
      },
    };
  }

  async #readPadding(end: number): Promise<void> {
    const error = await this.#padding.read(end).catch((error) => error);
    if (error) this.#fail(error);
    else this.#settle();
  }

  /** Where no end of file may be seen ahead of the bytes, padding is cut before a sync. False after a failure. */
  async #cutPadding(): Promise<boolean> {
    if (!this.#options.preallocate && this.#line.idle) await this.#cut();
    return !this.#failure;
  }

  // ---- the end ----------------------------------------------------------------------------------------------------

  /** How long the file is to be when the bytes below `flushed` are in it. */
  #lengthWith(flushed: number): number {
    const { start, size, keep } = this.#options;
    // Where nothing was written, a start past the end must not make the file longer.
    return Math.max(keep, flushed > start ? flushed : Math.min(start, size));
  }

  /**
   * Whether this handle may have made the file longer than `length`. A file that is longer than it ever made it
   * has bytes of another one behind the end: those are not cut off.
   */
  #isTooLong(length: number): boolean {
    const own = this.#endOfFile.longest;
    const longest = Math.max(own, this.#options.reach ?? 0);
    if (longest <= length) return false;
    const size = this.#sizeNow();
    if (size === undefined) return own > length;
    // A file that was truncated to less must not be made longer again.
    return size <= longest && size > length;
  }

  #cutting<T>(work: () => Promise<T>): Promise<T> {
    return this.#options.cutting?.(work) ?? work();
  }

  /** The length of the file; undefined where it cannot be asked for. */
  #sizeNow(): number | undefined {
    let block: Block | undefined;
    try {
      block = this.#engine.acquire(4096);
      const failed = this.#engine.statNow(this.#options.fd, block) < 0;
      return failed ? undefined : Number(parseStat(block.bytes).size);
    } catch {
      // Without memory for the answer the file must still come to its end.
      return undefined;
    } finally {
      if (block) this.#engine.release(block);
    }
  }

  /** Cuts the file to what is flushed, where it may be longer. Nothing is written meanwhile. */
  async #cut(): Promise<DmaError | undefined> {
    const length = this.#lengthWith(this.#line.flushed);
    if (this.#finished || !this.#isTooLong(length)) return undefined;
    this.#line.hold();
    const error = await this.#cutting(() => this.#endOfFile.cut(length));
    if (error) {
      this.#fail(error);
      return error;
    }
    this.#line.changes++;
    this.#line.letGo();
    this.#settle();
    return undefined;
  }

  /**
   * Writes what is left, cuts the file to its exact length, and with `durable` syncs it. Rejects with the failure. Nothing
   * can be written afterwards.
   */
  async finish(durable: boolean): Promise<void> {
    this.#endOfFile.stop();
    this.#ending = true;
    if (this.#room) this.#dismissRoom(closed("write"));
    await this.#writeRest();
    while (this.#busy) await this.#nextQuiet();
    if (!this.#failure) await this.#cut();
    while (this.#busy) await this.#nextQuiet();
    if (!this.#failure && durable && !this.#durability.wholeWithOthers) await this.#syncLast();
    while (this.#busy) await this.#nextQuiet();
    if (this.#failure) throw this.error;
    this.#finished = true;
  }

  /** The sync that comes after the cut. */
  async #syncLast(): Promise<void> {
    const { fd, path } = this.#options;
    this.#syncing = true;
    const queued = run(this.#engine, { op: "sync", fd, dataOnly: true });
    this.#engine.flush();
    const result = await queued;
    this.#syncing = false;
    if (result < 0) this.#fail(ioError(-result, "sync", path));
    else this.#durability.noteSync();
    this.#advance();
  }

  /** Writes the partly filled buffer, padded. */
  async #writeRest(): Promise<void> {
    const end = this.position;
    // A tail that a sync wrote as it is now is there already.
    const written = this.#tailBegun === end;
    while (!written && !this.#failure && this.#padding.lacks(end)) {
      if (this.#padding.reading) await this.#nextQuiet();
      else await this.#readPadding(end);
    }
    const { filling } = this.#buffers;
    if (!filling || this.#failure) return;
    if (written) filling.begun = filling.fill;
    else this.#padding.apply(filling.bytes, filling.fill, end);
    this.#buffers.retire(filling);
  }

  /**
   * Gives up: waits for what the kernel has, cuts the file to what is whole, and frees the buffers. Resolves to the
   * failure of the cut, if it failed.
   */
  abort(reason: unknown): Promise<DmaError | undefined> {
    return this.#aborted ??= this.#abort(reason);
  }

  async #abort(reason: unknown): Promise<DmaError | undefined> {
    if (this.#finished) return undefined;
    this.#ending = true;
    if (!this.#failure) this.#giveUp(reason);
    this.#buffers.drop();
    while (this.#busy) await this.#nextQuiet();
    return await this.#cut();
  }
}
