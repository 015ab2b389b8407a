// A contestant of the comparison: a command, its settings, and a parser of its output.

import type { Tools } from "./tools.ts";

/** Contestants of a group do the same work, and are compared with each other. */
export type Group =
  | "start"
  | "write"
  | "read"
  | "copy"
  | "records"
  | "files"
  | "random"
  | "ranges"
  | "writers"
  | "blocks";

/** The paths and the size of one run. */
export interface Run {
  readonly tools: Tools;
  /** Bytes to write or read. */
  readonly size: number;
  /** An unused name to write to. */
  readonly path: string;
  /** A file of `size` bytes to read, not in the page cache. */
  readonly source: string;
}

/** The figures that a program reports. */
export interface Outcome {
  /** From before the open to after the close, with the data durable; absent: the whole process is timed. */
  readonly seconds?: number;
  readonly bytes?: number;
  /** Records or files. */
  readonly count?: number;
  /** The delay of each tick of a 1 ms timer, in milliseconds. */
  readonly delays?: readonly number[];
}

/** One side of the comparison. */
export interface Contestant {
  readonly id: string;
  readonly group: Group;
  readonly label: string;
  /** The settings, for the table. Defaults are named as such. */
  readonly settings: string;
  /** The command line; undefined if a tool is missing. */
  command(run: Run): string[] | undefined;
  /** Parses the output; absent if the program prints its outcome as JSON. */
  outcome?(stdout: string, run: Run): Outcome;
  /** Other settings. The fastest one in a few tries takes part. */
  readonly variants?: readonly Contestant[];
}
