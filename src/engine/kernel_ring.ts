// A ring of liburing and the kernel: its set-up, supported operations and registered buffers.

import { memoryAt, pointerTo } from "../../ffi/address.ts";
import type { Liburing } from "../../ffi/liburing.ts";
import type { Shim } from "../../ffi/shim.ts";
import { EFD_CLOEXEC, Errno, IO_URING_OP_SUPPORTED, IOSQE_ASYNC, Opcode, Setup } from "./linux.ts";
import { closeNow, entry, type Sqe } from "./sqe.ts";

/** The kernel does not interrupt the thread for completions, but waits until it is asked for them. Since kernel 6.1. */
const DEFER_TASKRUN = Setup.SINGLE_ISSUER | Setup.DEFER_TASKRUN | Setup.TASKRUN_FLAG;
/** Set-up flags, in the order of the attempts. */
const SETUPS = { DEFER_TASKRUN, plain: 0 };

/** Room for `struct io_uring`, which grows only within what liburing reserved, and for reaped completions. */
const CONTROL_BYTES = 8 * 1024;
const REAPED_AT = 4096;
/** Completions between two submissions: this raised 4 KiB reads at depth 32 from 41,000 to 57,000 a second. */
export const BATCH = 8;

/**
 * The maximum number of kernel threads for blocking operations; the default is 4 for each processor. Each operation on
 * a frozen file system (fsfreeze(8)) keeps one, and with the default all others would soon wait. Measured: as fast.
 */
export const MAX_WORKERS = 256;

/** Slots for registered mappings. Mappings beyond them work unregistered. */
const REGISTERED_SLOTS = 64;

const REFUSALS: Readonly<Record<number, string>> = {
  [Errno.EPERM]:
    "io_uring is forbidden here (EPERM): by a container's seccomp profile, or by the sysctl kernel.io_uring_disabled",
  [Errno.ENOSYS]: "This kernel has no io_uring, or a seccomp profile hides it (ENOSYS)",
};

function refusal(call: string, errno: number): Error {
  const cause = new Error(`${call} failed (os error ${errno})`);
  const reason = REFUSALS[errno] ?? `io_uring could not be set up: ${cause.message}`;
  return new Deno.errors.NotSupported(reason, { cause });
}

export class KernelRing {
  readonly setup: string;
  /** Entries of the submission queue. */
  readonly entries: number;
  /** Entries of the completion queue, which cannot overflow while no more operations are in flight. */
  readonly depth: number;
  /** Whether this kernel supports each opcode of io_uring. */
  readonly supported: Uint8Array;
  /** The eventfd that completions signal. {@linkcode close} leaves it open. */
  readonly eventfd: number;
  /** Whether mappings can be registered. False after the first refusal: too little memory may be locked. */
  registersBuffers = false;
  readonly #freeBuffers: number[] = [];
  /** The completions of {@linkcode reap}: pairs of `user_data` and result. */
  readonly reaped: Int32Array<ArrayBuffer>;
  readonly #address: number;
  /** liburing's `struct io_uring`. */
  readonly #pointer: Deno.PointerObject;
  readonly #reapedPointer: Deno.PointerObject;

  /** Creates a ring with `entries` submission entries. Throws NotSupported if the kernel refuses it. */
  constructor(readonly shim: Shim, readonly liburing: Liburing, entries: number) {
    const address = this.#address = shim.dma_map(CONTROL_BYTES, 0);
    if (address < 0) throw refusal("mmap", -address);
    const pointer = this.#pointer = pointerTo(address);
    this.#reapedPointer = pointerTo(address + REAPED_AT);
    this.reaped = new Int32Array(memoryAt(address + REAPED_AT, BATCH * 8));
    try {
      [this.setup, this.entries, this.depth] = setUp(liburing, pointer, entries);
      this.#tryNop();
      this.supported = probe(liburing, pointer);
      // Since kernel 5.15. The second number is for sockets: 0 leaves it as it is.
      liburing.io_uring_register_iowq_max_workers?.(pointer, Uint32Array.of(MAX_WORKERS, 0));
      this.#openBufferTable();
      shim.resources.ring = address;
      this.eventfd = this.#openEventfd();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  get missing(): string[] {
    const names = Object.keys(Opcode) as (keyof typeof Opcode)[];
    return names.filter((name) => name !== "NOP" && this.supported[Opcode[name]] === 0);
  }

  /** Performs a no-op: a seccomp filter may allow the creation of a ring and refuse submissions. */
  #tryNop(): void {
    this.prepare(entry(Opcode.NOP, -1), 0);
    const submitted = this.submit();
    if (submitted < 0) throw refusal("io_uring_enter", -submitted);
    if (this.reap() !== 1) throw refusal("io_uring_enter", Errno.EIO);
  }

