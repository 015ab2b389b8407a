// Where a program runs: a simulated kernel, or the real one in a real directory.

import type { Engine } from "../../src/engine/engine.ts";
import type { Fault } from "./kernel/faults.ts";
import type { FileView, FlightObserver } from "./kernel/flight.ts";
import type { FileImage, Kept } from "./kernel/simulated_file.ts";
import type { Listing, Place } from "./oracle/expected_names.ts";

/** What a power cut leaves. */
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
  readonly engine: Engine;
  /** The directory in which everything happens. */
  readonly root: string;
  /** Names of the directories in it. */
  readonly directories: readonly string[];
  /** Whether positions and lengths on disk are as the module left them, so that a cut can be looked at. */
  readonly isSimulated: boolean;
  /** Hears of every operation from now on. */
  observer: FlightObserver;
  /** Microseconds since the beginning. */
  readonly now: number;
  sleep(microseconds: number): Promise<void>;

  /** The file at a path. */
  fileAt(path: string): FileView | undefined;
  /** The file of an inode that is open or was seen. */
  fileOf(inode: number): FileView | undefined;
  /** The place that a path means now. */
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

  /** Faults that came about so far; undefined where nobody can tell. */
  readonly faults: readonly Fault[];
  /** Whether something is missing on this machine, or a result was short: then more errors are right. */
  readonly isLimited: boolean;
  /** Bytes of memory that streams and calls have for data; undefined where nobody counts. */
  readonly bytesForData: number | undefined;
  /** What a power cut would leave now. */
  cut(kept: Kept): CutImage | undefined;
  leftovers(): Leftovers;
}
