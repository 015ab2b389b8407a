// An operation in flight, and its observers.

import { FALLOC_FL_PUNCH_HOLE } from "../../../src/engine/linux.ts";
import type { Completion, Operation } from "../../../src/engine/operation.ts";
import type { SparseBytes } from "./sparse_bytes.ts";

/** The oracle's view of a file, simulated or real. */
export interface FileView {
  readonly inode: number;
  readonly size: number;
  /** The bytes of a range, up to the end of the file. */
  read(position: number, length: number): Uint8Array<ArrayBuffer>;
  /** Copies a range of any length. Bytes without memory are zeros. */
  copyTo(bytes: SparseBytes, from: number, to: number): void;
  /** The first position in a range whose byte differs from the expected one; -1 if there is none. */
  firstDifference(expected: SparseBytes, from: number, to: number): number;
}

/** The description of a descriptor. */
export interface OpenDescription {
  readonly fd: number;
  readonly isDirect: boolean;
  /** Operations that use it. */
  inFlight: number;
  /** The regular file; undefined for a directory. */
  readonly file: FileView | undefined;
}

/** The extent of a sync of a file or of names. */
export interface SyncPoint {
  readonly changes: number;
  readonly journaled: number;
}

export interface Flight<Description extends OpenDescription = OpenDescription> {
  readonly number: number;
  readonly operation: Operation;
  readonly completion: Completion;
  /** The descriptions of the descriptors of {@linkcode descriptorsOf}. */
  readonly descriptions: readonly (Description | undefined)[];
  /** The file of its descriptor, or the target of a copy. */
  readonly file: FileView | undefined;
  /** The bytes of a write at the time of its submission. */
  readonly bytes: Uint8Array<ArrayBuffer> | undefined;
  /** The extent of a sync: all changes before its submission. */
  readonly syncPoint: SyncPoint | undefined;
  result: number | undefined;
}

/** Observes every operation. */
export interface FlightObserver {
  /** The module submits an operation. */
  submitted(flight: Flight): void;
  /** The operation is done: the file has changed, and the module does not know yet. */
  performed(flight: Flight): void;
  /** The operation has completed, and the module is about to know. */
  returned(flight: Flight): void;
  /** The module knows the result, and its microtasks have run. */
  completed(): void;
}

/** The descriptors of an operation; negative ones mean the working directory. */
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

/** The range in which an operation changes bytes. */
export function rangeOf(
  operation: Operation,
): readonly [from: number, to: number] | undefined {
  switch (operation.op) {
    case "write":
      return [operation.position, operation.position + operation.length];
    case "copyRange":
      return [operation.targetPosition, operation.targetPosition + operation.length];
    case "allocate":
      if ((operation.mode & FALLOC_FL_PUNCH_HOLE) === 0) return undefined;
      return [operation.position, operation.position + operation.length];
    default:
      return undefined;
  }
}

/** An operation with its arguments, except memory. */
export function describe({ op, ...fields }: Operation): string {
  const words = Object.entries(fields)
    .filter(([name]) => name !== "memory")
    .map(([name, value]) => `${name} ${name === "flags" ? value.toString(8) : value}`);
  return `${op} ${words.join(", ")}`;
}
