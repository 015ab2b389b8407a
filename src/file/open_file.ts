// An open file, shared by all objects that use it.

import { assert } from "../assert.ts";
import { type Engine, run } from "../engine/engine.ts";
import { Errno, RWF_DONTCACHE, RWF_DSYNC } from "../engine/linux.ts";
import { ioError } from "../errors.ts";
import type { Descriptor } from "./descriptor.ts";
import { Durability } from "./durability.ts";
import { FileChanges } from "./file_changes.ts";
import type { FileLength } from "./file_length.ts";
import type { FileSystem } from "./file_system.ts";
import type { Naming } from "./naming.ts";
import type { Access } from "./permissions.ts";
import type { StatFacts } from "./stat.ts";

export interface OpenRequest {
  readonly read: boolean;
  readonly write: boolean;
  readonly create: boolean;
  readonly createNew: boolean;
  readonly truncate: boolean;
  readonly mode: number;
  readonly direct: "require" | "prefer" | "off";
  readonly append: boolean;
  /** Open a file without a name in the directory of the name. */
  readonly unnamed: boolean;
  /** The access whose permissions were limited to some paths at the call. */
  readonly limited: readonly Access[];
}

/** Safe on every file system that does not report its alignment. */
const SAFE_ALIGNMENT = 4096;
/**
 * The largest block size. With some mount options `stx_blksize` is larger (xfs with `allocsize` or `largeio`), or a
 * stripe's width: only its largest divisor that is a power of two is whole blocks, and has atomic writes.
 */
const LARGEST_BLOCK = 64 << 10;

/**
 * The alignment of positions and lengths: whole blocks of the file system, even if the disk accepts smaller units. If a
 * file shares blocks with a copy (`cp --reflink`, the default of cp), xfs writes smaller units through the page cache.
 * These writes collide with direct writes beside them, and the next fsync(2) returns EIO: seen with kernel 6.18. So do
 * writes of another handle through the cache in the same page of memory: seen on ext4 with blocks of 1,024 bytes, and
 * with blocks of 4,096 bytes and pages of 16 KiB.
 */
function offsetAlignment({ directOffset = 0, blockSize }: StatFacts, pageSize: number): number {
  const block = directOffset > 0 && blockSize <= LARGEST_BLOCK ? blockSize & -blockSize : 0;
  return Math.max(pageSize, directOffset, block);
}

export interface AttachedWriter {
  readonly sink: AttachedSink | undefined;
  /** Whether its start is known. From then on it may have reserved space. */
  readonly hasOpened: boolean;
  /** Whether its close was announced or has begun, or it has failed. */
  readonly isOver: boolean;
  readonly failure: object | undefined;
  /** Cuts the file to its flushed prefix. Settles when the writer has released the file: rejects if the cut has failed. */
  abortWriter(reason: unknown): Promise<void>;
}

/** The sink of a writer, which also has the chunks that the writer has not accepted yet. */
export interface AttachedSink {
  /** Blocks until all chunks so far are in the file, until `deadline` at most (`performance.now()`). */
  flushNow(durable: boolean, deadline: number): void;
  /** Ends the writer, unless chunks wait that it cannot get. */
  finish(): void;
}

export class OpenFile {
  readonly engine: Engine;
  readonly changes: FileChanges;
  readonly length: FileLength;
  readonly durability: Durability;
  readonly memoryAlignment: number;
  readonly alignment: number;
  /** The unit of writes: 1 if there is no alignment. It stays when Direct I/O is abandoned: buffers depend on it. */
  readonly blockSize: number;
  /** The optional flags of writes (`RWF_*`): durable, and no pages in the cache. A transfer removes a refused one. */
  writeFlags: number;
  /** Whether the file is read-only, so that it no longer changes. */
  sealed = false;
  /** Whether the user's object was collected. The last stream of the file then closes it. */
  dropped = false;
  writer: AttachedWriter | undefined;
  /** The user's object while it has a lock, to keep it from being collected: its FinalizationRegistry has this file. */
  lockHolder: object | undefined;

  constructor(
    readonly descriptor: Descriptor,
    readonly naming: Naming,
    readonly request: OpenRequest,
    /** The facts at the open, before the file was emptied. Lengths, times and the mode may have changed since. */
    readonly facts: StatFacts,
    readonly fileSystem: FileSystem,
    /** Whether Direct I/O is used. False after the first refusal. */
    public direct: boolean,
    /** Whether the open created or emptied the file, so that all its bytes come from this module. */
    readonly ownsSize: boolean,
  ) {
    this.engine = descriptor.engine;
    // An open that empties the file notes that later.
    this.durability = new Durability(descriptor, naming.isVolatile ? 1 : 0);
    this.changes = FileChanges.join(this);
    this.length = this.changes.length;
    this.memoryAlignment = (direct && facts.directMemory) || SAFE_ALIGNMENT;
    this.alignment = direct ? offsetAlignment(facts, this.engine.pageSize) : SAFE_ALIGNMENT;
    this.blockSize = direct && !fileSystem.exactTails ? this.alignment : 1;
    this.writeFlags = (fileSystem.isLocal ? RWF_DSYNC : 0) | (request.append ? RWF_DONTCACHE : 0);
  }

  get fd(): number {
    return this.descriptor.fd;
  }

  get path(): string {
    return this.descriptor.path;
  }

