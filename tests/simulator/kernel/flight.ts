// An operation in flight, and its observers.

import { FALLOC_FL_PUNCH_HOLE } from "../../../src/engine/linux.ts";
import type { Operation } from "../../../src/engine/operation.ts";
import type { Description, DescriptorTable } from "./descriptors.ts";
import type { DirectoryTree } from "./directory_tree.ts";
import type { SimulatedFile } from "./simulated_file.ts";
import type { Range } from "./sparse_bytes.ts";

export const DESCRIPTOR_FIELDS = ["fd", "directory", "targetFd", "targetDirectory"] as const;

export interface Flight {
  readonly operation: Operation;
  /** Its descriptors; negative ones mean the working directory. */
  readonly fds: readonly number[];
  readonly descriptions: readonly (Description | undefined)[];
  /** The file of its descriptor, or the target of a copy. */
  readonly file: SimulatedFile | undefined;
  /** The bytes of a write at the time of its submission. */
  readonly bytes: Uint8Array<ArrayBuffer> | undefined;
  /** The extent of a sync: all changes of the file, and of names, before its submission. */
  readonly syncPoint: { readonly changes: number; readonly journaled: number };
  result: number | undefined;
}

export function flightOf(operation: Operation, open: DescriptorTable, tree: DirectoryTree): Flight {
  const fields: Partial<Record<string, unknown>> = operation;
  const fds = DESCRIPTOR_FIELDS.flatMap((name) => fields[name] as number ?? []);
  const descriptions = fds.map((fd) => open.get(fd));
  const bytes = operation.op === "write"
    ? operation.memory.bytes.slice(operation.offset, operation.offset + operation.length)
    : undefined;
  return {
    operation,
    fds,
    descriptions,
    file: descriptions[operation.op === "copyRange" ? 1 : 0]?.file,
    bytes,
    syncPoint: { changes: descriptions[0]?.file?.changes ?? 0, journaled: tree.journaled },
    result: undefined,
  };
}

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

/** The range in which an operation changes bytes. */
export function rangeOf(operation: Operation): Range | undefined {
  const { op } = operation;
  if (op === "copyRange") {
    return [operation.targetPosition, operation.targetPosition + operation.length];
  }
  const changes = op === "write" ||
    (op === "allocate" && (operation.mode & FALLOC_FL_PUNCH_HOLE) !== 0);
  return changes ? [operation.position, operation.position + operation.length] : undefined;
}

/** An operation with its arguments, except memory. */
export function describe({ op, ...fields }: Operation): string {
  const words = Object.entries(fields)
    .filter(([name]) => name !== "memory")
    .map(([name, value]) => `${name} ${name === "flags" ? value.toString(8) : value}`);
  return `${op} ${words.join(", ")}`;
}
