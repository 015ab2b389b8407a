// A file as a plain array of bytes, and what a writer may make of it.

import { assert, assertEquals } from "@std/assert";

/** The file as it should be. */
export class Model {
  /** Every byte on disk. */
  content: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  /**
   * Where what was written ends, as far as the open file knows: behind it there is only what was reserved, which a
   * writer gives back. All of it where the file was found and not made.
   */
  kept = 0;

  /** The file was emptied by its opening. */
  made(): void {
    this.content = new Uint8Array(0);
    this.kept = 0;
  }

  /** The file was opened as it is. */
  found(): void {
    this.kept = Infinity;
  }

  /** What is there of a range. */
  slice(position: number, length: number): Uint8Array<ArrayBuffer> {
    return this.content.slice(position, position + length);
  }

  /** Puts bytes somewhere; what lies between the end and there reads as zeros. */
  put(bytes: Uint8Array, position: number): void {
    if (bytes.length === 0) return;
    this.resize(Math.max(this.content.length, position + bytes.length));
    this.content.set(bytes, position);
    this.kept = Math.max(this.kept, position + bytes.length);
  }

  /** Cuts, or extends by zeros. */
  resize(length: number): void {
    const content = new Uint8Array(length);
    content.set(this.content.subarray(0, length));
    this.content = content;
  }
}

/** What was written through one writer, and what must be true of it. */
export class WriterModel {
  readonly #parts: Uint8Array[] = [];
  /** Bytes accepted, as a position. */
  position: number;
  /** The greatest flushed position that was seen. */
  flushed: number;
  /** What stays of the file where less is written. */
  readonly keep: number;

  constructor(readonly file: Model, readonly start: number, append: boolean) {
    this.position = start;
    this.flushed = start;
    this.keep = append ? file.content.length : Math.min(file.kept, file.content.length);
  }

  /** Bytes were accepted. */
  write(bytes: Uint8Array): void {
    this.#parts.push(bytes);
    this.position += bytes.length;
  }

  /** What was accepted, in one array. */
  get written(): Uint8Array<ArrayBuffer> {
    const whole = new Uint8Array(this.position - this.start);
    let at = 0;
    for (const part of this.#parts) {
      whole.set(part, at);
      at += part.length;
    }
    return whole;
  }

  /** Looks at the positions that the writer shows. */
  check(currentPos: number, currentFlushedPos: number): void {
    assertEquals(currentPos, this.position, "currentPos");
    assert(currentFlushedPos >= this.flushed, `flushed ${this.flushed}, then ${currentFlushedPos}`);
    assert(currentFlushedPos <= this.position, `flushed ${currentFlushedPos} of ${currentPos}`);
    this.flushed = currentFlushedPos;
  }

  /** Everything was written, and the file is as long as it should be. */
  close(): void {
    const { file, start, keep } = this;
    const end = Math.max(keep, this.position);
    const { length } = file.content;
    file.put(this.written, start);
    if (this.position > start) file.resize(end);
    else file.resize(Math.min(length, end));
    // Whoever starts behind something that was reserved means to keep it.
    file.kept = Math.max(file.kept, Math.min(keep, file.content.length));
  }

  /** It was given up: what is flushed is there, and of the rest each byte is the old one or the new one. */
  abort(now: Uint8Array<ArrayBuffer>): void {
    const { file, start, keep, flushed } = this;
    const written = this.written;
    const most = Math.max(keep, flushed);
    assert(
      now.length === most || now.length <= Math.min(most, file.content.length),
      `${now.length} bytes after an abort, of which ${most} count`,
    );
    for (let at = 0; at < now.length; at++) {
      const old = file.content[at] ?? 0;
      const fresh = at >= start && at < this.position ? written[at - start] : old;
      const right = at >= start && at < flushed
        ? now[at] === fresh
        : now[at] === old || now[at] === fresh;
      assert(right, `byte ${at} after an abort is ${now[at]}, old ${old}, new ${fresh}`);
    }
    file.content = now;
    if (flushed > start) file.kept = Math.max(file.kept, flushed);
    file.kept = Math.max(file.kept, Math.min(keep, now.length));
  }
}
