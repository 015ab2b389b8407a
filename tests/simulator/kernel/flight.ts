// An operation that the kernel has, and who hears of it.

import type { Completion, Operation } from "../../../src/engine/operation.ts";
import type { SparseBytes } from "./sparse_bytes.ts";

/** A file as the oracle sees it, simulated or real. */
export interface FileView {
  readonly inode: number;
  readonly size: number;
  /** The bytes of a range, as far as the file goes. */
  read(position: number, length: number): Uint8Array<ArrayBuffer>;
  /** Copies a range, whatever its length: what takes no memory is zeros. */
  copyTo(bytes: SparseBytes, from: number, to: number): void;
  /** The first position of a range in which other bytes stand than expected; -1 where none does. */
  firstDifference(expected: SparseBytes, from: number, to: number): number;
}

/** What a descriptor stands for. */
export interface OpenDescription {
  readonly fd: number;
  readonly isDirect: boolean;
  /** Operations that use it. */
  inFlight: number;
}

/** How much of a file or of the names a sync covers. */
export interface SyncPoint {
  readonly changes: number;
  readonly journaled: number;
}

export interface Flight<Description extends OpenDescription = OpenDescription> {
  readonly number: number;
  readonly operation: Operation;
  readonly completion: Completion;
  /** What the descriptors stand for that {@linkcode descriptorsOf} gives. */
  readonly descriptions: readonly (Description | undefined)[];
  /** The file that its descriptor leads to. */
  readonly file: FileView | undefined;
  /** The file that a copy goes to. */
  readonly target: FileView | undefined;
  /** What a write has to write, as it was when it was submitted. */
  readonly bytes: Uint8Array<ArrayBuffer> | undefined;
  /** What a sync covers: that which was done when it was submitted. */
  syncPoint?: SyncPoint;
  result: number | undefined;
}

/** Hears of every operation. */
export interface FlightObserver {
  /** The module submits it. */
  submitted(flight: Flight): void;
  /** It is done: the file has changed, and the module does not know yet. */
  performed(flight: Flight): void;
  /** The kernel is done with it, and the module is about to know. */
  returned(flight: Flight): void;
  /** The module knows, and has done what it does at once. */
  completed(): void;
}

/** The descriptors that an operation names; negative ones stand for the working directory. */
export function descriptorsOf(operation: Operation): number[] {
  switch (operation.op) {
    case "open":
    case "unlink":
      return [operation.directory];
    case "rename":
      return [operation.directory, operation.targetDirectory];
    case "link":
      return [operation.fd, operation.directory];
    case "copyRange":
      return [operation.fd, operation.targetFd];
    case "pause":
      return [];
    default:
      return [operation.fd];
  }
}

/** The bytes that an operation puts somewhere. */
export function rangeOf(
  operation: Operation,
): readonly [from: number, to: number] | undefined {
  switch (operation.op) {
    case "write":
      return [operation.position, operation.position + operation.length];
    case "copyRange":
      return [operation.targetPosition, operation.targetPosition + operation.length];
    default:
      return undefined;
  }
}

/** An operation with its arguments, but for memory. */
export function describe({ op, ...fields }: Operation): string {
  const words = Object.entries(fields)
    .filter(([name]) => name !== "memory")
    .map(([name, value]) => `${name} ${name === "flags" ? value.toString(8) : value}`);
  return `${op} ${words.join(", ")}`;
}
