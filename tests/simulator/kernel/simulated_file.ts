// A file in memory: its content, and the changes to it that a power cut may lose.

import type { Random } from "../random.ts";
import { type Range, SparseBytes } from "./sparse_bytes.ts";

/** The unit in which a disk keeps or loses unsynced bytes. */
const SECTOR = 512;

/** A file after a power cut. */
export interface FileImage {
  readonly content: SparseBytes;
  size: number;
}

/** The part of unsynced changes that a power cut keeps. */
export type Kept = "nothing" | "everything" | "some";

/** A change of a file: the length, or a range, with zeros where it has no bytes. */
interface Change {
  readonly size?: number;
  readonly from: number;
  readonly to: number;
  readonly bytes?: Uint8Array;
  /** Whether it is on the disk, although earlier changes are not. */
  isDurable: boolean;
}

export class SimulatedFile {
  readonly isDirectory = false;
  readonly content: SparseBytes = new SparseBytes();
  size = 0;
  links = 0;
  /** Whether linkat(2) accepts the file: one that lost its last name never gets another. */
  linkable = true;
  /** The open descriptions, for flock(2). */
  readonly locks: Map<object, "shared" | "exclusive"> = new Map();
  /** The number of failed syncs, and the error of the last one. */
  failedSyncs = 0;
  syncErrno = 0;
  readonly #durable: FileImage = { content: new SparseBytes(), size: 0 };
  /** The changes since the first one that is not durable. */
  #changes: Change[] = [];
  /** The number of changes before them. */
  #settled = 0;

  constructor(readonly inode: number) {}

  /** The number of changes so far, which a sync covers if it starts now. */
  get changes(): number {
    return this.#settled + this.#changes.length;
  }

  read(position: number, length: number): Uint8Array<ArrayBuffer> {
    return this.content.slice(position, Math.min(position + length, this.size));
  }

  /** Writes bytes. With `through` (RWF_DSYNC) they are durable, and so are all lengths and freed blocks before. */
  write(position: number, bytes: Uint8Array, through = false): void {
    if (bytes.length === 0) return;
    const to = position + bytes.length;
    this.content.write(position, bytes);
    this.#changes.push({ from: position, to, bytes, isDurable: through });
    this.extend(to);
    if (!through) return;
    for (const change of this.#changes) change.isDurable ||= !change.bytes;
  }

  /** As ftruncate(2). */
  truncate(size: number): void {
    this.#zero(size, this.size);
    this.#resize(size);
  }

  /** As fallocate(2) without FALLOC_FL_KEEP_SIZE. */
  extend(size: number): void {
    this.#resize(Math.max(this.size, size));
  }

  /** As fallocate(2) with FALLOC_FL_PUNCH_HOLE. */
  punch(from: number, to: number): void {
    this.#zero(from, Math.min(to, this.size));
  }

  #zero(from: number, to: number): void {
    if (from >= to) return;
    this.content.zero(from, to);
    this.#changes.push({ from, to, isDurable: false });
  }

  #resize(size: number): void {
    if (size === this.size) return;
    this.size = size;
    this.#changes.push({ size, from: size, to: size, isDurable: false });
  }

  /** Records a successful sync that covers so many changes. */
  makeDurable(upTo: number): void {
    for (const change of this.#take(upTo)) apply(this.#durable, change);
  }

  #take(upTo: number): Change[] {
    const count = Math.max(0, upTo - this.#settled);
    this.#settled += count;
    return this.#changes.splice(0, count);
  }

  /**
   * Records a failed sync that covers so many changes. Some sectors are on the disk. The kernel drops the others: no
   * later sync writes them. Lengths and freed blocks are in the journal, which is written. With `early` the bytes that
   * the server does not have are lost, and perhaps an extension of the file.
   */
  forget(upTo: number, random: Random, early: boolean): void {
    const keeps = () => random.chance(0.5);
    const durable = this.#durable;
    const { size } = durable;
    for (const change of this.#take(upTo)) apply(durable, change, change.bytes && keeps);
    if (!early) return;
    if (keeps()) durable.size = Math.min(durable.size, size);
    durable.content.zero(durable.size, Infinity);
    const now = { content: this.content, size: durable.size };
    now.content.copy(durable.content, 0, Infinity);
    for (const change of this.#changes) {
      apply(now, change);
      if (change.bytes) now.size = Math.max(now.size, change.to);
    }
    this.size = now.size;
  }

  /** The file after a power cut: any sectors of the unsynced bytes, and any of the lengths since the sync. */
  image(random: Random, kept: Kept): FileImage {
    const image = { content: this.#durable.content.clone(), size: this.#durable.size };
    const keeps = { nothing: () => false, everything: undefined, some: () => random.chance(0.5) };
    let sizes = [image.size];
    for (const change of this.#changes) {
      if (change.size === undefined) apply(image, change, keeps[kept]);
      else if (change.isDurable) sizes = [change.size];
      else sizes.push(change.size);
    }
    image.size = { nothing: sizes[0]!, everything: this.size, some: random.pick(sizes) }[kept];
    image.content.zero(image.size, Infinity);
    return image;
  }
}

/** Repeats a change: all of it, or the kept sectors if it is not durable. */
function apply(image: FileImage, change: Change, keeps?: () => boolean): void {
  const { content } = image;
  const { size, from, to, bytes } = change;
  if (size !== undefined) image.size = size;
  const whole: Iterable<Range> = [[from, to]];
  const parts = change.isDurable || !keeps
    ? whole
    : [...sectorsOf(bytes ? whole : content.extents(from, to))].filter(keeps);
  for (const [start, end] of parts) {
    if (bytes) content.write(start, bytes.subarray(start - from, end - from));
    else content.zero(start, end);
  }
}

function* sectorsOf(ranges: Iterable<Range>): Generator<Range> {
  for (const [from, to] of ranges) {
    for (let at = from, end; at < to; at = end) {
      yield [at, end = Math.min(to, at - at % SECTOR + SECTOR)];
    }
  }
}
