// Read-ahead: buffers are read before the consumer asks for them, and delivered in the order of the file. It knows
// nothing of streams.
//
// Bytes are read into the pool and copied out. A read straight into the consumer's memory would save the copy and lose
// more: each chunk would be fresh memory, whose page faults cost more than the copy into warm memory (measured:
// bench/FINDINGS.md).

import { alignDown, alignUp } from "../align.ts";
import { assert } from "../assert.ts";
import { type BufferBudget, UNLIMITED } from "../engine/buffer_budget.ts";
import type { Block } from "../engine/operation.ts";
import type { OpenFile } from "../file/open_file.ts";
import { knownSize } from "../file/stat.ts";
import { Transfer } from "../file/transfer.ts";
import type { ReaderOptions } from "./reader_options.ts";

/** One buffer, and the result of its read. */
interface Read {
  readonly block: Block;
  readonly position: number;
  readonly length: number;
  /** Bytes in it, from its start. */
  bytesRead: number;
  ended: boolean;
  /** The file ended in it. */
  last: boolean;
  error: unknown;
  /** No longer wanted: its block is released when the kernel is done. */
  unwanted: boolean;
}

/** Reads a range of a file ahead of its consumer. */
export class ReadAhead {
  readonly #file: OpenFile;
  readonly #bufferSize: number;
  readonly #readAhead: number;
  /** The shared budget of the buffers, unless their size or number was set. */
  readonly #budget: BufferBudget;
  readonly #end: number;
  #position: number;
  /** Where the next read starts; aligned. */
  #next: number;
  /** Reads in the order of the file. */
  readonly #queue: Read[] = [];
  #inFlight = 0;
  /** The file or the consumer ended: no further reads. */
  #over = false;
  #ready: PromiseWithResolvers<void> | undefined;
  #idle: PromiseWithResolvers<void> | undefined;
  #buffers = 0;
  /** The length of the file at the last stat. */
  #knownSize: number | undefined;

  constructor(file: OpenFile, options: Omit<ReaderOptions, "closeFile">) {
    const { start, end, bufferSize, readAhead, sharesMemory } = options;
    this.#file = file;
    this.#position = Math.min(start, end);
    this.#end = end;
    this.#bufferSize = bufferSize;
    this.#readAhead = readAhead;
    this.#budget = sharesMemory ? file.engine.budget : UNLIMITED;
    this.#next = alignDown(this.#position, file.alignment);
  }

  /** The next byte to be delivered. */
  get position(): number {
    return this.#position;
  }

  /** The byte after the last one to deliver, at most. */
  get end(): number {
    return this.#end;
  }

  /** Buffers that exist. */
  get buffers(): number {
    return this.#buffers;
  }

  /** Whether nothing is read ahead, so that a read may go straight into the consumer's memory. */
  get idle(): boolean {
    return this.#queue.length === 0 && !this.#over;
  }

  /** Counts bytes that were read directly, from {@linkcode position} on, while it was {@linkcode idle}. */
  jump(bytes: number): void {
    this.#position += bytes;
    this.#next = alignDown(this.#position, this.#file.alignment);
  }

  // ---- delivery ---------------------------------------------------------------------------------------------------

