// A file in memory: its content, the durable part, and the part that a power cut may keep of the rest.

import type { Random } from "../random.ts";
import { SparseBytes } from "./sparse_bytes.ts";

/** The unit in which a disk keeps or loses unsynced bytes. */
const SECTOR = 512;

/** A change to a file that is not durable yet. */
type Change =
  | {
    readonly kind: "bytes";
    readonly position: number;
    readonly bytes: Uint8Array;
    /** RWF_DSYNC: the write is durable, even if earlier changes are not. */
    readonly through: boolean;
  }
  | { readonly kind: "zeros"; readonly from: number; readonly to: number }
  | { readonly kind: "size"; readonly size: number };

/** A file after a power cut. */
export interface FileImage {
  readonly content: SparseBytes;
  readonly size: number;
}

/** The part of unsynced changes that a power cut keeps. */
export type Kept = "nothing" | "everything" | "some";

export class SimulatedFile {
  readonly isDirectory = false;
  readonly content: SparseBytes = new SparseBytes();
  /** The number of its names. */
  links = 0;
  /** Whether linkat(2) accepts the file: one that lost its last name never gets another. */
  linkable = true;
  /** The open descriptions, for flock(2). */
  readonly locks: Map<object, "shared" | "exclusive"> = new Map();
  /** The number of failed syncs, and the error of the last one. */
  failedSyncs = 0;
  syncErrno = 0;
  #size = 0;
  readonly #durable = { content: new SparseBytes(), size: 0 };
  #changes: Change[] = [];
  /** The number of durable changes, which are no longer in the list. */
  #settled = 0;

  constructor(readonly inode: number) {}

  get size(): number {
    return this.#size;
  }

  /** The number of changes so far, which a sync covers if it starts now. */
  get changes(): number {
    return this.#settled + this.#changes.length;
  }

  read(position: number, length: number): Uint8Array<ArrayBuffer> {
    return this.content.slice(position, Math.min(position + length, this.#size));
  }

  copyTo(bytes: SparseBytes, from: number, to: number): void {
    bytes.copy(this.content, from, to);
  }

  firstDifference(expected: SparseBytes, from: number, to: number): number {
    return this.content.firstDifference(expected, from, to);
  }

  write(position: number, bytes: Uint8Array, through = false): void {
    if (bytes.length === 0) return;
    const end = position + bytes.length;
    this.content.write(position, bytes);
    this.#changes.push({ kind: "bytes", position, bytes, through });
    this.#resize(Math.max(this.#size, end));
    if (through) this.#writeThrough();
  }

  /** The last change that was written through. The lengths and freed blocks before it, in the journal, are durable too. */
  get #lastThrough(): number {
    return this.#changes.findLastIndex((change) => change.kind === "bytes" && change.through);
  }

  /** Makes written-through changes durable, and with them the changes in the journal. */
  #writeThrough(): void {
    const durable = this.#durable;
    for (const change of this.#changes.slice(0, this.#lastThrough + 1)) {
      if (change.kind === "bytes" && !change.through) continue;
      apply(durable, change);
      if (change.kind !== "bytes") continue;
      durable.size = Math.max(durable.size, change.position + change.bytes.length);
    }
  }

  /** As ftruncate(2). */
  truncate(size: number): void {
    if (size < this.#size) this.#zero(size, this.#size);
    this.#resize(size);
  }

  /** As fallocate(2) without FALLOC_FL_KEEP_SIZE. */
  extend(size: number): void {
    this.#resize(Math.max(this.#size, size));
  }

  /** As fallocate(2) with FALLOC_FL_PUNCH_HOLE. */
  punch(from: number, to: number): void {
    if (Math.min(to, this.#size) > from) this.#zero(from, Math.min(to, this.#size));
  }

  #zero(from: number, to: number): void {
    this.content.zero(from, to);
    this.#changes.push({ kind: "zeros", from, to });
  }

  #resize(size: number): void {
    if (size === this.#size) return;
    this.#size = size;
    this.#changes.push({ kind: "size", size });
  }

  // ---- durability -------------------------------------------------------------------------------------------------

  /** Records a successful sync that covers so many changes. */
  makeDurable(upTo: number): void {
    for (const change of this.#take(upTo)) apply(this.#durable, change);
    // Earlier changes must not overwrite it.
    this.#writeThrough();
  }

  /**
   * Records a failed sync that covers so many changes. Some sectors are on the disk. The kernel drops the others: no
   * later sync writes them. Lengths and freed blocks are in the journal, which is written. With `early` the bytes that
   * the server does not have are lost.
   */
  forget(upTo: number, random: Random, early: boolean): void {
    const keeps = () => random.chance(0.5);
    const durable = this.#durable;
    const { size } = durable;
    for (const change of this.#take(upTo)) {
      apply(this.#durable, change, change.kind === "bytes" ? keepsOf(change, keeps) : undefined);
    }
    this.#writeThrough();
    if (!early) return;
    // An extension of the file may be lost too.
    if (keeps()) durable.size = Math.min(durable.size, size);
    durable.content.zero(durable.size, Infinity);
    this.content.copy(durable.content, 0, Infinity);
    const now = { content: this.content, size: durable.size };
    for (const change of this.#changes) {
      apply(now, change);
      if (change.kind === "bytes") {
        now.size = Math.max(now.size, change.position + change.bytes.length);
      }
    }
    this.#size = now.size;
  }

  #take(upTo: number): Change[] {
    const count = Math.max(0, upTo - this.#settled);
    this.#settled += count;
    return this.#changes.splice(0, count);
  }

  /** The file after a power cut: any sectors of the unsynced bytes, and any of the lengths since the sync. */
  image(random: Random, kept: Kept): FileImage {
    const image = { content: this.#durable.content.clone(), size: this.#durable.size };
    if (kept === "nothing") return image;
    const keeps = kept === "everything" ? undefined : () => random.chance(0.5);
    let sizes = [image.size];
    const lastThrough = this.#lastThrough;
    for (const [index, change] of this.#changes.entries()) {
      const isDurable = change.kind === "zeros" && index < lastThrough;
      if (change.kind === "size") sizes.push(change.size);
      else apply(image, change, isDurable ? undefined : keepsOf(change, keeps));
      if (change.kind === "bytes" && change.through) sizes = [this.#durable.size];
    }
    image.size = kept === "everything" ? this.#size : random.pick(sizes);
    image.content.zero(image.size, Infinity);
    return image;
  }
}

/** The sectors of a change that a disk keeps: all if it was written through. */
function keepsOf(change: Change, keeps: (() => boolean) | undefined): (() => boolean) | undefined {
  return change.kind === "bytes" && change.through ? undefined : keeps;
}

/** Repeats a change: all of it, or the kept sectors. */
function apply(
  image: { content: SparseBytes; size: number },
  change: Change,
  keeps?: () => boolean,
): void {
  const { content } = image;
  if (change.kind === "size") image.size = change.size;
  else if (change.kind === "zeros") {
    if (!keeps) return content.zero(change.from, change.to);
    for (const [from, to] of content.extents(change.from, change.to)) {
      forEachSector(from, to, (start, end) => keeps() && content.zero(start, end));
    }
  } else {
    const { position, bytes } = change;
    if (!keeps) return content.write(position, bytes);
    forEachSector(position, position + bytes.length, (start, end) => {
      if (keeps()) content.write(start, bytes.subarray(start - position, end - position));
    });
  }
}

function forEachSector(from: number, to: number, visit: (start: number, end: number) => void) {
  for (let at = from; at < to;) {
    const end = Math.min(to, at - at % SECTOR + SECTOR);
    visit(at, end);
    at = end;
  }
}