  /** Adds an entry to the submission queue. Returns 0, `-EBUSY` if the queue is full, or another `-errno`. */
  prepare(sqe: Sqe, userData: number): number {
    const { opcode, fd, address, length, offset, flags, bufferIndex, forceAsync } = sqe;
    return this.shim.dma_prepare(
      this.#pointer,
      opcode,
      forceAsync ? IOSQE_ASYNC : 0,
      fd,
      address,
      length,
      offset,
      flags,
      bufferIndex,
      userData,
    );
  }

  /** Submits the prepared entries. Returns the number of entries that the kernel took, or `-errno`. */
  submit(): number {
    return this.liburing.io_uring_submit(this.#pointer);
  }

  /** Takes at most {@linkcode BATCH} completions from the kernel. Returns their number. */
  reap(): number {
    return this.shim.dma_reap(this.#pointer, this.#reapedPointer, BATCH);
  }

  /** Blocks until there is a completion, or until the timeout. */
  wait(milliseconds: number): void {
    this.shim.dma_call(Opcode.WAIT_RING, -1, this.#address, Math.ceil(milliseconds), 0, 0);
  }

  /** Creates the table of registered mappings, if the kernel (5.19) and liburing support it. */
  #openBufferTable(): void {
    const { io_uring_register_buffers_sparse, io_uring_register_buffers_update_tag } =
      this.liburing;
    if (!io_uring_register_buffers_sparse || !io_uring_register_buffers_update_tag) return;
    if (io_uring_register_buffers_sparse(this.#pointer, REGISTERED_SLOTS) < 0) return;
    this.registersBuffers = true;
    for (let index = 0; index < REGISTERED_SLOTS; index++) this.#freeBuffers.push(index);
  }

  /** Registers a mapping, so that the kernel need not pin its pages for each write. Returns its index, or -1. */
  registerBuffer(address: number, length: number): number {
    const index = this.#freeBuffers.pop();
    if (index === undefined) return -1;
    if (this.#setBuffer(index, address, length)) return index;
    this.registersBuffers = false;
    this.#freeBuffers.push(index);
    return -1;
  }

  unregisterBuffer(index: number): void {
    this.#setBuffer(index, 0, 0);
    this.#freeBuffers.push(index);
  }

  #setBuffer(index: number, address: number, length: number): boolean {
    const iovec = new BigUint64Array([BigInt(address), BigInt(length)]);
    const update = this.liburing.io_uring_register_buffers_update_tag!;
    return update(this.#pointer, index, iovec, null, 1) === 1;
  }

  #openEventfd(): number {
    const fd = this.shim.dma_call(Opcode.EVENTFD, -1, 0, 0, 0, EFD_CLOEXEC);
    if (fd < 0) throw refusal("eventfd", -fd);
    this.shim.resources.trackDescriptor(fd);
    this.shim.resources.notifier = fd;
    const result = this.liburing.io_uring_register_eventfd(this.#pointer, fd);
    if (result >= 0) return fd;
    closeNow(this.shim, fd);
    throw refusal("io_uring_register_eventfd", -result);
  }

  /** Frees the ring. No operation may be in flight. */
  close(): void {
    this.shim.resources.ring = 0;
    // Later calls still acquire memory, which is no longer registered.
    this.#freeBuffers.length = 0;
    // Views of it are empty from here on.
    this.reaped.buffer.transfer();
    // Undefined if the set-up has failed.
    if (this.depth > 0) this.liburing.io_uring_queue_exit(this.#pointer);
    this.shim.dma_unmap(this.#address, CONTROL_BYTES);
  }
}

/** Sets up a ring with the best flags that this kernel knows. Returns their name, and the entries of both queues. */
function setUp(liburing: Liburing, ring: Deno.PointerObject, entries: number) {
  for (const [name, flags] of Object.entries(SETUPS)) {
    // struct io_uring_params: sq_entries, cq_entries, flags ...; 120 bytes.
    const params = new Uint32Array(30);
    params[2] = flags | Setup.CLAMP;
    const result = liburing.io_uring_queue_init_params(entries, ring, params);
    if (result >= 0) return [name, params[0]!, params[1]!] as const;
    // EINVAL means that this kernel does not know a flag. Other errors do not depend on the flags.
    if (result !== -Errno.EINVAL) throw refusal("io_uring_setup", -result);
  }
  throw refusal("io_uring_setup", Errno.EINVAL);
}

/** Whether each opcode is supported. Kernels before 5.6 have no probe, so no opcode is. */
function probe(liburing: Liburing, ring: Deno.PointerObject): Uint8Array {
  const supported = new Uint8Array(256);
  // struct io_uring_probe: a header of 16 bytes, and 8 bytes for each opcode.
  const answer = new Uint8Array(16 + 256 * 8);
  if (liburing.io_uring_register_probe(ring, answer, 256) < 0) return supported;
  for (let at = 16; at < 16 + answer[1]! * 8; at += 8) {
    supported[answer[at]!] = answer[at + 2]! & IO_URING_OP_SUPPORTED;
  }
  return supported;
}
