// Read-ahead: aligned buffers are read before anybody asks for them, and given out in the order of the file.
// A state machine over an engine, with no stream in it.
//
// Bytes are read into the pool and copied out. A read straight into memory of the consumer's own would save the
// copy and lose more than that: every chunk is fresh memory then, and the page faults for it cost more than the
// copy does into memory that the allocator has warm (measured: bench/FINDINGS.md).

import type { BufferBudget } from "../engine/buffer_budget.ts";
import { run } from "../engine/engine.ts";
import { Errno } from "../engine/linux.ts";
import type { Block, Completion } from "../engine/operation.ts";
import { ioError } from "../errors.ts";
import type { Handle } from "./handle.ts";
import { parseStat } from "./stat.ts";

/** What a {@linkcode ReadAhead} is made of. Every number has been checked. */
export interface ReadAheadOptions {
  handle: Handle;
  /** The first byte to give out. */
  start: number;
  /** The byte after the last one, at most. */
  end: number;
  /** A multiple of the alignment. */
  bufferSize: number;
  /** Buffers in flight or ready, besides the one that is being given out. 0: a read only when asked. */
  readAhead: number;
  /** What the buffers count against; undefined where their size and number were asked for. */
  budget?: BufferBudget | undefined;
}

/** Reads that bring nothing before an error is made of it. */
const PATIENCE = 3;

/** One buffer's read. */
class Read implements Completion {
  /** Bytes in it, from its start. */
  got = 0;
  /** The most that {@linkcode got} ever was: a read that was cut short inside a block starts again before it. */
  reached = 0;
  /** The kernel is done with it. */
  whole = false;
  /** The file ended in it. */
  last = false;
  fruitless = 0;
  error: unknown;
  /** Nobody wants it any more: its block goes back when the kernel is done. */
  unwanted = false;
  constructor(
    readonly owner: ReadAhead,
    readonly block: Block,
    readonly position: number,
    readonly length: number,
  ) {}
  complete(result: number): void {
    this.owner.readCompleted(this, result);
  }
}

/** A whole buffer, given away. */
export interface TakenBlock {
  readonly block: Block;
  /** Bytes in it, from its start. */
  readonly length: number;
}

/** Reads a range of a file ahead of its consumer. */
export class ReadAhead {
  readonly #handle: Handle;
  readonly #bufferSize: number;
  readonly #readAhead: number;
  readonly #budget: BufferBudget | undefined;
  readonly #end: number;
  #position: number;
  /** Where the next read starts; aligned. */
  #next: number;
  /** Reads in the order of the file. */
  readonly #line: Read[] = [];
  #inFlight = 0;
  /** Set when the file ended, or the consumer did: no further reads. */
  #over = false;
  #waiting: PromiseWithResolvers<void> | undefined;
  #quiet: PromiseWithResolvers<void> | undefined;
  /** Buffers that exist. */
  buffers = 0;
  /** Most buffers that ever existed at once. */
  mostBuffers = 0;

  constructor(options: ReadAheadOptions) {
    const { handle, start, end, bufferSize, readAhead, budget } = options;
    this.#handle = handle;
    this.#position = Math.min(start, end);
    this.#end = end;
    this.#bufferSize = bufferSize;
    this.#readAhead = readAhead;
    this.#budget = budget;
    this.#next = this.#position - this.#position % handle.alignment;
  }

  /** The next byte to be given out. */
  get position(): number {
    return this.#position;
  }

  /** Whether nothing is read ahead, so that a read may go straight to where the consumer wants it. */
  get idle(): boolean {
    return this.#line.length === 0 && !this.#over;
  }

  /** The byte after the last one to give out, at most. */
  get end(): number {
    return this.#end;
  }

  /** Bytes were read past this, from {@linkcode position} on, while it was {@linkcode idle}. */
  jump(bytes: number): void {
    this.#position += bytes;
    this.#next = this.#position - this.#position % this.#handle.alignment;
  }

  // ---- giving out -------------------------------------------------------------------------------------------------