  /**
   * Bytes that are ready, at most `most`, as a view of the pool that is valid until the next call. Null at the end;
   * undefined if none are ready: {@linkcode ready} tells when. Throws the failure of the read that the consumer has
   * reached.
   */
  peek(most: number): Uint8Array<ArrayBuffer> | null | undefined {
    if (this.#position >= this.#end) return null;
    if (!this.#queue[0]?.ended) this.#fill(Math.max(1, this.#readAhead));
    const read = this.#queue[0];
    if (!read && this.#over) return null;
    if (!read?.ended) return undefined;
    const from = this.#position - read.position;
    const to = Math.min(read.bytesRead, this.#end - read.position, from + most);
    if (to > from) return read.block.bytes.subarray(from, to);
    if (read.error) throw read.error;
    assert(read.last, "a read that was delivered whole is gone");
    this.#stop();
    return null;
  }

  /** Consumes the first `count` bytes that {@linkcode peek} returned. */
  advance(count: number): void {
    this.#position += count;
    const read = this.#queue[0];
    if (read?.ended && !read.last && this.#position >= read.position + read.length) {
      this.#queue.shift();
      this.#free(read);
    }
    this.#fillAhead();
  }

  /**
   * The next buffer, if it is ready, full, a multiple of `blockSize` long, and untouched. The caller must release it.
   */
  takeBlock(blockSize: number): Pick<Read, "block" | "length"> | undefined {
    const read = this.#queue[0];
    if (!read?.ended || read.error || read.last || read.bytesRead < read.length) return undefined;
    const end = read.position + read.length;
    const isWhole = this.#position === read.position && end <= this.#end;
    if (!isWhole || read.length % blockSize !== 0) return undefined;
    this.#queue.shift();
    this.#forget(read);
    this.#position = end;
    this.#fillAhead();
    return read;
  }

  /** Resolves when {@linkcode peek}, which has returned undefined, would return something else. */
  ready(): Promise<void> {
    // No read is under way if there was no room for one: after a skip the kernel may still have every buffer.
    return (this.#ready ??= Promise.withResolvers()).promise;
  }

  /** Moves forward without reading, at most to the end of the range or of the file. */
  skip(bytes: number): void {
    const queue = this.#queue;
    if (this.#over && queue.length === 0) return;
    const last = queue.find((read) => read.last);
    // A read of no bytes only says that the end is not behind it.
    const fileEnd = last?.bytesRead
      ? last.position + last.bytesRead
      : Math.min(this.#sizeNow(), last?.position ?? Infinity);
    const furthest = Math.max(this.#position, fileEnd);
    const target = Math.min(this.#position + bytes, this.#end, furthest);
    this.#position = target;
    while (queue.length > 0 && queue[0]!.position + queue[0]!.length <= target) {
      const read = queue.shift()!;
      // A failed read does not matter if the consumer skips it.
      if (read.error) this.#over = false;
      if (read.ended) this.#free(read);
      else read.unwanted = true;
    }
    const { alignment } = this.#file;
    if (queue.length === 0) this.#next = Math.max(this.#next, alignDown(target, alignment));
    this.#wake();
  }

  /** The length of the file, as the kernel or else this module knows it without asking a server. */
  #sizeNow(): number {
    const { descriptor, fileSystem, length } = this.#file;
    if (!fileSystem.statsFromMemory) return length.sizeUpperBound;
    return (descriptor.closing ? undefined : knownSize(descriptor)) ?? Infinity;
  }

  // ---- reading ----------------------------------------------------------------------------------------------------

  /** Buffers besides the current one. */
  get #maxAhead(): number {
    return this.#budget.crowded ? 0 : this.#readAhead;
  }

  /** Bytes that a buffer should have now. */
  get #wholeSize(): number {
    return this.#budget.sizeNow(this.#bufferSize, this.#file.alignment);
  }

  /** Starts reads ahead of demand. A lack of memory is reported to the caller that waits for a read. */
  #fillAhead(): void {
    try {
      this.#fill(this.#readAhead);
    } catch {
      // See above.
    }
  }

  /** Starts reads until `wanted` are in flight or ready. */
  #fill(wanted: number): void {
    const { engine, alignment } = this.#file;
    let started = false;
    // A buffer that the kernel still has after a skip counts: memory is bounded whatever the consumer does.
    while (
      !this.#over && this.#queue.length < wanted && this.#buffers <= this.#maxAhead &&
      this.#next < this.#end
    ) {
      const position = this.#next;
      const size = this.#knownSize ??= this.#sizeNow();
      const left = alignUp(Math.min(this.#end, size) - position, alignment);
      // At or past what was the end: one block tells whether the file has grown, unless another read will.
      const before = this.#queue.at(-1);
      if (left <= 0 && before && before.position + before.length > size) break;
      const length = Math.min(this.#wholeSize, Math.max(left, alignment));
      const block = engine.acquire(length);
      this.#buffers++;
      assert(
        this.#buffers <= this.#readAhead + 1,
        "one buffer is being delivered and the others are ahead",
      );
      this.#budget.take(length);
      this.#next += length;
      this.#start({
        block,
        position,
        length,
        bytesRead: 0,
        ended: false,
        last: false,
        error: undefined,
        unwanted: false,
      });
      started = true;
    }
    if (started) engine.flush();
  }

  #start(read: Read): void {
    const { block: memory, length, position } = read;
    this.#queue.push(read);
    try {
      this.#file.descriptor.acquire("read");
    } catch (error) {
      read.error = error;
      this.#settle(read);
      return;
    }
    this.#inFlight++;
    const reading = new Transfer(this.#file, "read", { memory, offset: 0, length, position }, {
      complete: () => {
        read.bytesRead = reading.bytesDone;
        read.last = reading.endOfFile;
        read.error = reading.error;
        this.#inFlight--;
        this.#file.descriptor.release();
        if (!read.unwanted) return this.#settle(read);
        this.#free(read);
        this.#wake();
      },
    });
    reading.start();
  }

  #settle(read: Read): void {
    read.ended = true;
    // Reads behind the end or behind a failure are of no use.
    if (read.last || read.error) this.#over = true;
    // The file is longer than it was: how much?
    else if (read.position + read.length > (this.#knownSize ?? 0)) this.#knownSize = undefined;
    this.#wake();
  }

  #free(read: Read): void {
    this.#file.engine.release(read.block);
    this.#forget(read);
  }

  #forget({ length }: Read): void {
    this.#buffers--;
    this.#budget.giveBack(length);
  }

  #wake(): void {
    if (this.#queue.length === 0 || this.#queue[0]!.ended) {
      this.#ready?.resolve();
      this.#ready = undefined;
    }
    if (this.#inFlight === 0) {
      this.#idle?.resolve();
      this.#idle = undefined;
    }
  }

  /** Stops reading, and releases what was read ahead, at once or when the kernel is done with it. */
  #stop(): void {
    this.#over = true;
    for (const read of this.#queue.splice(0)) {
      if (read.ended) this.#free(read);
      else read.unwanted = true;
    }
    this.#wake();
  }

  /** Ends the reading. Resolves when the kernel has none of the buffers. */
  async cancel(): Promise<void> {
    this.#stop();
    if (this.#inFlight > 0) await (this.#idle ??= Promise.withResolvers()).promise;
  }
}
