// What any user of an engine must keep to, whatever it does: broken, it loses bytes on a real disk.

import { Buffer } from "node:buffer";
import type { Block, OperationName, WriteOperation } from "../../src/engine/operation.ts";
import { describe, type HeldOperation } from "./scripted_operation.ts";

/** What the rules need to know besides the operation. */
export interface Circumstances {
  /** Whether the descriptor is open. */
  open: boolean;
  /** Whether a sync of that file failed before. */
  syncFailed: boolean;
  /** What else is in flight on the same descriptor. */
  others: readonly HeldOperation[];
  /** Whether a block is out. */
  isOut: (block: Block) => boolean;
  /** What positions, lengths and offsets must be multiples of. */
  alignment: number;
  /** Writes that may be in flight at once. */
  writeBehind: number;
}

/** Which rule an operation that is being queued breaks, in words; undefined where none. */
export function brokenRule(held: HeldOperation, around: Circumstances): string | undefined {
  const { kind, fd } = held;
  const { open, others, syncFailed } = around;
  const says = describe(held);
  if (fd < 0) return undefined;
  if (!open) return `${says} on a closed descriptor`;
  const inTheWay = others.find((other) => conflicts(kind, other.kind));
  if (inTheWay) return `${says} while ${describe(inTheWay)} is in flight`;
  if (kind === "sync" && syncFailed) return "A sync after one that failed";
  if (kind !== "write" && kind !== "read") return undefined;
  return brokenByTransfer(held, around) ?? brokenByMemory(held, around.isOut);
}

/** Whether an operation must not be queued while the other is in flight. */
function conflicts(kind: OperationName, other: OperationName): boolean {
  switch (kind) {
    case "close":
      return true;
    case "truncate":
      return other === "write" || other === "allocate" || other === "truncate";
    case "write":
    case "allocate":
      return other === "truncate";
    default:
      return false;
  }
}

function brokenByTransfer(held: HeldOperation, around: Circumstances): string | undefined {
  const { kind, position, length, operation } = held;
  const { offset } = operation as WriteOperation;
  const { alignment, others, writeBehind } = around;
  const says = describe(held);
  if (length <= 0) return `${says} of nothing`;
  for (const [what, value] of Object.entries({ position, length, offset })) {
    if (value < 0 || value % alignment !== 0) return `${says}: ${what} ${value} is not aligned`;
  }
  if (kind === "read") return undefined;
  const writes = others.filter((other) => other.kind === "write");
  // Positions and lengths are aligned, so whoever shares a block overlaps.
  const clash = writes.find((other) =>
    other.position < position + length && position < other.position + other.length
  );
  if (clash) return `${says} shares a block with ${describe(clash)}, which is in flight`;
  if (writes.length < writeBehind) return undefined;
  return `${says} while ${writes.length} writes are in flight`;
}

/** Which rule about the memory of a read or write is broken. Holds as long as it is in flight. */
export function brokenByMemory(
  held: HeldOperation,
  isOut: (block: Block) => boolean,
): string | undefined {
  const { operation, length, before } = held;
  if (!("memory" in operation)) return undefined;
  const { memory } = operation;
  const offset = "offset" in operation ? operation.offset : 0;
  const says = describe(held);
  const size = "size" in memory ? (memory as Block).size : memory.bytes.length;
  if (offset + length > size) return `${says} goes past its ${size} bytes of memory`;
  if ("size" in memory && !isOut(memory as Block)) return `${says} has memory that was given back`;
  if (!before) return undefined;
  const now = memory.bytes.subarray(offset, offset + length);
  if (Buffer.compare(before, now) === 0) return undefined;
  const changed = before.findIndex((byte, index) => byte !== now[index]);
  return `Byte ${changed} of ${says} was changed while in flight`;
}
