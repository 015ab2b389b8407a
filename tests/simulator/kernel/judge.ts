// The rules for users of an engine. The real kernel would accept many violations silently, and lose bytes.

import { Buffer } from "node:buffer";
import type { Memory } from "../../../src/engine/operation.ts";
import type { FileSystemKind } from "./file_systems.ts";
import { describe, type Flight, rangeOf } from "./flight.ts";
import type { SimulatedMemory } from "./memory.ts";

export class Judge {
  readonly #flights = new Set<Flight>();

  /** `violated` is called for each broken rule. */
  constructor(
    readonly kind: FileSystemKind,
    readonly memory: SimulatedMemory,
    readonly violated: (rule: string) => void,
  ) {}

  /** Judges a submitted operation. Returns whether the kernel may get it. */
  submit(flight: Flight): boolean {
    const broken = this.#broken(flight);
    this.#flights.add(flight);
    for (const each of flight.descriptions) if (each) each.inFlight++;
    if (broken !== undefined) this.violated(`${describe(flight.operation)}: ${broken}`);
    return broken === undefined;
  }

  complete(flight: Flight): void {
    this.#flights.delete(flight);
    for (const each of flight.descriptions) if (each) each.inFlight--;
    const { operation, bytes } = flight;
    if (operation.op !== "write") return;
    const { memory, offset, length } = operation;
    const now = memory.bytes.subarray(offset, offset + length);
    if (Buffer.compare(bytes!, now) === 0) return;
    this.violated(`${describe(operation)}: its memory was changed while it was in flight`);
  }

  release(block: Memory): void {
    for (const { operation } of this.#flights) {
      if (!("memory" in operation) || operation.memory !== block) continue;
      this.violated(`${describe(operation)}: its memory is given back while it is in flight`);
    }
    if (!this.memory.release(block)) {
      this.violated(`${block.bytes.length} bytes are given back twice`);
    }
  }

  #broken(flight: Flight): string | undefined {
    const { operation, fds, descriptions } = flight;
    const closed = fds.find((fd, index) => fd >= 0 && !descriptions[index]);
    if (closed !== undefined) return `fd ${closed} is closed`;
    const description = descriptions[0]!;
    if (operation.op === "close" && description.inFlight > 0) return "the descriptor is in use";
    const conflict = this.#conflict(flight);
    if (conflict) return `while ${describe(conflict.operation)} is in flight`;
    if ("memory" in operation && this.memory.isFree(operation.memory)) {
      return "its memory was given back";
    }
    if (operation.op !== "read" && operation.op !== "write") return undefined;
    const { memory, offset, length, position } = operation;
    if (length <= 0) return "it moves nothing";
    if (offset < 0 || offset + length > memory.bytes.length) return "it goes past its memory";
    if (!description.isDirect) return undefined;
    const { alignment, memoryAlignment } = this.kind;
    const isAligned = position % alignment + length % alignment === 0;
    if (!isAligned) return `its position or length is no multiple of ${alignment}`;
    const isSuited = (memory.address + offset) % memoryAlignment === 0;
    return isSuited ? undefined : `its memory is not aligned to ${memoryAlignment}`;
  }

  /** An operation on the same descriptor that must not be in flight together with this one. */
  #conflict(flight: Flight): Flight | undefined {
    const change = changeOf(flight);
    return change && [...this.#flights].find((each) => {
      const other = changeOf(each);
      if (!other || other.description !== change.description) return false;
      return change.cuts || other.cuts || (change.from < other.to && other.from < change.to);
    });
  }
}

/** The effect of an operation on a file: it writes a range, or changes the length. */
function changeOf({ operation, descriptions: [description, target] }: Flight) {
  const { op } = operation;
  // Only the result of a copy shows its length.
  if (op === "copyRange") return { description: target, cuts: false, from: 0, to: 0 };
  const changes = op === "write" || op === "allocate" || op === "truncate";
  const [from, to] = rangeOf(operation) ?? [0, 0];
  return changes ? { description, cuts: op === "truncate", from, to } : undefined;
}
