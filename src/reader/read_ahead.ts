// Read-ahead: buffers are read before anybody asks for them, and given out in the order of the file. It knows nothing of
// streams.
//
// Bytes are read into the pool and copied out. A read straight into memory of the consumer's own would save the copy and
// lose more than that: every chunk is fresh memory then, and the page faults for it cost more than the copy does into
// memory that the allocator has warm (measured: bench/FINDINGS.md).

import { assert } from "../assert.ts";
import type { BufferBudget } from "../engine/buffer_budget.ts";
import type { Block } from "../engine/operation.ts";
import type { OpenFile } from "../file/open_file.ts";
import { statNow } from "../file/stat.ts";
import { Transfer } from "../file/transfer.ts";

/** What a {@linkcode ReadAhead} is made of. Every number has been checked. */
export interface ReadAheadOptions {
  readonly file: OpenFile;
  /** The first byte to give out. */
  readonly start: number;
  /** The byte after the last one, at most. */
  readonly end: number;
  /** A multiple of the alignment. */
  readonly bufferSize: number;
  /** Buffers in flight or ready, besides the one that is being given out. 0: a read only when asked. */
  readonly readAhead: number;
  /** What the buffers count against; undefined where their size and number were asked for. */
  readonly budget?: BufferBudget | undefined;
}

/** One buffer, and what became of its read. */
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
  /** Nobody wants it any more: its block goes back when the kernel is done. */
  unwanted: boolean;
}

/** A whole buffer, given away. */
export interface TakenBlock {
  readonly block: Block;
  /** Bytes in it, from its start. */
  readonly length: number;
}

/** Reads a range of a file ahead of its consumer. */
export class ReadAhead {
  readonly #file: OpenFile;
  readonly #bufferSize: number;
  readonly #readAhead: number;
  readonly #budget: BufferBudget | undefined;
  readonly #end: number;
  #position: number;
  /** Where the next read starts; aligned. */
  #next: number;
  /** Reads in the order of the file. */
  readonly #queue: Read[] = [];
  #inFlight = 0;
  /** The file ended, or the consumer did: no further reads. */
  #over = false;
  #ready: PromiseWithResolvers<void> | undefined;
  #idle: PromiseWithResolvers<void> | undefined;
  #buffers = 0;
  /** The length of the file when it was last asked for. */
  #knownSize: number | undefined;

  constructor(options: ReadAheadOptions) {
    const { file, start, end, bufferSize, readAhead, budget } = options;
    this.#file = file;
    this.#position = Math.min(start, end);
    this.#end = end;
    this.#bufferSize = bufferSize;
    this.#readAhead = readAhead;
    this.#budget = budget;
    this.#next = this.#position - this.#position % file.alignment;
  }

  /** The next byte to be given out. */
  get position(): number {
    return this.#position;
  }

  /** The byte after the last one to give out, at most. */
  get end(): number {
    return this.#end;
  }

  /** Buffers that exist. */
  get buffers(): number {
    return this.#buffers;
  }

  /** Whether nothing is read ahead, so that a read may go straight to where the consumer wants it. */
  get idle(): boolean {
    return this.#queue.length === 0 && !this.#over;
  }

  /** So many bytes were read past this, from {@linkcode position} on, while it was {@linkcode idle}. */
  jump(bytes: number): void {
    this.#position += bytes;
    this.#next = this.#position - this.#position % this.#file.alignment;
  }

  // ---- giving out -------------------------------------------------------------------------------------------------

