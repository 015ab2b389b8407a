// Write-behind: bytes are copied into aligned buffers, and full buffers are written while the next one fills.
// A state machine over an engine, with no stream in it.
//
// The way of a byte: `write` copies it into the current buffer; a full buffer becomes a piece; pieces wait in
// line for a place in flight; a piece that is whole on disk moves `flushedPosition` as soon as every piece
// before it is whole too.

import {
  type Block,
  type Completion,
  type Engine,
  type Memory,
  outcome,
} from "../engine/engine.ts";
import { type DmaError, Errno, ioError } from "../errors.ts";
import { EndOfFile } from "./end_of_file.ts";

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
  /** The length that the file keeps even where less is written. */
  keep: number;
  /** The length of the file on disk, at most. */
  size: number;
  /** A multiple of the alignment. */
  bufferSize: number;
  /** Writes in flight at most. */
  writeBehind: number;
  /** Move the end of file ahead of the writes. */
  preallocate: boolean;
  /** Bytes expected in all; 0 where nobody knows. */
  sizeHint: number;
  /** Whether something about the file is not durable yet. */
  unsynced: boolean;
}

/** A file's first buffer starts this small: most files never need a large one. */
const FIRST_BLOCK = 64 * 1024;

/** Continuations of one write that bring nothing before it counts as failed. */
const PATIENCE = 3;

/** The buffer that is being filled. */
interface Filling {
  block: Block;
  /** Where its first byte goes; aligned. */
  base: number;
  /** Bytes in it. */
  fill: number;
  /** Bytes of it that have been written or are being written, in whole blocks. */
  begun: number;
  /** Pieces of it that are not whole yet. While there are any, the block stays. */
  pieces: number;
  /** Nothing more is filled in: the block goes back with its last piece. */
  retired: boolean;
}

/** One contiguous write. */
class Piece implements Completion {
  whole = false;
  fruitless = 0;
  put = 0;
  constructor(
    readonly owner: WriteBehind,
    readonly memory: Memory,
    readonly offset: number,
    readonly length: number,
    readonly position: number,
    /** Where the bytes end that are meant to be there; what follows up to `length` is padding. */
    readonly dataEnd: number,
    readonly release: () => void,
  ) {}
  complete(result: number): void {
    this.owner.pieceCompleted(this, result);
  }
}

interface Waiter {
  /** Resolved when everything below is flushed. */
  target: number;
  /** Also made durable first. */
  durable: boolean;
  resolve: (position: number) => void;
  reject: (error: unknown) => void;
}

const ignore = () => {};

/** Writes a contiguous run of bytes behind the caller's back. */
export class WriteBehind {
  readonly #options: WriteBehindOptions;
  readonly #engine: Engine;
  readonly #endOfFile: EndOfFile;
  readonly #bufferSize: number;
  readonly #writeBehind: number;
  readonly #alignment: number;

  #filling: Filling | undefined;
  /** Where the current buffer starts, or would. */
  #base: number;
  /** Pieces not whole yet, and whole ones behind one that is not, by position. */
  readonly #line: Piece[] = [];
  /** Pieces waiting for a place in flight. */
  readonly #ready: Piece[] = [];
  #inFlight = 0;
  /** The end of the last piece that was put in flight. */
  #launchedEnd = 0;
  /** Buffers that exist: filling, waiting or in flight. */
  #buffers = 0;
  #first = true;

  #flushed: number;
  /** What the last sync made durable. */
  #synced: number;
  /** Something changed since the last sync began, besides what `flushed` tells. */
  #unsynced: boolean;
  #waiters: Waiter[] = [];
  #room: { resolve: () => void; reject: (error: unknown) => void } | undefined;
  /** Position up to which a partly filled buffer shall be written. */
  #tailTarget = -1;
  /** Position up to which it was written, padding and all. */
  #tailBegun = -1;
  /** An operation that must run alone (sync, truncate) is with the kernel. */
  #syncing = false;
  #cutting = false;
  #quiet: (() => void)[] = [];
  #ending = false;
  /** What stands in the file in the block of the last partly filled buffer that was padded. */
  #after: { block: number; bytes: Uint8Array } | undefined;
  #preserving = false;

  /** The first failure, or what it was aborted with. It is final. */
  error: unknown;
  #failure = false;
  /** Called once, with the first failure. */
  failed: (error: DmaError) => void = ignore;
  /** Most buffers that ever existed at once. */
  mostBuffers = 0;

