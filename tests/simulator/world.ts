// Where a program runs: a simulated kernel, or the real one in a real directory.

import type { Clock } from "./kernel/clock.ts";
import type { Faults } from "./kernel/faults.ts";
import type { FileView, OpenDescription } from "./kernel/flight.ts";
import type { FileImage, Kept } from "./kernel/simulated_file.ts";
import type { TimedKernel } from "./kernel/timed_kernel.ts";
import type { Listing, Place } from "./oracle/expected_names.ts";
import { bytesOf } from "./program/bytes.ts";
import type { Random } from "./random.ts";

export interface CutImage {
  readonly names: Listing;
  /** Files by inode, whether they have a name or not. */
  readonly file: (inode: number) => FileImage | undefined;
}

/** The machine below a program. */
export interface World {
  /** What file system it is, for a trace. */
  readonly description: string;
  /** Whether writes take any position and length, also with Direct I/O. */
  readonly exactTails: boolean;
  /** Whether a sync that fails loses what writes before it have brought. */
  readonly answersEarly: boolean;
  readonly kernel: TimedKernel<OpenDescription>;
  readonly clock: Clock;
  /** The directory in which everything happens. */
  readonly root: string;
  readonly faults: Faults;
  /** Whether something is missing on this machine: then more errors are right. */
  readonly isLimited: boolean;

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

  /** What a power cut would leave now; undefined where nobody can tell. */
  cut(kept: Kept): CutImage | undefined;
  /** Descriptors that are open. */
  countDescriptors(): number;
  /** The kernel is not to be used any more, and everything that is left is given back. */
  dispose(): void;
}

/** Names of the directories in every world. */
export const DIRECTORIES: readonly string[] = ["a", "b"];

/** The files that are in a directory from the beginning on. */
export function* drawFiles(random: Random): Generator<[name: string, content: Uint8Array]> {
  for (const file of ["one", "two"]) {
    if (!random.chance(0.5)) continue;
    const length = random.pick([0, 5, 512, 4096, 5000, random.below(20_000)]);
    yield [file, bytesOf(random.seed(), length)];
  }
}