  /**
   * Bytes that are there now, `most` at most, as a view of the pool that holds only until the next call; or null at the
   * end; or undefined where they are yet to come: {@linkcode ready} tells when. Throws the failure of the read that the
   * consumer has reached.
   */
  peek(most: number): Uint8Array<ArrayBuffer> | null | undefined {
    for (;;) {
      const read = this.#queue[0];
      if (this.#position >= this.#end || (!read && this.#over)) return null;
      if (!read) {
        this.#fill(Math.max(1, this.#readAhead));
        return undefined;
      }
      if (!read.ended) return undefined;
      const from = this.#position - read.position;
      const to = Math.min(read.bytesRead, this.#end - read.position, from + most);
      if (to > from) return read.block.bytes.subarray(from, to);
      if (read.error) throw read.error;
      if (read.last) {
        this.#stop();
        return null;
      }
      this.#queue.shift();
      this.#free(read);
    }
  }

  /** The first `count` bytes of what {@linkcode peek} showed were taken. */
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
   * The next buffer, where it is there, full, a multiple of `blockSize` long, and nothing of it was given out yet: it is
   * the caller's to release.
   */
  takeBlock(blockSize: number): TakenBlock | undefined {
    const read = this.#queue[0];
    if (!read?.ended || read.error || read.last || read.bytesRead < read.length) return undefined;
    const end = read.position + read.length;
    const isWhole = this.#position === read.position && end <= this.#end;
    if (!isWhole || read.length % blockSize !== 0) return undefined;
    this.#queue.shift();
    this.#forget(read);
    this.#position = end;
    this.#fillAhead();
    return { block: read.block, length: read.length };
  }

  /** Resolves when {@linkcode peek} has something else to say. */
  ready(): Promise<void> {
    try {
      this.#fill(Math.max(1, this.#readAhead));
    } catch (error) {
      return Promise.reject(error);
    }
    const read = this.#queue[0];
    const ended = this.#position >= this.#end || (!read && this.#over);
    if (ended || read?.ended) return Promise.resolve();
    // Without a read there is no room for one: after a skip the kernel may still have every buffer.
    return (this.#ready ??= Promise.withResolvers()).promise;
  }

  /** Goes forward without reading; to the end of the range or of the file at most. */
  skip(bytes: number): void {
    const queue = this.#queue;
    if (this.#over && queue.length === 0) return;
    const last = queue.find((read) => read.last);
    // A read that brought nothing says only that the end is not behind it.
    const fileEnd = last?.bytesRead
      ? last.position + last.bytesRead
      : Math.min(this.#sizeNow(), last?.position ?? Infinity);
    const furthest = Math.max(this.#position, fileEnd);
    const target = Math.min(this.#position + bytes, this.#end, furthest);
    this.#position = target;
    while (queue.length > 0 && queue[0]!.position + queue[0]!.length <= target) {
      const read = queue.shift()!;
      // A read that failed is no obstacle to a consumer that does not want it.
      if (read.error) this.#over = false;
      if (read.ended) this.#free(read);
      else read.unwanted = true;
    }
    const { alignment } = this.#file;
    if (queue.length === 0) this.#next = Math.max(this.#next, target - target % alignment);
    this.#wake();
  }

  /** The length of the file, as far as the kernel knows without asking anybody. */
  #sizeNow(): number {
    const { engine, fd, path, descriptor } = this.#file;
    if (descriptor.closing) return Infinity;
    try {
      return Number(statNow(engine, fd, path).size);
    } catch {
      return Infinity;
    }
  }

  // ---- reading ----------------------------------------------------------------------------------------------------

  /** Buffers besides the one that is being given out. */
  get #maxAhead(): number {
    return this.#budget?.crowded ? 0 : this.#readAhead;
  }

  /** Bytes that a buffer should have now. */
  get #wholeSize(): number {
    return this.#budget?.sizeNow(this.#bufferSize, this.#file.alignment) ?? this.#bufferSize;
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
    const { engine, alignment } = this.#file;
    let started = false;
    // A buffer that waits for its kernel after a skip still counts: memory is bounded whatever the consumer does.
    while (
      !this.#over && this.#queue.length < wanted && this.#buffers <= this.#maxAhead &&
      this.#next < this.#end
    ) {
      const position = this.#next;
      const size = this.#knownSize ??= this.#sizeNow();
      const left = Math.ceil((Math.min(this.#end, size) - position) / alignment) * alignment;
      // At or past what was the end: one block tells whether the file has grown, unless another read will.
      const before = this.#queue.at(-1);
      if (left <= 0 && before && before.position + before.length > size) break;
      const length = Math.min(this.#wholeSize, Math.max(left, alignment));
      const block = engine.acquire(length);
      this.#buffers++;
      assert(
        this.#buffers <= this.#readAhead + 1,
        "one buffer is given out and the others are ahead",
      );
      this.#budget?.take(length);
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
    this.#budget?.giveBack(length);
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

  /** No further reads; what was read ahead goes back, at once or when the kernel is done with it. */
  #stop(): void {
    this.#over = true;
    for (const read of this.#queue.splice(0)) {
      if (read.ended) this.#free(read);
      else read.unwanted = true;
    }
    this.#wake();
  }

  /** Ends the reading. Resolves when the kernel has none of the buffers any more. */
  async cancel(): Promise<void> {
    this.#stop();
    if (this.#inFlight > 0) await (this.#idle ??= Promise.withResolvers()).promise;
  }
}