  get writable(): boolean {
    return this.request.write && !this.sealed;
  }

  /** The bounds of an atomic write in bytes, which needs Direct I/O; both 0 if there is none. */
  get atomicWrite(): { readonly min: number; readonly max: number } {
    const { atomicWriteMin, atomicWriteMax: max } = this.facts;
    const min = Math.max(atomicWriteMin, this.alignment);
    return this.direct && min <= max ? { min, max } : { min: 0, max: 0 };
  }

  /** Notes that the user's object was collected. A writer that was dropped with it closes the file at its end. */
  drop(): void {
    this.dropped = true;
    if (!this.writer) this.close().catch(() => {});
  }

  /** Switches to the page cache after a refused transfer, unless Direct I/O is required. Returns whether it has. */
  leaveDirect(): boolean {
    const { direct } = this.request;
    if (this.direct && (direct === "require" || this.engine.setFlags(this.fd, 0) < 0)) return false;
    this.direct = false;
    return true;
  }

  /** Throws if the file is closed, or was not opened for reading, even if the descriptor is readable. */
  assertReadable(): void {
    this.descriptor.assertOpen("read");
    if (!this.request.read) {
      throw ioError(Errno.EBADF, "read", this.path, "it was opened with read: false");
    }
  }

  get #whyReadOnly(): string {
    return this.sealed ? "it was sealed" : "it was opened without write: true";
  }

  assertWritable(op: string): void {
    this.descriptor.assertOpen(op);
    if (!this.writable) throw ioError(Errno.EBADF, op, this.path, this.#whyReadOnly);
  }

  assertTakesWriter(): void {
    this.descriptor.assertOpen("write");
    const cannot = `Cannot write to '${this.path}'`;
    if (!this.writable) throw new TypeError(`${cannot}: ${this.#whyReadOnly}`);
    if (this.writer) {
      throw new TypeError(`${cannot} with two writers at once: close the first one`);
    }
  }

  detach(): void {
    assert(this.writer !== undefined, "a writer leaves its file once");
    this.writer = undefined;
    this.changes.beginHolds();
    this.descriptor.release();
  }

  /** As {@linkcode assertWritable}. Throws also with `append: true`, because such writes have no position. */
  assertWritableAt(op: string): void {
    this.assertWritable(op);
    if (!this.request.append) return;
    const why = "it was opened with append: true, and every write goes to its end";
    throw new TypeError(`Cannot write to a position of '${this.path}': ${why}`);
  }

  /** Runs work that changes a file in use from `start` on, and that may extend it to `end`. No truncate runs meanwhile. */
  async change<T>(start: number, end: number, work: () => Promise<T>): Promise<T> {
    const { changes } = this;
    // After a wait another truncate may have begun. If none waits or runs, the work begins within this call.
    while (changes.hasHolds) await new Promise<void>((step) => changes.whenWritable({ step }));
    changes.beginWrite(end);
    let isWhole = false;
    try {
      const result = await work();
      isWhole = true;
      return result;
    } finally {
      this.durability.noteChange();
      changes.endWrite(start, end, isWhole);
    }
  }

  get isDurable(): boolean {
    return this.durability.isDurable && !this.naming.isVolatile;
  }

  async sync(): Promise<void> {
    const { durability, naming } = this;
    const data = durability.isDurable ? undefined : durability.sync(true);
    const name = naming.isVolatile ? naming.sync() : undefined;
    // Both end before this does, even if one of them fails. Promise.allSettled takes longer, in each sync of a log.
    const named = name?.catch(() => {});
    try {
      await data;
    } catch (error) {
      await named;
      throw error;
    }
    await name;
  }

  syncNow(): void {
    this.durability.syncNow();
    this.naming.syncNow();
  }

  /**
   * Makes an atomic file durable, and publishes it. Rejects if a write of it has failed. If the writing `ends`, a program
   * is first reopened for reading, so that it can be executed at once: while it is open for writing, it cannot (ETXTBSY).
   */
  async publish(ends: boolean): Promise<void> {
    const { durability, engine, fd, fileSystem, naming, request } = this;
    if (durability.failure) throw durability.failure.error;
    if (!durability.isDurable) await durability.sync(false);
    const isProgram = (request.mode & 0o111) !== 0 && fileSystem.isLocal;
    if (isProgram && ends) await run(engine, { op: "reopen", fd });
    await naming.publish();
  }

  /** Closes the file after its last use. An atomic file is synced and published first. */
  close(): Promise<void> {
    return this.descriptor.close(() => this.#end());
  }

  /** Resolves to whether the close that follows writes nothing, and frees only blocks of the content. */
  async #end(): Promise<boolean> {
    try {
      if (this.naming.isUnpublished && !this.dropped) await this.publish(true);
    } finally {
      if (this.naming.isUnpublished) await this.naming.discard();
      this.naming.release();
      this.changes.leave(this);
    }
    const { inMemory, closeWaits } = this.fileSystem;
    // The close after writes to the page cache frees the blocks that xfs has reserved for further writes.
    const mayHaveReserved = this.request.write && !this.direct && !inMemory;
    return !mayHaveReserved && !closeWaits;
  }

  /** Closes the file without publishing it. Failures are ignored, because the caller already has one to report. */
  async giveUp(): Promise<void> {
    await this.naming.discard();
    await this.close().catch(() => {});
  }
}
