// An open descriptor and what is known of it: shared by a file, its streams and their cores, so that it is
// closed once, and only after every operation on it is back from the kernel.

import { type Completion, type Engine, outcome } from "../engine/engine.ts";
import type { SharedReads } from "./shared_reads.ts";
import { closedError, unwrap } from "../errors.ts";

/** What opening found out. */
export interface HandleFacts {
  readonly engine: Engine;
  readonly fd: number;
  readonly path: string;
  /** Whether I/O goes past the page cache. */
  readonly direct: boolean;
  /** What Direct I/O wants the address of a buffer to be a multiple of. */
  readonly memoryAlignment: number;
  /** What Direct I/O wants positions and lengths to be multiples of. */
  readonly alignment: number;
  readonly readable: boolean;
  readonly writable: boolean;
  readonly device: number;
  readonly inode: bigint;
  /** Whether this open made the file, so that its name is not durable yet. */
  readonly created: boolean;
  /** Whether this open made or emptied the file: nobody else's bytes are in it. */
  readonly ownsSize: boolean;
}

/** What happens to a file's name when it is closed or given up. For atomic files. */
export interface Publication {
  /** Gives the file its name, durably. The file itself is durable already. */
  publish(handle: Handle): Promise<void>;
  /** Leaves no name behind. */
  discard(handle: Handle): Promise<void>;
}

/** A writer at work on a handle. */
export interface Occupant {
  /** Gives the writer up: what it holds is cut to what is whole. Resolves when it is off the file. */
  evict(reason: unknown): Promise<void>;
}

/** An open file. */
export class Handle {
  readonly engine: Engine;
  readonly fd: number;
  readonly direct: boolean;
  readonly memoryAlignment: number;
  readonly alignment: number;
  writable: boolean;
  readonly device: number;
  readonly inode: bigint;
  readonly ownsSize: boolean;
  /** False where the caller did not ask for it, though the descriptor might be able to. */
  readable: boolean;
  /** Where it was opened, or where it was renamed to since. */
  path: string;
  /** Whether the parent directory has yet to be synced for the name to survive a power cut. */
  nameVolatile: boolean;
  /** The end of what was written by way of this handle. Tells content from space that was only reserved. */
  contentEnd = 0;
  /** The file is no longer than this on disk, as far as this handle knows. */
  longest = 0;
  /** Counts changes, so that a sync with nothing new to make durable can be told. */
  changes = 0;
  publication: Publication | undefined;
  /** There where the file was sealed: it does not change, so reads can be shared. */
  sharedReads: SharedReads | undefined;
  occupant: Occupant | undefined;
  /** The object that users had is gone: whoever is last closes. */
  dropped = false;
  #operations = 0;
  #idle: (() => void) | undefined;
  #closing: Promise<void> | undefined;

  constructor(facts: HandleFacts) {
    this.engine = facts.engine;
    this.fd = facts.fd;
    this.path = facts.path;
    this.direct = facts.direct;
    this.memoryAlignment = facts.memoryAlignment;
    this.alignment = facts.alignment;
    this.readable = facts.readable;
    this.writable = facts.writable;
    this.device = facts.device;
    this.inode = facts.inode;
    this.nameVolatile = facts.created;
    this.ownsSize = facts.ownsSize;
  }

  get closed(): boolean {
    return this.#closing !== undefined;
  }

  /** Throws where the file is closed. */
  assertOpen(op: string): void {
    if (this.#closing) throw closedError(op, this.path);
  }

  /** Runs one operation; closing waits for it. Rejects with the error that its result stands for. */
  async run(op: string, queue: (done: Completion) => void): Promise<number> {
    this.enter(op);
    try {
      return unwrap(await outcome(queue), op, this.path);
    } finally {
      this.leave();
    }
  }

  /** Notes an operation that uses the descriptor from here to {@linkcode leave}. */
  enter(op: string): void {
    this.assertOpen(op);
    this.#operations++;
  }

  leave(): void {
    if (--this.#operations === 0) this.#idle?.();
  }

  /** Closes the descriptor when the operations on it are done. The second call gives the first one's promise. */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    if (this.#operations > 0) await new Promise<void>((resolve) => this.#idle = resolve);
    // Linux lets go of the descriptor whatever close returns: it is never tried again.
    const result = await outcome((done) => this.engine.close(this.fd, done));
    unwrap(result, "close", this.path);
  }
}
