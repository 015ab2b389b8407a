// Asks the kernel which operations its io_uring has.

import type { Liburing } from "../../ffi/liburing.ts";

/** IO_URING_OP_SUPPORTED. */
const OP_SUPPORTED = 1;

/** For each opcode 1 where it is there; none counts as there where the kernel cannot be asked (5.5). */
export function probe(liburing: Liburing, ring: Deno.PointerObject): Uint8Array {
  const flags = new Uint8Array(256);
  const header = 16;
  const answer = new Uint8Array(header + 256 * 8);
  if (liburing.io_uring_register_probe(ring, answer, 256) < 0) return flags;
  const count = answer[1]!;
  for (let index = 0; index < count; index++) {
    const at = header + index * 8;
    flags[answer[at]!] = answer[at + 2]! & OP_SUPPORTED;
  }
  return flags;
}
