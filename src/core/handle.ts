// An open descriptor and what is known of it: shared by a file, its streams and their cores, so that it is
// closed once, and only after every operation on it is back from the kernel.

import { type Engine, run } from "../engine/engine.ts";
import { Errno } from "../engine/linux.ts";
import type { Operation } from "../engine/operation.ts";
import type { SharedReads } from "./shared_reads.ts";
import { closedError, ioError, unwrap } from "../errors.ts";

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
  /** Whether it stands in a directory: a temporary file never does. */
  readonly named: boolean;
  /** Whether this open made or emptied the file: nobody else's bytes are in it. */
  readonly ownsSize: boolean;
  /** Whether writes that extend the file are like any others here, so that moving its end ahead gains nothing. */
  readonly extendsFreely: boolean;
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
  /** The user of the file truncates it: what was in it before is no content any more. */
  noteTruncation(): void;
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
  /** Whether {@linkcode path} is a name of this file: an atomic one has none before it is published. */
  named: boolean;
  readonly ownsSize: boolean;
  readonly extendsFreely: boolean;
  /** False where the caller did not ask for it, though the descriptor might be able to. */
  readable: boolean;
  /** Where it was opened, or where it was renamed to since. */
  path: string;
  /** Whether the parent directory has yet to be synced for the name to survive a power cut. */
  nameVolatile: boolean;
  /** How often it was renamed. */
  renames = 0;
  /** The end of what was written by way of this handle. Tells content from space that was only reserved. */
  contentEnd = 0;
  /** The file is no longer than this on disk, as far as this handle knows. */
  longest = 0;
  /** Counts changes, so that a sync with nothing new to make durable can be told. */
  changes = 0;
  publication: Publication | undefined;
  /** The first write or sync that failed: the file may not be what was meant. */
  spoiled: { readonly error: unknown } | undefined;
  /** There where the file was sealed: it does not change, so reads can be shared. */
  sharedReads: SharedReads | undefined;
  occupant: Occupant | undefined;
  /** The object that users had is gone: whoever is last closes. */
  dropped = false;
  /** Called when the descriptor is gone: nobody has to look after it any more. */
  onClosed: (handle: Handle) => void = () => {};
  /** Bytes that are on their way past the writer, by where they end. */
  readonly #puts = new Set<{ readonly end: number }>();
  /** Cuts under way, and who waits for their end. */
  #cuts = 0;
  #uncut: PromiseWithResolvers<void> | undefined;
  #operations = 0;
  #idle: (() => void) | undefined;
  #closing = false;
  readonly #closed = Promise.withResolvers<void>();

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
    this.named = facts.named;
    this.ownsSize = facts.ownsSize;
    this.extendsFreely = facts.extendsFreely;
    // Whoever closes looks at it; nobody else has to.
    this.#closed.promise.catch(() => {});
  }

  get closed(): boolean {
    return this.#closing;
  }

  /** Throws where the file is closed. */
  assertOpen(op: string): void {
    if (this.#closing) throw closedError(op, this.path);
  }

  /** Throws where the file has no name: `path` is another file's then, or the directory's. */
  assertNamed(op: string): void {
    if (!this.named) throw ioError(Errno.ENOENT, op, this.path, "the file has no name");
  }

  /** Runs one operation; closing waits for it. Rejects with the error that its result stands for. */
  run(op: string, operation: Operation): Promise<number> {
    return this.during(op, () => this.step(op, operation));
  }

  /** Runs work that may take several operations: closing waits for all of it, and it may go on meanwhile. */
  async during<T>(op: string, work: () => Promise<T>): Promise<T> {
    this.enter(op);
    try {
      return await work();
    } catch (error) {
      if (op === "write" || op === "sync") this.spoiled ??= { error };
      throw error;
    } finally {
      this.leave();
    }
  }

  /** One operation of such work. */
  async step(op: string, operation: Operation): Promise<number> {
    return unwrap(await run(this.engine, operation), op, this.path);
  }

  /** The end of what was or is being written by way of this handle: no cut may take that away. */
  get contentReach(): number {
    let reach = this.contentEnd;
    for (const { end } of this.#puts) reach = Math.max(reach, end);
    return reach;
  }

  /** Runs work that puts bytes into the file, up to `end`, past its writer. It begins when no cut is under way. */
  async putting<T>(end: number, work: () => Promise<T>): Promise<T> {
    while (this.#cuts > 0) await (this.#uncut ??= Promise.withResolvers()).promise;
    const put = { end };
    this.#puts.add(put);
    try {
      return await work();
    } finally {
      this.#puts.delete(put);
    }
  }

  /** Runs work that cuts off what was never written, if anything, and looks at {@linkcode contentReach} first. */
  async cutting<T>(work: () => Promise<T>): Promise<T> {
    this.#cuts++;
    try {
      return await work();
    } finally {
      if (--this.#cuts === 0) {
        this.#uncut?.resolve();
        this.#uncut = undefined;
      }
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

  /**
   * Closes the descriptor when the operations on it are done, and `last` with them; rejects where either fails. The
   * second call gives the first one's promise.
   */
  close(last?: () => Promise<void>): Promise<void> {
    if (!this.#closing) {
      this.#closing = true;
      this.#close(last);
    }
    return this.#closed.promise;
  }

  async #close(last: (() => Promise<void>) | undefined): Promise<void> {
    if (this.#operations > 0) await new Promise<void>((resolve) => this.#idle = resolve);
    const [before] = await Promise.allSettled([last?.()]);
    const result = await run(this.engine, { op: "close", fd: this.fd });
    // What went wrong before says more, and the descriptor is gone all the same.
    if (before.status === "rejected") {
      this.onClosed(this);
      this.#closed.reject(before.reason);
    } else this.#settle(result);
  }

  /** Linux lets go of the descriptor whatever close returns: it is never tried again. */
  #settle(result: number): void {
    this.onClosed(this);
    if (result < 0) this.#closed.reject(ioError(-result, "close", this.path));
    else this.#closed.resolve();
  }
}
