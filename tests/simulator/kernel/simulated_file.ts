// A file in memory: what is in it, what of that is durable, and what a power cut may keep of the rest.

import type { Random } from "../random.ts";
import { SparseBytes } from "./sparse_bytes.ts";

/** The unit in which a disk keeps or loses what was not synced. */
const SECTOR = 512;

/** What was done to a file and is not durable yet. */
type Change =
  | {
    readonly kind: "bytes";
    readonly position: number;
    readonly bytes: Uint8Array;
    /** RWF_DSYNC: it is durable, also where what came before is not. */
    readonly through: boolean;
  }
  | { readonly kind: "zeros"; readonly from: number; readonly to: number }
  | { readonly kind: "size"; readonly size: number };

/** A file as a power cut leaves it. */
export interface FileImage {
  readonly content: SparseBytes;
  readonly size: number;
}

/** How much a power cut keeps of what was not synced. */
export type Kept = "nothing" | "everything" | "some";

export class SimulatedFile {
  readonly isDirectory = false;
  readonly content: SparseBytes = new SparseBytes();
  /** Names that it has now. */
  links = 0;
  /** Whether linkat(2) takes it: a file that lost its last name never gets another. */
  linkable = true;
  /** Open descriptions, for flock(2). */
  readonly locks: Map<object, "shared" | "exclusive"> = new Map();
  /** Syncs that failed, and how the last one did. */
  failedSyncs = 0;
  syncErrno = 0;
  #size = 0;
  readonly #durable = { content: new SparseBytes(), size: 0 };
  #changes: Change[] = [];
  /** Changes that were taken out of the list, because they are durable. */
  #settled = 0;

  constructor(readonly inode: number) {}

  get size(): number {
    return this.#size;
  }

  /** How many changes there ever were: what a sync that starts now covers. */
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

  /** Makes durable what was written through, up to the last such change. What a journal has of the file goes along. */
  #writeThrough(): void {
    const durable = this.#durable;
    const isThrough = (change: Change) => change.kind === "bytes" && change.through;
    const count = 1 + this.#changes.findLastIndex(isThrough);
    for (const change of this.#changes.slice(0, count)) {
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

  /** A sync that covers so many changes has succeeded. */
  makeDurable(upTo: number): void {
    for (const change of this.#take(upTo)) apply(this.#durable, change);
    // What came before it must not take its place.
    this.#writeThrough();
  }

  /**
   * A sync that covers so many changes has failed. Some sectors are on the disk. The kernel forgets the others: no later
   * sync writes them. Lengths and freed blocks are the journal's, which is written. With `early` a server has what is on its
   * disk, and nobody has the rest any more.
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
    // What made it longer may not have come there either.
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

  /** What a power cut leaves: of what was not synced any sectors, and any of the lengths since. */
  image(random: Random, kept: Kept): FileImage {
    const image = { content: this.#durable.content.clone(), size: this.#durable.size };
    if (kept === "nothing") return image;
    const keeps = kept === "everything" ? undefined : () => random.chance(0.5);
    let sizes = [image.size];
    for (const change of this.#changes) {
      if (change.kind === "size") sizes.push(change.size);
      else apply(image, change, keepsOf(change, keeps));
      if (change.kind === "bytes" && change.through) sizes = [this.#durable.size];
    }
    image.size = kept === "everything" ? this.#size : random.pick(sizes);
    image.content.zero(image.size, Infinity);
    return image;
  }
}

/** What a disk keeps of a change: all where it was written through. */
function keepsOf(change: Change, keeps: (() => boolean) | undefined): (() => boolean) | undefined {
  return change.kind === "bytes" && change.through ? undefined : keeps;
}

/** Does again what was done: all of it, or the sectors that are kept. */
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