  constructor(options: WriteBehindOptions) {
    const { engine, start, head } = options;
    this.#options = options;
    this.#engine = engine;
    this.#bufferSize = options.bufferSize;
    this.#writeBehind = options.writeBehind;
    this.#alignment = options.alignment;
    this.#base = start - head.length;
    this.#flushed = start;
    this.#synced = start;
    this.#unsynced = options.unsynced;
    this.#endOfFile = new EndOfFile({
      engine,
      fd: options.fd,
      size: options.size,
      ahead: options.preallocate,
      expectedEnd: options.sizeHint > 0 ? start + options.sizeHint : 0,
      settled: () => this.#advance(),
    });
    if (head.length > 0) {
      const filling = this.#startBuffer();
      filling.block.bytes.set(head);
      filling.fill = head.length;
    }
  }

  /** Bytes accepted so far, as a position. */
  get position(): number {
    return this.#filling ? this.#filling.base + this.#filling.fill : this.#base;
  }

  /** The end of the contiguous prefix that has reached the file. Never goes back. */
  get flushedPosition(): number {
    return this.#flushed;
  }

  /** Writes with the kernel. */
  get inFlight(): number {
    return this.#inFlight;
  }

  // ---- filling ------------------------------------------------------------------------------------------------

  /**
   * Copies what there is room for, from `from` on, and returns how much that was. Everything, unless all buffers
   * are full: then {@linkcode room} tells when to go on.
   */
  write(bytes: Uint8Array, from = 0): number {
    if (this.#failure || this.#ending) return 0;
    let filling = this.#filling;
    let at = from;
    while (at < bytes.length) {
      if (!filling) {
        if (this.#buffers > this.#writeBehind) break;
        filling = this.#startBuffer();
      }
      const room = Math.min(this.#bufferSize, filling.block.size) - filling.fill;
      if (room === 0) {
        if (!this.#grow(filling)) {
          this.#retire(filling);
          filling = undefined;
        }
        continue;
      }
      const length = Math.min(room, bytes.length - at);
      filling.block.bytes.set(
        at === 0 && length === bytes.length ? bytes : bytes.subarray(at, at + length),
        filling.fill,
      );
      filling.fill += length;
      at += length;
      if (filling.fill === this.#bufferSize) {
        this.#retire(filling);
        filling = undefined;
      }
    }
    return at - from;
  }

  /** Resolves when {@linkcode write} would take a byte; rejects with the failure. */
  room(): Promise<void> {
    if (this.#failure) return Promise.reject(this.error);
    if (this.#filling || this.#buffers <= this.#writeBehind) return Promise.resolve();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#room = { resolve, reject };
    return promise;
  }

  /**
   * Writes memory that is handed over, without a copy. Length and position must be aligned, and no buffer partly
   * filled. `release` is called when the kernel is done with it.
   */
  writeMemory(memory: Memory, offset: number, length: number, release: () => void): void {
    const position = this.#base;
    this.#base += length;
    this.#buffers++;
    this.#queue(
      new Piece(this, memory, offset, length, position, position + length, () => {
        this.#buffers--;
        release();
      }),
    );
  }

  /** Whether {@linkcode writeMemory} may be called now: nothing partly filled, and a buffer to spare. */
  get takesMemory(): boolean {
    return !this.#filling && this.#buffers <= this.#writeBehind && !this.#failure && !this.#ending;
  }

  /** Whether {@linkcode write} would take a byte now. */
  get hasRoom(): boolean {
    return this.#filling !== undefined || this.#buffers <= this.#writeBehind;
  }

  #startBuffer(): Filling {
    const size = this.#first ? Math.min(FIRST_BLOCK, this.#bufferSize) : this.#bufferSize;
    const block = this.#engine.acquire(size);
    this.#buffers++;
    this.mostBuffers = Math.max(this.mostBuffers, this.#buffers);
    return this.#filling = {
      block,
      base: this.#base,
      fill: 0,
      begun: 0,
      pieces: 0,
      retired: false,
    };
  }

  /** Replaces the small first block of a file by a whole one. False where the kernel still has a part of it. */
  #grow(filling: Filling): boolean {
    this.#first = false;
    if (filling.pieces > 0) return false;
    const block = this.#engine.acquire(this.#bufferSize);
    block.bytes.set(filling.block.bytes.subarray(filling.begun, filling.fill), filling.begun);
    this.#engine.release(filling.block);
    filling.block = block;
    return true;
  }

  /** The current buffer is full, or as full as it gets. */
  #retire(filling: Filling): void {
    this.#filling = undefined;
    this.#base = filling.base + filling.fill;
    filling.retired = true;
    const padded = this.#alignUp(filling.fill);
    if (filling.begun < filling.fill) this.#cutPiece(filling, filling.begun, padded);
    else this.#pieceLeft(filling);
  }

  /** Queues a part of a buffer, in place. */
  #cutPiece(filling: Filling, from: number, to: number): void {
    filling.pieces++;
    filling.begun = Math.min(to, filling.fill);
    const { block, base, fill } = filling;
    this.#queue(
      new Piece(this, block, from, to - from, base + from, base + Math.min(to, fill), () => {
        filling.pieces--;
        this.#pieceLeft(filling);
      }),
    );
  }

  #pieceLeft(filling: Filling): void {
    if (!filling.retired || filling.pieces > 0) return;
    this.#engine.release(filling.block);
    this.#buffers--;
  }

  #alignUp(value: number): number {
    return Math.ceil(value / this.#alignment) * this.#alignment;
  }

  // ---- writing ------------------------------------------------------------------------------------------------

  #queue(piece: Piece): void {
    this.#line.push(piece);
    this.#ready.push(piece);
    this.#launch();
  }

  /** Puts waiting pieces in flight, as far as there are places. */
  #launch(): void {
    let launched = false;
    while (this.#ready.length > 0 && this.#inFlight < this.#writeBehind && !this.#cutting) {
      const piece = this.#ready[0]!;
      if (piece.position < this.#launchedEnd && this.#overlapsFlight(piece)) break;
      this.#ready.shift();
      this.#launchedEnd = piece.position + piece.length;
      this.#endOfFile.beforeWrite(this.#launchedEnd);
      this.#inFlight++;
      this.#submitPiece(piece);
      launched = true;
    }
    if (launched) this.#engine.submit();
  }

  /** Never two writes in flight on one block: a tail that was written early is written again with its buffer. */
  #overlapsFlight(piece: Piece): boolean {
    return this.#line.some((other) =>
      other !== piece && !other.whole && !this.#ready.includes(other) &&
      other.position + other.length > piece.position &&
      other.position < piece.position + piece.length
    );
  }

  #submitPiece(piece: Piece): void {
    const { fd, direct } = this.#options;
    this.#engine.write(
      fd,
      piece.memory,
      piece.offset + piece.put,
      piece.length - piece.put,
      piece.position + piece.put,
      !direct,
      piece,
    );
  }

  /** The kernel is done with a piece, or with a part of it. */
  pieceCompleted(piece: Piece, result: number): void {
    if (result === -Errno.EINTR || result === -Errno.EAGAIN) {
      this.#submitPiece(piece);
      return;
    }
    if (result < 0) {
      this.#dropPiece(piece);
      this.#fail(ioError(-result, "write", this.#options.path));
      return;
    }
    this.#unsynced = true;
    const end = piece.put + result;
    if (end < piece.length && !this.#failure) {
      // Short: what is left is tried again, from the start of the block where it stopped.
      const put = end - end % this.#alignment;
      if (put === piece.put && ++piece.fruitless > PATIENCE) {
        this.#dropPiece(piece);
        const detail = `the write at ${piece.position + piece.put} stops after ${result} bytes`;
        this.#fail(ioError(Errno.EIO, "write", this.#options.path, detail));
        return;
      }
      piece.put = put;
      this.#submitPiece(piece);
      return;
    }
    piece.whole = end >= piece.length;
    this.#dropPiece(piece);
    const line = this.#line;
    while (line.length > 0 && line[0]!.whole) {
      this.#flushed = Math.max(this.#flushed, line.shift()!.dataEnd);
    }
    this.#advance();
  }

  #dropPiece(piece: Piece): void {
    this.#inFlight--;
    piece.release();
  }

  // ---- after every event ----------------------------------------------------------------------------------------

  /** Goes on with whatever can go on now. */
  #advance(): void {
    if (this.#failure) {
      this.#settle();
      return;
    }
    this.#launch();
    this.#writeTail();
    if (this.#room && (this.#filling || this.#buffers <= this.#writeBehind)) {
      const { resolve } = this.#room;
      this.#room = undefined;
      resolve();
    }
    this.#serveWaiters();
    this.#settle();
  }

  /** Tells those who wait for quiet, when nothing is with the kernel. */
  #settle(): void {
    if (this.#busy) return;
    const quiet = this.#quiet;
    this.#quiet = [];
    for (const resolve of quiet) resolve();
  }

  get #busy(): boolean {
    return this.#inFlight > 0 || this.#ready.length > 0 ||
      this.#endOfFile.busy || this.#syncing || this.#cutting || this.#preserving;
  }

  #whenQuiet(): Promise<void> {
    if (!this.#busy) return Promise.resolve();
    return new Promise((resolve) => this.#quiet.push(resolve));
  }

  #fail(error: DmaError): void {
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
    // What waits for a place is not written: nothing may follow a hole.
    for (const piece of this.#ready.splice(0)) piece.release();
    const waiters = this.#waiters;
    const room = this.#room;
    this.#waiters = [];
    this.#room = undefined;
    for (const { reject } of waiters) reject(reason);
    room?.reject(reason);
  }

  // ---- flush and sync -------------------------------------------------------------------------------------------

  /** Waits for every full buffer. Resolves to the flushed position. */
  flush(): Promise<number> {
    return this.#wait(this.#base, false);
  }

  /**
   * Waits for every full buffer, with `tail` also for the partly filled one, and makes them durable. Resolves to
   * the flushed position as it was when the sync of the file began.
   */
  sync(tail: boolean): Promise<number> {
    if (!tail) return this.#wait(this.#base, true);
    const target = this.position;
    this.#tailTarget = Math.max(this.#tailTarget, target);
    this.#writeTail();
    return this.#wait(target, true);
  }

  #wait(target: number, durable: boolean): Promise<number> {
    if (this.#failure) return Promise.reject(this.error);
    return new Promise((resolve, reject) => {
      // The head of an unaligned start is below the start, and there already.
      this.#waiters.push({ target, durable, resolve, reject });
      this.#serveWaiters();
      this.#engine.submit();
    });
  }

  /** Writes the partly filled buffer as it is now, where somebody waits for it. Filling it may go on. */
  #writeTail(): void {
    const filling = this.#filling;
    if (!filling || this.#failure || this.#ending || this.#tailTarget <= this.#tailBegun) return;
    const { block, base, fill } = filling;
    if (base + fill <= this.#tailBegun) return;
    if (this.#endangered >= 0) {
      if (!this.#preserving) this.#preserve().then(() => this.#advance());
      return;
    }
    this.#tailBegun = base + fill;
    // Whole blocks are written in place: nothing is filled in there any more.
    const blocks = fill - fill % this.#alignment;
    if (blocks > filling.begun) this.#cutPiece(filling, filling.begun, blocks);
    if (fill === blocks) return;
    // The last block is written from a copy, so that filling can go on. It is written again with its buffer.
    const copy = this.#engine.acquire(this.#alignment);
    copy.bytes.set(block.bytes.subarray(blocks, fill));
    this.#pad(copy.bytes, fill - blocks, base + fill);
    this.#queue(
      new Piece(this, copy, 0, this.#alignment, base + blocks, base + fill, () => {
        this.#engine.release(copy);
      }),
    );
  }

  // ---- bytes that stand after the end ---------------------------------------------------------------------------

  /**
   * The block that padding would reach into though the file has bytes there that are to stay; -1 where there is
   * none, or where those bytes are known.
   */
  get #endangered(): number {
    const filling = this.#filling;
    if (!filling) return -1;
    const end = filling.base + filling.fill;
    const block = end - end % this.#alignment;
    const safe = block === end || end >= this.#options.keep || this.#after?.block === block;
    return safe ? -1 : block;
  }

  /** Reads the block that is in danger. */
  async #preserve(): Promise<void> {
    const block = this.#endangered;
    if (block < 0) return;
    this.#preserving = true;
    const memory = this.#engine.acquire(this.#alignment);
    const { fd, path } = this.#options;
    const queued = outcome((done) => {
      this.#engine.read(fd, memory, 0, this.#alignment, block, done);
    });
    this.#engine.submit();
    const result = await queued;
    if (result >= 0) {
      memory.bytes.fill(0, result, this.#alignment);
      this.#after = { block, bytes: memory.bytes.slice(0, this.#alignment) };
    }
    this.#engine.release(memory);
    this.#preserving = false;
    if (result < 0) this.#fail(ioError(-result, "read", path));
    else this.#settle();
  }

  /** Fills the block in which `end` lies up, from `used` bytes of it on: with what stands there, or zeros. */
  #pad(bytes: Uint8Array, used: number, end: number): void {
    const padded = this.#alignUp(used);
    bytes.fill(0, used, padded);
    const inside = end % this.#alignment;
    if (this.#after?.block === end - inside && inside > 0) {
      bytes.set(this.#after.bytes.subarray(inside), used);
    }
  }

  /** Resolves waiters whose target is flushed, and starts the sync that others wait for. */
  #serveWaiters(): void {
    if (this.#waiters.length === 0) return;
    const flushed = this.#flushed;
    let wanted = false;
    this.#waiters = this.#waiters.filter((waiter) => {
      if (waiter.target > flushed) return true;
      if (!waiter.durable || (this.#synced >= flushed && !this.#unsynced)) {
        waiter.resolve(flushed);
        return false;
      }
      wanted = true;
      return true;
    });
    if (wanted && !this.#syncing) this.#startSync();
  }

  async #startSync(): Promise<void> {
    this.#syncing = true;
    if (!await this.#cutForSync()) return;
    // Those whose bytes are flushed now are served by this sync; whoever comes later needs another.
    const began = this.#flushed;
    const served = this.#waiters.filter((waiter) => waiter.target <= began);
    this.#waiters = this.#waiters.filter((waiter) => waiter.target > began);
    this.#unsynced = false;
    const queued = outcome((done) => this.#engine.sync(this.#options.fd, true, done));
    this.#engine.submit();
    const result = await queued;
    this.#syncing = false;
    if (result < 0) {
      // A failed sync has thrown away what it could not write; another would succeed and mean nothing.
      const error = ioError(-result, "sync", this.#options.path);
      for (const { reject } of served) reject(this.#failure ? this.error : error);
      this.#fail(error);
      return;
    }
    this.#synced = Math.max(this.#synced, began);
    for (const { resolve } of served) resolve(began);
    this.#advance();
  }

  /** Where no end of file may be seen ahead of the bytes, padding is cut before a sync. False after a failure. */
  async #cutForSync(): Promise<boolean> {
    const length = Math.max(this.#options.keep, this.#flushed);
    const exact = !this.#options.preallocate && this.#endOfFile.longest > length;
    if (!exact || this.#inFlight > 0 || this.#ready.length > 0) return true;
    const error = await this.#cut(length);
    if (!error) return true;
    this.#syncing = false;
    this.#fail(error);
    return false;
  }

  async #cut(length: number): Promise<DmaError | undefined> {
    this.#cutting = true;
    const queued = outcome((done) => this.#engine.truncate(this.#options.fd, length, done));
    this.#engine.submit();
    const result = await queued;
    this.#cutting = false;
    if (result < 0) return ioError(-result, "truncate", this.#options.path);
    this.#endOfFile.wasCut(length);
    this.#unsynced = true;
    this.#launch();
    return undefined;
  }

  // ---- the end ----------------------------------------------------------------------------------------------------

  /**
   * Writes what is left, cuts the file to its exact length, and with `durable` syncs it. Rejects with the failure.
   * Nothing can be written afterwards.
   */
  async finish(durable: boolean): Promise<void> {
    this.#endOfFile.stop();
    this.#ending = true;
    while (this.#preserving) await this.#whenQuiet();
    await this.#preserve();
    const filling = this.#filling;
    if (filling && !this.#failure) {
      const { block, base, fill } = filling;
      // A tail that a sync wrote as it is now is there already.
      if (this.#tailBegun === base + fill) filling.begun = fill;
      this.#pad(block.bytes, fill, base + fill);
      this.#retire(filling);
    }
    await this.#whenQuiet();
    const length = Math.max(this.#options.keep, this.#flushed);
    if (!this.#failure && this.#endOfFile.longest > length) {
      const error = await this.#cut(length);
      if (error) this.#fail(error);
    }
    if (this.#failure) throw this.error;
    if (durable) await this.#wait(this.#flushed, true);
  }

  /**
   * Gives up: waits for what the kernel has, cuts the file to what is whole, and frees the buffers. Resolves to the
   * failure of the cut, if it failed.
   */
  async abort(reason: unknown): Promise<DmaError | undefined> {
    this.#ending = true;
    if (!this.#failure) this.#giveUp(reason);
    const filling = this.#filling;
    this.#filling = undefined;
    if (filling) {
      filling.retired = true;
      this.#base = filling.base + filling.fill;
      this.#pieceLeft(filling);
    }
    await this.#whenQuiet();
    const length = Math.max(this.#options.keep, this.#flushed);
    return this.#endOfFile.longest > length ? await this.#cut(length) : undefined;
  }
}
