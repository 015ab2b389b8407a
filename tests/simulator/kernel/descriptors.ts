// Descriptors: what each number stands for.

import { Errno, O_APPEND, O_DIRECT } from "../../../src/engine/linux.ts";
import type { Node } from "./directory_tree.ts";

/** An open file description. */
export class Description {
  /** Operations that use it. */
  inFlight = 0;
  /** Failures of syncs that it was told of: each description is told of each (errseq_t). */
  failuresSeen: number;

  constructor(readonly fd: number, readonly node: Node, public flags: number) {
    this.failuresSeen = node.isDirectory ? 0 : node.failedSyncs;
  }

  /** The errno of a failure that it was not told of; 0 where there is none. Tells it. */
  takeFailure(): number {
    if (this.node.isDirectory || this.failuresSeen === this.node.failedSyncs) return 0;
    this.failuresSeen = this.node.failedSyncs;
    return this.node.syncErrno;
  }

  get isDirect(): boolean {
    return (this.flags & O_DIRECT) !== 0;
  }

  /** Whether every write goes to the end. */
  get appends(): boolean {
    return (this.flags & O_APPEND) !== 0;
  }
}

const FIRST = 3;

/** The error of an open where too many files are open. */
export const EMFILE = 24;

export class DescriptorTable {
  readonly #open = new Map<number, Description>();
  /** Whether numbers are given again, as Linux does; else a number that was closed is known for good. */
  readonly #reuses: boolean;
  readonly #limit: number;
  #next = FIRST;

  constructor(reuses: boolean, limit: number) {
    this.#reuses = reuses;
    this.#limit = limit;
  }

  get size(): number {
    return this.#open.size;
  }

  get(fd: number): Description | undefined {
    return this.#open.get(fd);
  }

  /** A new descriptor, or `-errno`. */
  open(node: Node, flags: number): number {
    if (this.#open.size >= this.#limit) return -EMFILE;
    let fd = this.#next;
    if (this.#reuses) {
      fd = FIRST;
      while (this.#open.has(fd)) fd++;
    } else this.#next++;
    this.#open.set(fd, new Description(fd, node, flags));
    return fd;
  }

  /** Closes a descriptor. Returns what it was, where it was any. */
  close(fd: number): Description | undefined {
    const description = this.#open.get(fd);
    this.#open.delete(fd);
    if (description && !description.node.isDirectory) {
      description.node.locks.delete(description);
    }
    return description;
  }

  /** As fcntl(2) with F_SETFL. */
  setFlags(fd: number, flags: number): number {
    const description = this.#open.get(fd);
    if (!description) return -Errno.EBADF;
    description.flags = (description.flags & ~O_DIRECT) | (flags & O_DIRECT);
    return 0;
  }
}
