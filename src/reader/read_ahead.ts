// Read-ahead: buffers are read before the consumer requests them, into the pool, and copied out in the order of the
// file. The page faults of fresh memory for each chunk cost more than a copy into warm memory (bench/FINDINGS.md).

import { alignDown, alignUp } from "../align.ts";
import { assert } from "../assert.ts";
import { Errno } from "../engine/linux.ts";
import type { Memory } from "../engine/operation.ts";
import { ioError } from "../errors.ts";
import type { OpenFile } from "../file/open_file.ts";
import { Transfer } from "../file/transfer.ts";
import type { ReaderOptions } from "../stream_options.ts";

/** Whether reads past this one are useless: it met the end of the file, or it has failed. */
function isLast({ endOfFile, error }: Transfer): boolean {
  return endOfFile || error !== undefined;
}

function endOf({ range }: Transfer): number {
  return range.position + range.length;
}

export class ReadAhead {
  /** The position of the next byte to be delivered. */
  position: number;
  /** The aligned position of the next read. */
  #next: number;
  readonly #queue: Transfer[] = [];
  /** Reads in flight that left the queue. The kernel still uses their buffers. */
  #unwanted = 0;
  /** Whether the end was delivered, or the consumer has ended. */
  #stopped = false;
  #ready: PromiseWithResolvers<void> | undefined;
  #knownSize: number | undefined;

  constructor(readonly file: OpenFile, readonly options: ReaderOptions) {
    this.position = Math.min(options.start, options.end);
    this.#next = alignDown(this.position, file.alignment);
  }

