// The world of a program: a simulated kernel, or the real one in a real directory.

import type { Clock } from "./kernel/clock.ts";
import type { Faults } from "./kernel/faults.ts";
import type { FileView } from "./kernel/flight.ts";
import type { FileImage, Kept } from "./kernel/simulated_file.ts";
import type { TimedKernel } from "./kernel/kernel.ts";
import type { Listing, Place } from "./oracle/expected_names.ts";
import { bytesOf } from "./program/bytes.ts";
import type { Random } from "./random.ts";

export interface CutImage {
  readonly names: Listing;
  /** Files by inode, with or without a name. */
  readonly file: (inode: number) => FileImage | undefined;
}

/** The machine below a program. */
export interface World {
  /** The name of the file system, for a trace. */
  readonly description: string;
  /** Whether writes take any position and length, also with Direct I/O. */
  readonly exactTails: boolean;
  /** Whether a failed sync loses the bytes of completed writes. */
  readonly answersEarly: boolean;
  readonly kernel: TimedKernel;
  readonly clock: Clock;
  /** The directory of all files. */
  readonly root: string;
  readonly faults: Faults;
  /** Whether a feature is missing on this machine, so that more errors are possible. */
  readonly isLimited: boolean;

  /** The file at a path. */
  fileAt(path: string): FileView | undefined;
  /** The file of an inode that is open or was observed. */
  fileOf(inode: number): FileView | undefined;
  placeOf(path: string): Place | undefined;
  listing(): Listing;
  /** The working directory. */
  changeDirectory(path: string): void;

  // Actions of another process.
  append(path: string, bytes: Uint8Array): void;
  truncate(path: string, length: number): void;
  rename(from: string, to: string): void;
  remove(path: string): void;
  /** Replaces the file by a new one with another inode. */
  replace(path: string, bytes: Uint8Array): void;

  /** The files after a power cut at this moment; undefined if they cannot be known. */
  cut(kept: Kept): CutImage | undefined;
  /** The open descriptors. */
  countDescriptors(): number;
  /** Ends the use of the kernel, and releases all resources. */
  dispose(): void;
}

/** Names of the directories in every world. */
export const DIRECTORIES: readonly string[] = ["a", "b"];

/** The memory budgets of streams. */
export const BUDGETS: readonly number[] = [64 << 20, 64 << 20, 512 << 10, 0];

/** The initial files of a directory. */
export function* drawFiles(random: Random): Generator<[name: string, content: Uint8Array]> {
  for (const file of ["one", "two"]) {
    if (!random.chance(0.5)) continue;
    const length = random.pick([0, 5, 512, 4096, 5000, random.below(20_000)]);
    yield [file, bytesOf(random.seed(), length)];
  }
}
