// The possible files at each name, now and after a power cut.

import type { DirectoryTree, Listing, Place } from "../kernel/directory_tree.ts";
import { violate } from "./promises.ts";

/** The file at a name: an inode, undefined for none, or "new" for a file that is being created. */
export type Occupant = number | undefined | "new";

interface Expectation {
  now: Set<Occupant>;
  durable: Set<Occupant>;
  /** The number of running calls that may change the name, and of all such calls so far. */
  pending: number;
  begun: number;
}

/** Whether a name is the hidden, temporary one of an atomic file. */
export function isTemporary(place: Place): boolean {
  return /\/\.[^/]*\.tmp$/.test(place);
}

export class ExpectedNames {
  readonly #places = new Map<Place, Expectation>();

  constructor(readonly tree: DirectoryTree) {
    for (const [place, inode] of tree.listing()) this.#at(place, inode);
  }

  /** The expectation of a name. At the first call `occupant` is there, and durable. */
  #at(place: Place, occupant?: Occupant): Expectation {
    let expectation = this.#places.get(place);
    if (!expectation) {
      const [now, durable] = [new Set([occupant]), new Set([occupant])];
      this.#places.set(place, expectation = { now, durable, pending: 0, begun: 0 });
    }
    return expectation;
  }

  /** The number of calls that began to change the name; undefined while one is running. */
  begunAt(place: Place): number | undefined {
    const { pending, begun } = this.#at(place);
    return pending > 0 ? undefined : begun;
  }

  /** Begins a change of the name to one of `occupants`. */
  begin(place: Place, ...occupants: Occupant[]) {
    const expectation = this.#at(place);
    const { now, durable } = expectation;
    for (const set of [now, durable]) for (const occupant of occupants) set.add(occupant);
    expectation.pending++;
    expectation.begun++;
    return {
      /** The number of calls that have begun to change the name, with this one. */
      begun: expectation.begun,
      /** Ends the change. The file at the name is then known, unless the call has failed. */
      settled: (isKnown = true) => {
        expectation.pending--;
        if (!isKnown) return;
        const now = this.tree.listing().get(place);
        expectation.durable.add(now);
        if (expectation.pending === 0) expectation.now = new Set([now]);
        else expectation.now.add(now);
      },
    };
  }

  /** Records that another process has changed the name. */
  changed(place: Place): void {
    this.begin(place).settled();
  }

  /** Makes the current file at the name durable. */
  promise(place: Place): void {
    const expectation = this.#at(place);
    if (expectation.pending === 0) expectation.durable = new Set(expectation.now);
  }

  /** Compares the existing names with the possible ones, or those after a power cut with the durable ones. */
  check(listing: Listing, which: "now" | "durable"): void {
    for (const place of new Set([...listing.keys(), ...this.#places.keys()])) {
      const expectation = this.#places.get(place);
      if (!expectation && isTemporary(place)) continue;
      const occupants = expectation?.[which] ?? new Set([undefined]);
      const inode = listing.get(place);
      if (occupants.has(inode) || (inode !== undefined && occupants.has("new"))) continue;
      const promise = which === "now" ? "file of the call" : "writer 4";
      const right = [...occupants].join(" or ");
      violate(promise, `at ${place} stands ${inode}, right is ${right}`);
    }
  }
}