  get #buffers(): number {
    return this.#queue.length + this.#unwanted;
  }

  /** Whether nothing is read ahead, so that a read may use the consumer's memory directly. */
  get idle(): boolean {
    return this.#queue.length === 0 && !this.#stopped;
  }

  /** Moves forward over bytes that were read directly. The queue must be empty. */
  jump(bytes: number): void {
    this.position += bytes;
    this.#next = alignDown(this.position, this.file.alignment);
  }

  /**
   * Bytes that are ready, at most `most`, as a view of the pool that is valid until the next call. Null at the end;
   * undefined if none are ready: {@linkcode ready} tells when. Throws the failure of the read at the position.
   */
  peek(most: number): Uint8Array<ArrayBuffer> | null | undefined {
    if (this.#stopped || this.position >= this.options.end) return null;
    if (!this.#queue[0]?.hasEnded) this.#fillAhead(1);
    const read = this.#queue[0];
    if (!read?.hasEnded) return undefined;
    const { bytesDone, endOfFile, error, range: { memory, position } } = read;
    // `unload` unmaps all memory.
    if (memory.bytes.length === 0) throw ioError(Errno.EBADFD, "read", this.file.path);
    const from = this.position - position;
    const to = Math.min(bytesDone, this.options.end - position, from + most);
    if (to > from) return memory.bytes.subarray(from, to);
    if (error) throw error;
    assert(endOfFile, "a read that was delivered whole is gone");
    const size = this.#sizeNow();
    if (!this.#isExact(size) || size <= this.position) {
      this.#stop();
      return null;
    }
    // The file has grown since its end was read.
    this.#drop(this.#queue.length);
    this.jump(0);
    return this.peek(most);
  }

  advance(count: number): void {
    this.position += count;
    const read = this.#queue[0];
    const isDelivered = read?.hasEnded && this.position >= endOf(read);
    if (isDelivered && !read.endOfFile) {
      this.#queue.shift();
      this.#free(read);
    }
    this.#fillAhead();
  }

  /**
   * Passes the next buffer to `use`, which must release it, if the buffer is ready, full, a multiple of `blockSize`
   * long, and untouched. Returns its length. Further reads start after `use`: they may spend the budget that it needs.
   */
  passBuffer(blockSize: number, use: (memory: Memory, length: number) => void): number | undefined {
    if (!this.peek(1)) return undefined;
    const { bytesDone, range: { memory, length, position } } = this.#queue[0]!;
    const end = position + length;
    const isWhole = bytesDone === length && this.position === position;
    if (!isWhole || end > this.options.end || length % blockSize !== 0) return undefined;
    this.#queue.shift();
    this.options.budget.held -= length;
    this.position = end;
    use(memory, length);
    this.#fillAhead();
    return length;
  }

  /** Resolves when {@linkcode peek}, which has returned undefined, would return something else, or read further. */
  ready(): Promise<void> {
    return (this.#ready ??= Promise.withResolvers()).promise;
  }

  /** Moves forward without a read, at most to the end of the range or of the file. */
  skip(bytes: number): void {
    const queue = this.#queue;
    if (this.#stopped) return;
    const size = this.#sizeNow();
    const last = this.#isExact(size) ? undefined : queue.find(({ endOfFile }) => endOfFile);
    // A read of no bytes only shows that the end of the file is not past it.
    const lastEnd = last ? last.range.position + last.bytesDone : Infinity;
    const furthest = Math.max(this.position, Math.min(size, lastEnd));
    const target = Math.min(this.position + bytes, this.options.end, furthest);
    this.position = target;
    this.#drop(queue.filter((read) => endOf(read) <= target).length);
    const { alignment } = this.file;
    if (queue.length === 0) this.#next = Math.max(this.#next, alignDown(target, alignment));
  }

  /** Whether a result of {@linkcode #sizeNow} is the length, and not an upper bound. */
  #isExact(size: number): boolean {
    return size < Infinity && !this.file.fileSystem.statWaits;
  }

  /** The length of the file, or an upper bound, as it is known without a request to a server. */
  #sizeNow(): number {
    const { descriptor, length } = this.file;
    return (descriptor.closing ? undefined : length.sizeNow()) ?? Infinity;
  }

  /** Starts reads. A failure, as for lack of memory, counts only if there are fewer than `needed`. */
  #fillAhead(needed = 0): void {
    try {
      this.#fill(Math.max(needed, this.options.readAhead));
    } catch (error) {
      if (this.#queue.length < needed) throw error;
    }
  }

  #fill(wanted: number): void {
    const { engine, alignment, descriptor } = this.file;
    const { budget, bufferSize, end, readAhead } = this.options;
    let started = false;
    // Buffers that the kernel still uses after a skip count too, so that memory stays bounded.
    const hasRoom = () => this.#buffers <= (budget.crowded ? 0 : readAhead);
    while (
      this.#queue.length < wanted && hasRoom() && this.#next < end &&
      !this.#stopped && !this.#queue.some(isLast)
    ) {
      descriptor.assertOpen("read");
      const position = this.#next;
      const size = this.#knownSize ??= this.#sizeNow();
      const left = alignUp(Math.min(end, size) - position, alignment);
      // At or past the last known end one block shows whether the file has grown, unless another read in flight will.
      const before = this.#queue.at(-1);
      if (left <= 0 && before && endOf(before) > size) break;
      const length = Math.min(budget.sizeNow(bufferSize, alignment), Math.max(left, alignment));
      const memory = engine.acquire(length);
      assert(this.#buffers <= readAhead, "one buffer is being delivered, the others are ahead");
      budget.held += length;
      this.#next += length;
      const range = { memory, position, length };
      const read = new Transfer(this.file, "read", range, () => this.#settle(read));
      this.#queue.push(read);
      descriptor.acquire("read");
      read.start();
      started = true;
    }
    if (started) engine.flush();
  }

  #settle(read: Transfer): void {
    this.file.descriptor.release();
    if (!this.#queue.includes(read)) {
      this.#unwanted--;
      this.#free(read);
    } else if (!isLast(read) && endOf(read) > (this.#knownSize ?? 0)) {
      // The file has grown. Read its new length.
      this.#knownSize = undefined;
    }
    this.#wake();
  }

  #free({ range: { memory, length } }: Transfer): void {
    this.file.engine.release(memory);
    this.options.budget.held -= length;
  }

  /** Drops the first `count` reads. Their buffers are released at once, or when the reads have ended. */
  #drop(count: number): void {
    for (const read of this.#queue.splice(0, count)) {
      if (read.hasEnded) this.#free(read);
      else this.#unwanted++;
    }
    this.#wake();
  }

  #wake(): void {
    if (this.#queue.length > 0 && !this.#queue[0]!.hasEnded) return;
    this.#ready?.resolve();
    this.#ready = undefined;
  }

  #stop(): void {
    this.#stopped = true;
    this.#drop(this.#queue.length);
  }

  /** Ends the reading. Resolves when the kernel uses none of the buffers. */
  async cancel(): Promise<void> {
    this.#stop();
    while (this.#unwanted > 0) await this.ready();
  }
}
