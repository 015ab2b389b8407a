// The operations that a scripted engine holds, and the plans that choose their outcome.

import type { Completion, Operation, OperationName } from "../../src/engine/operation.ts";

/** An operation that the engine holds. */
export interface Held {
  readonly kind: OperationName;
  /** The descriptor; -1 for operations on paths. */
  readonly fd: number;
  readonly position: number;
  /** The length in bytes; for a truncate, the new length of the file. */
  readonly length: number;
  /** The operation, as it was submitted. */
  readonly operation: Operation;
}

/** A held operation with its completion and its effect. */
export interface HeldOperation extends Held {
  readonly completion: Completion;
  /** Performs it, for at most `most` bytes, and returns the result. */
  readonly effect: (most: number) => number;
}

/** The facts of an operation that plans and messages use. For a copy they are those of its target. */
export function factsOf(operation: Operation): Held {
  const fd = operation.op === "copyRange"
    ? operation.targetFd
    : "fd" in operation
    ? operation.fd
    : -1;
  const position = operation.op === "copyRange"
    ? operation.targetPosition
    : "position" in operation
    ? operation.position
    : 0;
  const length = "length" in operation ? operation.length : 0;
  return { kind: operation.op, fd, position, length, operation };
}

/**
 * The outcome of an operation: it succeeds with at most `most` bytes, or it fails after its first `reached` bytes were
 * transferred.
 */
export type Outcome = { most?: number } | { errno: number; reached?: number };

/** Chooses which operation ends next, and how. */
export interface Plan {
  /** Identifies the choices in messages, so that they can be repeated. */
  readonly name: string;
  /** Chooses one of the held operations. At least one is held. */
  choose(pending: readonly Held[]): [Held, Outcome];
}

/** An operation in a few words, for example "write 4096+512". */
export function describe({ kind, position, length }: Held): string {
  switch (kind) {
    case "read":
    case "write":
    case "allocate":
    case "copyRange":
      return `${kind} ${position}+${length}`;
    case "truncate":
      return `truncate ${length}`;
    default:
      return kind;
  }
}

/** Everything succeeds, in the order in which it was queued. */
export const inOrder: Plan = {
  name: "in order",
  choose: (pending) => [pending[0]!, {}],
};

/** Numbers from 0 up to 1, the same ones for the same seed (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
