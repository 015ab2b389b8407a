// Where a program runs: a simulated kernel, or the real one in a real directory.

import type { Engine } from "../../src/engine/engine.ts";
import type { Clock } from "./kernel/clock.ts";
import type { Fault } from "./kernel/faults.ts";
import type { FileView, FlightObserver } from "./kernel/flight.ts";
import type { FileImage, Kept } from "./kernel/simulated_file.ts";
import type { Listing, Place } from "./oracle/expected_names.ts";
import { bytesOf } from "./program/bytes.ts";
import type { Random } from "./random.ts";

export interface CutImage {
  readonly names: Listing;
  /** Files by inode, whether they have a name or not. */
  readonly file: (inode: number) => FileImage | undefined;
}

/** What is left of the kernel's at the end. */
export interface Leftovers {
  readonly descriptors: number;
  readonly blocks: number;
  readonly inFlight: number;
  readonly budget: number;
}

/** The machine below a program. */
export interface World {
  /** What file system it is, for a trace. */
  readonly description: string;
  readonly engine: Engine;
  readonly clock: Clock;
  /** The directory in which everything happens. */
  readonly root: string;
  /** Names of the directories in it. */
  readonly directories: readonly string[];
  /** Hears of every operation from now on. */
  observer: FlightObserver | undefined;

  /** The file at a path. */
  fileAt(path: string): FileView | undefined;
  /** The file of an inode that is open or was seen. */
  fileOf(inode: number): FileView | undefined;
  placeOf(path: string): Place | undefined;
  listing(): Listing;
  /** The directory that relative paths start from. */
  changeDirectory(path: string): void;

  // What another process does.
  append(path: string, bytes: Uint8Array): void;
  truncate(path: string, length: number): void;
  rename(from: string, to: string): void;
  remove(path: string): void;
  /** Writes a whole new file there, under another inode. */
  replace(path: string, bytes: Uint8Array): void;

  readonly operations: number;
  /** Faults that came about so far, and how many with results that were short. */
  readonly faults: readonly Fault[];
  readonly faultCount: number;
  /** Ends all faults. */
  calm(): void;
  /** Whether something is missing on this machine, or a result was short: then more errors are right. */
  readonly isLimited: boolean;
  /** Bytes of memory that streams and calls have for data. */
  readonly bytesForData: number;
  /** What a power cut would leave now; undefined where nobody can tell. */
  cut(kept: Kept): CutImage | undefined;
  leftovers(): Leftovers;
  /** The engine is not to be used any more, and everything that is left is given back. */
  dispose(): void;
}

/** Names of the directories in every world. */
export const DIRECTORIES: readonly string[] = ["a", "b"];

/** Passes everything on to whoever observes a world by then: the oracle, once it is there. */
export function passOn(world: { readonly observer: FlightObserver | undefined }): FlightObserver {
  return {
    submitted: (flight) => world.observer?.submitted(flight),
    performed: (flight) => world.observer?.performed(flight),
    returned: (flight) => world.observer?.returned(flight),
    completed: () => world.observer?.completed(),
  };
}

/** The files that are in a directory from the beginning on. */
export function* drawFiles(random: Random): Generator<[name: string, content: Uint8Array]> {
  for (const file of ["one", "two"]) {
    if (!random.chance(0.5)) continue;
    const length = random.pick([0, 5, 512, 4096, 5000, random.below(20_000)]);
    yield [file, bytesOf(random.seed(), length)];
  }
}
