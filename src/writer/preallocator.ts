// Moves the end of a file ahead of the writes, in steps. On ext4 every write that extends the file runs alone, so that
// write-behind would gain nothing. A step is a size-changing fallocate(2) on a thread.

import { alignUp } from "../align.ts";
import { Errno } from "../engine/linux.ts";
import type { OpenFile } from "../file/open_file.ts";
import { cutToContent, FULL } from "../file/space.ts";
import type { WriterOptions } from "../stream_options.ts";
import type { Pending } from "./pending.ts";

const MIB = 1 << 20;

/** The minimum length at which the end is moved: small files gain nothing. */
const FROM: number = 8 * MIB;
/** The length so far is divided by this: many writers must not fill the disk. Longer steps stall a fragmented one. */
const PART = 4;
/** A writer reserves at most half of the free space. */
const PARTS_OF_FREE_SPACE = 2;
const SMALLEST_STEP: number = 4 * MIB;
const LARGEST_STEP: number = 64 * MIB;

export class Preallocator {
  /** The end of the content when the writer began. */
  readonly #oldEnd: number;
  /** The expected end of the writes, or 0. */
  #expectedEnd: number;
  /** Whether a step may begin: none is in flight, and none has failed. */
  #isReady: boolean;

  constructor(
    readonly file: OpenFile,
    readonly pending: Pending,
    { preallocate, sizeHint }: WriterOptions,
    startPosition: number,
  ) {
    const { reserves } = file.fileSystem;
    this.#oldEnd = file.length.contentEnd;
    this.#expectedEnd = reserves !== "never" && sizeHint > 0 ? startPosition + sizeHint : 0;
    this.#isReady = preallocate && (this.#expectedEnd > 0 || reserves === "ahead");
  }

  /**
   * Moves the end ahead of a write, if a step is due. The writes in flight, from `flushed` on, get their space first. The
   * holes of an existing file stay holes.
   */
  start(flushed: number, written: number): void {
    const { changes, durability, engine, fd, fileSystem, length } = this.file;
    const size = length.sizeUpperBound;
    const end = this.#nextEnd(written, size);
    if (!this.#isReady || end <= size || !Number.isSafeInteger(end)) return;
    const position = Math.max(flushed, Math.min(this.#oldEnd, size));
    this.#isReady = false;
    this.pending.begin();
    changes.beginWrite(end);
    const complete = (result: number) => {
      durability.noteChange();
      changes.endWrite(position, end, result >= 0);
      const isFull = FULL.has(-result);
      // There may be room for shorter steps.
      const isTooLong = isFull && this.#expectedEnd > 0 && fileSystem.reserves === "ahead";
      this.#isReady = result >= 0 || result === -Errno.EINTR || isTooLong;
      if (isFull) this.#expectedEnd = 0;
      // A partial reservation is released. The writes report the error.
      const cut = isFull ? cutToContent(this.file) : undefined;
      if (cut) this.pending.track(cut.catch(() => {}));
      this.pending.end();
    };
    const range = { position, length: end - position, parts: PARTS_OF_FREE_SPACE };
    engine.submit({ op: "allocate", fd, mode: 0, ...range }, { complete });
  }

  #nextEnd(written: number, size: number): number {
    if (this.#expectedEnd > size) return this.#expectedEnd;
    // With a size hint, further steps are only for writes well beyond it.
    if (written < this.#expectedEnd + FROM) return 0;
    // A program may rewrite a file while it reads it. If the end moved ahead, the read would never reach it.
    if (written <= this.#oldEnd) return 0;
    const part = alignUp(written / PART, MIB);
    const step = Math.min(Math.max(part, SMALLEST_STEP), LARGEST_STEP);
    // Early: the next step starts while half a step is left.
    return size - written >= step / 2 ? 0 : size + step;
  }
}
