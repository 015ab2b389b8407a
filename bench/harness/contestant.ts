// What takes part in the comparison: a command, its settings, and how to read what it reports.

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
  | "writers"
  | "blocks";

/** Where one run works, and on how much. */
export interface Run {
  readonly tools: Tools;
  /** Bytes to write or read. */
  readonly size: number;
  /** A name to write to, which is free. */
  readonly path: string;
  /** A file of `size` bytes to read, not in the page cache. */
  readonly source: string;
}

/** What a program reports of itself. */
export interface Outcome {
  /** From before the open to after the close, with the data durable; the whole process where it does not say. */
  readonly seconds?: number;
  readonly bytes?: number;
  /** Records or files. */
  readonly count?: number;
  /** By how many milliseconds each tick of a 1 ms timer was late. */
  readonly delays?: readonly number[];
}

/** One side of the comparison. */
export interface Contestant {
  readonly id: string;
  readonly group: Group;
  readonly label: string;
  /** What was set, for the table: defaults are named as such. */
  readonly settings: string;
  /** The command line; undefined where a tool is missing. */
  command(run: Run): string[] | undefined;
  /** Without it the program prints its outcome as JSON. */
  outcome?(stdout: string, run: Run): Outcome;
  /** Other settings, of which the fastest in a few tries is kept. */
  readonly variants?: readonly Contestant[];
}
