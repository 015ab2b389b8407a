// What may stand at each name, now and after a power cut.

import { Violation } from "./promises.ts";

/** A place for a name: the directory's inode and the component. It stays the same when the directory is renamed. */
export type Place = string;

/** What stands at a name: an inode; undefined: nothing; "new": a file that is being made. */
export type Occupant = number | undefined | "new";

/** The names that there are, and the inodes that they lead to. */
export type Listing = ReadonlyMap<Place, number>;

interface Expectation {
  now: Set<Occupant>;
  durable: Set<Occupant>;
  /** Calls under way that may change it, and all that there were. */
  pending: number;
  begun: number;
}

/** A change of a name that is under way. */
export interface NameChange {
  /** It is over. What stands there now is this; nobody knows where it is left out. */
  settled(...occupant: [Occupant?]): void;
}

/** Whether a name is one that an atomic file has before its own. */
export function isTemporary(place: Place): boolean {
  return /\/\.[^/]*\.tmp$/.test(place);
}

/** Expects names. */
export class ExpectedNames {
  readonly #places = new Map<Place, Expectation>();

  constructor(listing: Listing) {
    for (const [place, inode] of listing) {
      const now = new Set<Occupant>([inode]);
      this.#places.set(place, { now, durable: new Set(now), pending: 0, begun: 0 });
    }
  }

  #at(place: Place): Expectation {
    let expectation = this.#places.get(place);
    if (!expectation) {
      expectation = {
        now: new Set([undefined]),
        durable: new Set([undefined]),
        pending: 0,
        begun: 0,
      };
      this.#places.set(place, expectation);
    }
    return expectation;
  }

  /** How many calls began to change what stands there; undefined while one is under way. */
  begunAt(place: Place): number | undefined {
    const { pending, begun } = this.#at(place);
    return pending > 0 ? undefined : begun;
  }

  /** Somebody begins to put one of `occupants` there. */
  begin(place: Place, ...occupants: Occupant[]): NameChange {
    const expectation = this.#at(place);
    for (const occupant of occupants) {
      expectation.now.add(occupant);
      expectation.durable.add(occupant);
    }
    expectation.pending++;
    expectation.begun++;
    return {
      settled: (...result) => {
        expectation.pending--;
        if (result.length === 0) return;
        const now = result[0];
        expectation.durable.add(now);
        if (expectation.pending === 0) expectation.now = new Set([now]);
        else expectation.now.add(now);
      },
    };
  }

  /** Another process has put `occupant` there. */
  changed(place: Place, occupant: Occupant): void {
    this.begin(place, occupant).settled(occupant);
  }

  /** What stands there now survives a power cut. */
  promise(place: Place): void {
    const expectation = this.#at(place);
    if (expectation.pending === 0) expectation.durable = new Set(expectation.now);
  }

  /** Compares the names that there are with those that may be. `kept` are atomic files that may have a hidden name. */
  check(listing: Listing, temporaries: number): void {
    this.#compare(listing, (expectation) => expectation.now, "file of the call");
    const hidden = [...listing.keys()].filter(isTemporary);
    if (hidden.length > temporaries) {
      throw new Violation("atomic", `${hidden.join(", ")}, where ${temporaries} may be`);
    }
  }

  /** The same of the names that a power cut leaves. */
  checkDurable(listing: Listing): void {
    this.#compare(listing, (expectation) => expectation.durable, "writer 4");
  }

  #compare(
    listing: Listing,
    allowed: (expectation: Expectation) => Set<Occupant>,
    promise: "file of the call" | "writer 4",
  ): void {
    for (const place of new Set([...listing.keys(), ...this.#places.keys()])) {
      const expectation = this.#places.get(place);
      if (!expectation && isTemporary(place)) continue;
      const occupants = expectation ? allowed(expectation) : new Set([undefined]);
      const inode = listing.get(place);
      if (occupants.has(inode) || (inode !== undefined && occupants.has("new"))) continue;
      const right = [...occupants].join(" or ");
      throw new Violation(promise, `at ${place} stands ${inode}, right is ${right}`);
    }
  }
}
