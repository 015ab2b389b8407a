// The table of descriptors.

import { O_APPEND, O_DIRECT } from "../../../src/engine/linux.ts";
import type { Node } from "./directory_tree.ts";
import type { SimulatedFile } from "./simulated_file.ts";

/** An open file description. */
export class Description {
  inFlight = 0;
  /** The failed syncs that were reported to this description: each description gets each failure once (errseq_t). */
  failuresSeen: number;

  constructor(readonly node: Node, public flags: number) {
    this.failuresSeen = node.isDirectory ? 0 : node.failedSyncs;
  }

  /** The errno of an unreported failure, which is then reported; 0 if there is none. */
  takeFailure(): number {
    const { file } = this;
    if (!file || this.failuresSeen === file.failedSyncs) return 0;
    this.failuresSeen = file.failedSyncs;
    return file.syncErrno;
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

export class DescriptorTable extends Map<number, Description> {
  #next = FIRST;

  /** With `reuses` numbers are reused, as by Linux. Otherwise the use of a closed number is always detected. */
  constructor(readonly reuses: boolean, readonly limit: number) {
    super();
  }

  /** A new descriptor, or `-errno`. */
  open(node: Node, flags: number): number {
    if (this.size >= this.limit) return -EMFILE;
    if (this.reuses) this.#next = FIRST;
    while (this.has(this.#next)) this.#next++;
    this.set(this.#next, new Description(node, flags));
    return this.#next++;
  }

  close(fd: number): void {
    const description = this.get(fd);
    this.delete(fd);
    description?.file?.locks.delete(description);
  }
}
