// An operation in flight, and its observers.

import { FALLOC_FL_PUNCH_HOLE } from "../../../src/engine/linux.ts";
import type { Operation } from "../../../src/engine/operation.ts";
import type { Description, DescriptorTable } from "./descriptors.ts";
import type { DirectoryTree } from "./directory_tree.ts";
import type { SimulatedFile } from "./simulated_file.ts";

export interface Flight {
  readonly operation: Operation;
  /** The descriptions of the descriptors of {@linkcode descriptorsOf}. */
  readonly descriptions: readonly (Description | undefined)[];
  /** The file of its descriptor, or the target of a copy. */
  readonly file: SimulatedFile | undefined;
  /** The bytes of a write at the time of its submission. */
  readonly bytes: Uint8Array<ArrayBuffer> | undefined;
  /** The extent of a sync: all changes of the file, and of names, before its submission. */
  readonly syncPoint: { readonly changes: number; readonly journaled: number };
  result: number | undefined;
}

/** An operation that begins. */
export function flightOf(
  operation: Operation,
  open: DescriptorTable,
  { journaled }: DirectoryTree,
): Flight {
  const descriptions = descriptorsOf(operation).map((fd) => open.get(fd));
  const bytes = operation.op === "write"
    ? operation.memory.bytes.slice(operation.offset, operation.offset + operation.length)
    : undefined;
  return {
    operation,
    descriptions,
    file: descriptions[operation.op === "copyRange" ? 1 : 0]?.file,
    bytes,
    syncPoint: { changes: descriptions[0]?.file?.changes ?? 0, journaled },
    result: undefined,
  };
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
