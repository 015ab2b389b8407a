// The numbers of a file's length, always in this order: confirmed <= contentEnd <= extended <= sizeUpperBound.
// - contentEnd: the end of the content, which no cut removes. Padding and reserved space may follow.
// - confirmed: the end of the content that a server cannot lose. Below contentEnd only on one that answers early.
// - extended: the greatest length that ended operations may have given the file.
// - sizeUpperBound: the same, with the operations in flight. Bytes past it come from another program.
// - reserved: the end of the zeros of `preallocate`, at most extended. A writer's cut removes them, other cuts do not.

import { assert } from "../assert.ts";

export class FileLength {
  contentEnd: number;
  sizeUpperBound: number;
  #confirmed: number;
  #extended: number;
  #reserved = 0;
  /** The ends of the writes and allocations in flight, and how many have each. A list of thousands is slow to search. */
  readonly #inFlight = new Map<number, number>();

  /** All of `size`, the file's length, is content. `sizeNow` returns the length later, or undefined if it is unknown. */
  constructor(size: number, readonly sizeNow: () => number | undefined) {
    this.contentEnd = this.sizeUpperBound = size;
    this.#confirmed = this.#extended = size;
  }

  get hasInFlight(): boolean {
    return this.#inFlight.size > 0;
  }

  /** Bytes that another program has appended become content, if the new end or padding of this write could hide them. */
  noteBegin(end: number, dataEnd = end): void {
    if (end > this.sizeUpperBound || end > dataEnd) this.noteAppended();
    this.#inFlight.set(end, (this.#inFlight.get(end) ?? 0) + 1);
    this.sizeUpperBound = Math.max(this.sizeUpperBound, end);
  }

  /** Notes that a write or an allocation has ended. If it has failed, a part of it may have extended the file. */
  noteResult(start: number, end: number, succeeded: boolean): void {
    const others = this.#inFlight.get(end)! - 1;
    assert(others >= 0, "what ends has begun");
    if (others > 0) this.#inFlight.set(end, others);
    else this.#inFlight.delete(end);
    if (succeeded) return this.#extend(end);
    const size = this.sizeNow() ?? Infinity;
    // If the file ends before `start`, this has not extended it: bytes past the others' ends are another program's.
    if (size > start) this.#extend(end);
    this.#limit(size);
  }

  /** Marks all bytes below `end` as content; with `confirmed` false, only until {@linkcode noteLoss}. */
  addContent(end: number, confirmed = true): void {
    this.contentEnd = Math.max(this.contentEnd, end);
    if (confirmed) this.#confirmed = Math.max(this.#confirmed, end);
    this.#extend(end);
  }

  /** Marks the bytes below `end` that are no content as zeros that the user has reserved. */
  addReserved(end: number): void {
    this.#reserved = Math.max(this.#reserved, end);
    this.#extend(end);
  }

  confirm(): void {
    this.#confirmed = this.contentEnd;
  }

  /** Notes that a server has lost completed but unconfirmed writes. */
  noteLoss(): void {
    this.contentEnd = this.#confirmed;
  }

  /** Marks all bytes as content if another program has appended some. */
  noteAppended(): void {
    const size = this.sizeNow() ?? 0;
    if (size > this.sizeUpperBound) this.addContent(size);
  }

  /** Notes the file's end after a truncate, which may be another program's. */
  noteCut(end: number = this.sizeNow() ?? Infinity): void {
    this.contentEnd = Math.min(this.contentEnd, end);
    this.#confirmed = Math.min(this.#confirmed, end);
    this.#limit(end);
  }

  /**
   * Notes the file's `size` when a writer opens. Bytes that another program has appended become content, and content
   * that it has cut off is gone. Reserved space below `known` becomes content.
   */
  noteSize(size: number, known: number): void {
    const appended = size > this.sizeUpperBound;
    this.noteCut(size);
    this.addContent(appended ? size : Math.min(known, this.#extended));
  }

  /** The length to which a file of `size` bytes must be cut: see `cutToContent`; undefined if it must not be cut. */
  lengthToCutTo(size: number = this.sizeUpperBound): number | undefined {
    // Only in a program that blocks something is in flight: writes whose end is not noted yet.
    const end = this.#lastInFlight(this.contentEnd);
    // A file that another program has cut must not be extended again.
    if (size > end && size <= this.sizeUpperBound) return end;
    this.#limit(this.contentEnd);
    return undefined;
  }

  /** The length to which to cut padding or a failed reservation. `before` is the length before it began. */
  lengthToRestore(before: number): number {
    return this.#lastInFlight(Math.max(before, this.contentEnd, this.#reserved));
  }

  #extend(end: number): void {
    this.#extended = Math.max(this.#extended, end);
    this.sizeUpperBound = Math.max(this.sizeUpperBound, end);
  }

  /** Lowers the numbers that do not mark content to `end`, but not below the content. */
  #limit(end: number): void {
    this.#extended = Math.max(this.contentEnd, Math.min(this.#extended, end));
    this.#reserved = Math.min(this.#reserved, this.#extended);
    // Nothing in flight ends later.
    if (this.sizeUpperBound === this.#extended || this.#inFlight.has(this.sizeUpperBound)) return;
    this.sizeUpperBound = this.#lastInFlight(this.#extended);
  }

  #lastInFlight(least: number): number {
    return this.#inFlight.keys().reduce((one, other) => Math.max(one, other), least);
  }
}
