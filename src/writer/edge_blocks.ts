// The first and the last block of what a writer writes. Other bytes of the file share them: what stands before the first byte
// and behind the last one is read, and written along.

import { type FileBlock, readBlock, readBlockNow } from "../file/block.ts";
import type { OpenFile } from "../file/open_file.ts";
import type { StartedWrite } from "./write_queue.ts";

const NO_BYTES = new Uint8Array(0);

/** A block as it stands in the file. */
interface KnownBlock {
  readonly position: number;
  readonly bytes: Uint8Array;
}

/** Knows what stands around the bytes of a writer, and forgets what a truncate cut off. */
export class EdgeBlocks {
  readonly #file: OpenFile;
  // Known when the writer opens.
  #blockSize = 1;
  #start = 0;
  /** The last block as it was before anything was written to it. */
  #last: KnownBlock | undefined;
  #reading = false;
  /** The least that the file was truncated to since the block before the start was read, and since the last one was. */
  #headEnd = Infinity;
  #paddingEnd = Infinity;

  constructor(file: OpenFile) {
    this.#file = file;
  }

  /** The first byte goes to `start`, and whole blocks are written. */
  open(start: number, blockSize: number): void {
    this.#start = start;
    this.#blockSize = blockSize;
  }

  // ---- before the first byte --------------------------------------------------------------------------------------

  /** Reads what stands before `start` in its block. */
  async readHead(start: number): Promise<Uint8Array> {
    const inside = start % this.#file.blockSize;
    if (inside === 0) return NO_BYTES;
    return (await readBlock(this.#file, start - inside)).bytes.subarray(0, inside);
  }

  /** As {@linkcode readHead}, on the JavaScript thread. */
  readHeadNow(start: number): Uint8Array {
    const inside = start % this.#file.blockSize;
    if (inside === 0) return NO_BYTES;
    return readBlockNow(this.#file, start - inside).bytes.subarray(0, inside);
  }

  // ---- behind the last one ----------------------------------------------------------------------------------------

  /** What goes behind `end`, to the end of its block. */
  padding(end: number): Uint8Array {
    const inside = end % this.#blockSize;
    if (inside === 0) return NO_BYTES;
    return this.#last?.position === end - inside
      ? this.#last.bytes.subarray(inside)
      : new Uint8Array(this.#blockSize - inside);
  }

  /** The position of the block of `end`, if it holds content behind `end` that must be read first. */
  unread(end: number): number | undefined {
    const inside = end % this.#blockSize;
    const position = end - inside;
    const isKnown = this.#last?.position === position;
    return inside === 0 || end >= this.#file.length.contentEnd || isKnown ? undefined : position;
  }

  /** Whether such a block is being read. */
  get reading(): boolean {
    return this.#reading;
  }

  /** Reads that block. */
  async read(position: number): Promise<void> {
    const { contentEnd } = this.#file.length;
    this.#reading = true;
    this.#paddingEnd = Infinity;
    try {
      this.#learn(position, contentEnd, await readBlock(this.#file, position));
    } finally {
      this.#reading = false;
    }
  }

  /** As {@linkcode read}, on the JavaScript thread, where it is to be read. */
  readNow(end: number): void {
    const position = this.unread(end);
    if (position === undefined) return;
    const { contentEnd } = this.#file.length;
    this.#paddingEnd = Infinity;
    this.#learn(position, contentEnd, readBlockNow(this.#file, position));
  }

  /** What a file that ended at `contentEnd` does not have of the block is zeros. */
  #learn(position: number, contentEnd: number, { bytes, length }: FileBlock): void {
    this.#last = { position, bytes };
    if (length < bytes.length) this.#file.length.shrank(contentEnd, position + length);
  }

  // ---- truncates --------------------------------------------------------------------------------------------------

  /** The file was truncated to `length`: what was read of it behind that is zeros now. */
  truncated(length: number): void {
    this.#headEnd = Math.min(this.#headEnd, length);
    this.#paddingEnd = Math.min(this.#paddingEnd, length);
    this.#last = undefined;
  }

  /** Clears such bytes of a write. */
  clearTruncated({ memory, offset, length, position, dataEnd }: StartedWrite): void {
    const end = position + length;
    const clear = (from: number, to: number) => {
      if (from < to) memory.bytes.fill(0, offset + from - position, offset + to - position);
    };
    clear(Math.max(position, this.#headEnd), Math.min(this.#start, end));
    clear(Math.max(dataEnd, this.#paddingEnd), end);
  }
}
