// The table of descriptors.

import { Errno, O_APPEND, O_DIRECT } from "../../../src/engine/linux.ts";
import type { Node } from "./directory_tree.ts";
import type { SimulatedFile } from "./simulated_file.ts";

/** An open file description. */
export class Description {
  /** Operations that use it. */
  inFlight = 0;
  /** The failed syncs that were reported to this description: each description gets each failure once (errseq_t). */
  failuresSeen: number;

  constructor(readonly fd: number, readonly node: Node, public flags: number) {
    this.failuresSeen = node.isDirectory ? 0 : node.failedSyncs;
  }

  /** The errno of an unreported failure, which is then reported; 0 if there is none. */
  takeFailure(): number {
    if (this.node.isDirectory || this.failuresSeen === this.node.failedSyncs) return 0;
    this.failuresSeen = this.node.failedSyncs;
    return this.node.syncErrno;
  }

  get file(): SimulatedFile | undefined {
    return this.node.isDirectory ? undefined : this.node;
  }

  get isDirect(): boolean {
    return (this.flags & O_DIRECT) !== 0;
  }

  /** Whether every write goes to the end (O_APPEND). */
  get appends(): boolean {
    return (this.flags & O_APPEND) !== 0;
  }
}

const FIRST = 3;

/** The error of an open if too many files are open. */
export const EMFILE = 24;

export class DescriptorTable {
  readonly #open = new Map<number, Description>();
  /** Whether numbers are reused, as by Linux. Otherwise the use of a closed number is always detected. */
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

  close(fd: number): void {
    const description = this.#open.get(fd);
    this.#open.delete(fd);
    description?.file?.locks.delete(description);
  }

  /** As fcntl(2) with F_SETFL. */
  setFlags(fd: number, flags: number): number {
    const description = this.#open.get(fd);
    if (!description) return -Errno.EBADF;
    description.flags = (description.flags & ~O_DIRECT) | (flags & O_DIRECT);
    return 0;
  }
}