  /**
   * Bytes that are there now, `most` at most, as a view of the pool that holds only until the next call; or null at
   * the end; or undefined where they are yet to come: {@linkcode ready} tells when. Throws the failure of the read
   * that the consumer has reached.
   */
  peek(most: number): Uint8Array<ArrayBuffer> | null | undefined {
    for (;;) {
      const read = this.#line[0];
      if (this.#position >= this.#end || (!read && this.#over)) return null;
      if (!read) {
        this.#fill(Math.max(1, this.#readAhead));
        return undefined;
      }
      if (!read.whole) return undefined;
      const from = this.#position - read.position;
      const to = Math.min(read.got, this.#end - read.position, from + most);
      if (to > from) return read.block.bytes.subarray(from, to);
      if (read.error) throw read.error;
      if (read.last) {
        this.#stop();
        return null;
      }
      this.#line.shift();
      this.#free(read);
    }
  }

  /** The first `count` bytes of what {@linkcode peek} showed were taken. */
  advance(count: number): void {
    this.#position += count;
    const read = this.#line[0];
    if (read && read.whole && !read.last && this.#position >= read.position + read.length) {
      this.#line.shift();
      this.#free(read);
    }
    this.#fillAhead();
  }

  /**
   * The next buffer, where it is there, full, a multiple of `alignment` long, and nothing of it was given out yet: it
   * is the caller's to release.
   */
  takeBlock(alignment: number): TakenBlock | undefined {
    const read = this.#line[0];
    if (!read?.whole || read.error || read.last || read.got < read.length) return undefined;
    const end = read.position + read.length;
    if (this.#position !== read.position || end > this.#end || read.length % alignment !== 0) {
      return undefined;
    }
    this.#line.shift();
    this.#leaveOut(read);
    this.#position = end;
    this.#fillAhead();
    return { block: read.block, length: read.length };
  }

  /** Resolves when {@linkcode peek} has something else to say. */
  ready(): Promise<void> {
    this.#fill(Math.max(1, this.#readAhead));
    const read = this.#line[0];
    const ended = this.#position >= this.#end || (!read && this.#over);
    if (ended || read?.whole) return Promise.resolve();
    // Without a read there is no room for one: after a skip the kernel may still have every buffer.
    return (this.#waiting ??= Promise.withResolvers()).promise;
  }

  /** Goes forward without reading; to the end of the range or of the file at most. */
  skip(bytes: number): void {
    const line = this.#line;
    if (this.#over && line.length === 0) return;
    const last = line.find((read) => read.last);
    // A read that brought nothing says only that the end is not behind it.
    const fileEnd = last?.got
      ? last.position + last.got
      : Math.min(this.#size(), last?.position ?? Infinity);
    const target = Math.min(
      this.#position + bytes,
      this.#end,
      Math.max(this.#position, fileEnd),
    );
    this.#position = target;
    while (line.length > 0 && line[0]!.position + line[0]!.length <= target) {
      const read = line.shift()!;
      // What cannot be read is no obstacle to who does not want it.
      if (read.error) this.#over = false;
      if (read.whole) this.#free(read);
      else read.unwanted = true;
    }
    const { alignment } = this.#handle;
    if (line.length === 0) this.#next = Math.max(this.#next, target - target % alignment);
    this.#wake();
  }

  /** The length of the file, as far as the kernel knows without asking anybody. */
  #size(): number {
    const { engine, fd, closed } = this.#handle;
    if (closed) return Infinity;
    const block = engine.acquire(4096);
    const size = engine.statNow(fd, block) < 0 ? Infinity : Number(parseStat(block.bytes).size);
    engine.release(block);
    return size;
  }

  // ---- reading ----------------------------------------------------------------------------------------------------

  /** Buffers besides the one that is being given out. */
  get #mostAhead(): number {
    return this.#budget?.crowded ? 0 : this.#readAhead;
  }

  /** Bytes that a buffer should have now. */
  get #wholeSize(): number {
    return this.#budget?.sizeNow(this.#bufferSize, this.#handle.alignment) ?? this.#bufferSize;
  }

  /** Starts reads that nobody waits for yet. Where there is no memory to be had, whoever waits for one is told. */
  #fillAhead(): void {
    try {
      this.#fill(this.#readAhead);
    } catch {
      // As said.
    }
  }

  /** Starts reads until `wanted` are in flight or ready. */
  #fill(wanted: number): void {
    const { engine, alignment } = this.#handle;
    let started = false;
    // A buffer that waits for its kernel after a skip still counts: memory is bounded whatever the consumer does.
    while (
      !this.#over && this.#line.length < wanted && this.buffers <= this.#mostAhead &&
      this.#next < this.#end
    ) {
      const position = this.#next;
      const left = Math.ceil((Math.min(this.#end, this.#knownEnd()) - position) / alignment) *
        alignment;
      // At or past what was the end: one block tells whether the file has grown, unless another read will.
      const before = this.#line.at(-1);
      if (left <= 0 && before && before.position + before.length > this.#knownEnd()) break;
      const length = Math.min(this.#wholeSize, Math.max(left, alignment));
      const read = new Read(this, engine.acquire(length), position, length);
      this.buffers++;
      this.#budget?.take(length);
      this.mostBuffers = Math.max(this.mostBuffers, this.buffers);
      this.#next += length;
      this.#line.push(read);
      this.#submit(read);
      started = true;
    }
    if (started) engine.flush();
  }

  #sizeSeen: number | undefined;
  #knownEnd(): number {
    return this.#sizeSeen ??= this.#size();
  }

  #submit(read: Read): void {
    try {
      this.#handle.enter("read");
    } catch (error) {
      this.#settle(read, error);
      return;
    }
    this.#inFlight++;
    this.#queue(read);
  }

  #queue(read: Read): void {
    const { engine, fd } = this.#handle;
    const { block, got, length, position } = read;
    engine.submit({
      op: "read",
      fd,
      memory: block,
      offset: got,
      length: length - got,
      position: position + got,
    }, read);
  }

  /** The kernel is done with a read, or with a part of it. */
  readCompleted(read: Read, result: number): void {
    if (read.unwanted) {
      this.#finish(read);
    } else if (result === -Errno.EINTR || result === -Errno.EAGAIN) {
      this.#queue(read);
    } else if (result < 0) {
      this.#finish(read, ioError(-result, "read", this.#handle.path));
    } else {
      read.got += result;
      if (read.got >= read.length) this.#finish(read);
      else this.#judgeShort(read).catch((error) => this.#finish(read, error));
    }
  }

  /** Short: the end of the file, or a file system that gives less than it has (FUSE does, even nothing). */
  async #judgeShort(read: Read): Promise<void> {
    const { engine, fd, path, alignment } = this.#handle;
    const block = engine.acquire(4096);
    const queued = run(engine, { op: "stat", fd, memory: block });
    engine.flush();
    const asked = await queued;
    const size = asked < 0 ? 0 : Number(parseStat(block.bytes).size);
    engine.release(block);
    const progress = read.got > read.reached;
    read.reached = Math.max(read.reached, read.got);
    if (read.unwanted) {
      this.#finish(read);
    } else if (asked < 0) {
      this.#finish(read, ioError(-asked, "stat", path));
    } else if (read.position + read.got >= size) {
      read.got = Math.max(0, Math.min(read.got, size - read.position));
      read.last = true;
      this.#finish(read);
    } else if (!progress && ++read.fruitless > PATIENCE) {
      const at = read.position + read.got;
      this.#finish(read, ioError(Errno.EIO, "read", path, `the read stops at ${at}`));
    } else {
      read.got -= read.got % alignment;
      this.#queue(read);
      engine.flush();
    }
  }

  /** The kernel has nothing of a read any more. */
  #finish(read: Read, error?: unknown): void {
    this.#inFlight--;
    this.#handle.leave();
    if (read.unwanted) {
      this.#free(read);
      this.#wake();
    } else {
      this.#settle(read, error);
    }
  }

  #settle(read: Read, error?: unknown): void {
    read.error = error;
    read.whole = true;
    // Reads behind the end or behind a failure are of no use.
    if (read.last || error) this.#over = true;
    // The file is longer than it was: how much?
    else if (read.position + read.length > this.#knownEnd()) this.#sizeSeen = undefined;
    this.#wake();
  }

  #free(read: Read): void {
    this.#handle.engine.release(read.block);
    this.#leaveOut(read);
  }

  #leaveOut({ length }: Read): void {
    this.buffers--;
    this.#budget?.giveBack(length);
  }

  #wake(): void {
    if (this.#line.length === 0 || this.#line[0]!.whole) {
      this.#waiting?.resolve();
      this.#waiting = undefined;
    }
    if (this.#inFlight === 0) {
      this.#quiet?.resolve();
      this.#quiet = undefined;
    }
  }

  /** No further reads; what was read ahead goes back, at once or when the kernel is done with it. */
  #stop(): void {
    this.#over = true;
    for (const read of this.#line.splice(0)) {
      if (read.whole) this.#free(read);
      else read.unwanted = true;
    }
    this.#wake();
  }

  /** Ends the reading. Resolves when the kernel has none of the buffers any more. */
  async cancel(): Promise<void> {
    this.#stop();
    if (this.#inFlight > 0) await (this.#quiet ??= Promise.withResolvers()).promise;
  }
}
