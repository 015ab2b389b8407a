// Makes a ring, and finds out what this kernel's io_uring has: ways to set it up, operations, registered buffers.

import type { Liburing } from "../../ffi/liburing.ts";
import type { Shim } from "../../ffi/shim.ts";
import type { Registrar } from "./pool.ts";

const IORING_SETUP_CLAMP = 1 << 4;
const IORING_SETUP_COOP_TASKRUN = 1 << 8;
const IORING_SETUP_TASKRUN_FLAG = 1 << 9;
const IORING_SETUP_SINGLE_ISSUER = 1 << 12;
const IORING_SETUP_DEFER_TASKRUN = 1 << 13;
const OP_SUPPORTED = 1;

/** Ways to set a ring up, best first. Deferred task work (kernel 6.1) took a third off the latency at depth 1. */
const SETUPS = [
  {
    name: "DEFER_TASKRUN",
    flags: IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
  },
  { name: "COOP_TASKRUN", flags: IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG },
  { name: "plain", flags: 0 },
] as const;

/** Room for `struct io_uring`, which grows only within what liburing reserved, and for reaped completions. */
const CONTROL_BYTES = 16 * 1024;
const REAPED_AT = 4096;
/** Completions that are reaped at once. */
export const REAP_MOST: number = 512;

/** Slots for registered mappings. Mappings beyond work, unregistered. */
const REGISTERED_SLOTS = 64;

/** The ring could not be made. */
export class RingRefused extends Error {
  override name = "RingRefused";
  constructor(readonly errno: number) {
    super(`io_uring_setup failed (os error ${errno})`);
  }
}

/** A ring, and what was found out about it. */
export interface Ring {
  /** liburing's `struct io_uring`. */
  readonly pointer: Deno.PointerObject;
  /** Where {@linkcode Shim.dma_reap} puts completions, as pairs of `user_data` and result. */
  readonly reapedPointer: Deno.PointerObject;
  readonly reaped: Int32Array;
  /** How it was set up. */
  readonly setup: string;
  /** Entries of the submission queue. */
  readonly entries: number;
  /** Entries of the completion queue: with no more operations in flight nothing overflows. */
  readonly depth: number;
  /** For each opcode whether this kernel has it. */
  readonly supported: Uint8Array;
  /** There where buffers can be registered. */
  readonly registrar: Registrar | undefined;
  /** Takes it down. Nothing may be in flight. */
  close(): void;
}

/** Makes a ring with `entries` submission entries. Throws {@linkcode RingRefused}. */
export function openRing(shim: Shim, liburing: Liburing, entries: number): Ring {
  const address = shim.dma_map(CONTROL_BYTES, 0);
  if (address < 0) throw new RingRefused(-address);
  const unmap = () => shim.dma_unmap(address, CONTROL_BYTES);
  const pointer = Deno.UnsafePointer.create(BigInt(address))!;
  const reapedPointer = Deno.UnsafePointer.create(BigInt(address + REAPED_AT))!;
  const buffer = Deno.UnsafePointerView.getArrayBuffer(reapedPointer, REAP_MOST * 8);
  try {
    const found = setUp(liburing, pointer, entries);
    const ring = {
      pointer,
      reapedPointer,
      reaped: new Int32Array(buffer),
      ...found,
      supported: probe(liburing, pointer),
      registrar: makeRegistrar(liburing, pointer),
      close() {
        shim.estate.ring = 0;
        // Views of it are empty from here on.
        buffer.transfer();
        liburing.io_uring_queue_exit(pointer);
        unmap();
      },
    };
    shim.estate.ring = address;
    return ring;
  } catch (error) {
    unmap();
    throw error;
  }
}

/** The best set-up that this kernel knows. */
function setUp(
  liburing: Liburing,
  ring: Deno.PointerObject,
  entries: number,
): { setup: string; entries: number; depth: number } {
  let errno = 0;
  for (const { name, flags } of SETUPS) {
    // Completions that wait to be asked for need somebody who can ask.
    if (flags !== 0 && !liburing.io_uring_get_events) continue;
    // struct io_uring_params: sq_entries, cq_entries, flags …; 120 bytes.
    const params = new Uint32Array(30);
    params[2] = flags | IORING_SETUP_CLAMP;
    const result = liburing.io_uring_queue_init_params(entries, ring, params);
    if (result >= 0) return { setup: name, entries: params[0]!, depth: params[1]! };
    errno = -result;
    // EINVAL says that this kernel does not know a flag; anything else no other flags would change.
    if (errno !== 22) break;
  }
  throw new RingRefused(errno);
}

/** For each opcode the probe's flags; no operation counts as there where the kernel cannot be asked (5.5). */
function probe(liburing: Liburing, ring: Deno.PointerObject): Uint8Array {
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

/** Registers mappings as fixed buffers, where the kernel (5.19) and the locked-memory limit let it. */
function makeRegistrar(liburing: Liburing, ring: Deno.PointerObject): Registrar | undefined {
  const { io_uring_register_buffers_sparse, io_uring_register_buffers_update_tag } = liburing;
  if (!io_uring_register_buffers_sparse || !io_uring_register_buffers_update_tag) return undefined;
  if (io_uring_register_buffers_sparse(ring, REGISTERED_SLOTS) < 0) return undefined;
  const free = Array.from({ length: REGISTERED_SLOTS }, (_, index) => REGISTERED_SLOTS - 1 - index);
  const iovec = new BigUint64Array(2);
  const update = (index: number, address: number, length: number) => {
    iovec[0] = BigInt(address);
    iovec[1] = BigInt(length);
    return io_uring_register_buffers_update_tag(ring, index, iovec, null, 1);
  };
  let allowed = true;
  return {
    get allowed() {
      return allowed;
    },
    register(address, length) {
      const index = free.pop();
      if (index === undefined) return -1;
      const done = update(index, address, length) === 1;
      if (done) return index;
      allowed = false;
      free.push(index);
      return -1;
    },
    unregister(index) {
      update(index, 0, 0);
      free.push(index);
    },
  };
}
