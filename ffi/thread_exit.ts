// Records the kernel resources of this isolate in native memory, for a thread-exit handler to release. When a Worker ends,
// its heap is dropped and no JavaScript runs, so its descriptors and mappings would stay. libc calls the shim when the
// thread ends, and the shim waits for the operations in flight and then releases the recorded resources.

import { memoryAt, pointerTo } from "./address.ts";

/** The function of libc that registers the handler. If it is missing, as in musl, the resources of an isolate stay. */
export const threadExitSymbols = {
  __cxa_thread_atexit_impl: {
    parameters: [/* function */ "pointer", /* argument */ "pointer", /* library */ "pointer"],
    result: "i32",
    optional: true,
  },
} as const satisfies Deno.ForeignLibraryInterface;

type Libc = Deno.DynamicLibrary<typeof threadExitSymbols>["symbols"];

// `struct resources` of ffi/shim.c.
const BYTES = 64 * 1024;
const RING = 0;
const MAPPINGS = 1;
const COUNTS_AT = 16;
const CALLS = 0;
const NOTIFIER = 3;
const DESCRIPTORS_AT = 32;
const DESCRIPTOR_BYTES = 8192;
const RESULTS_AT = DESCRIPTORS_AT + DESCRIPTOR_BYTES;
const RESULTS = 1022;
const LIST_AT = RESULTS_AT + 4 * RESULTS;
const MAX_LISTED = 3000;

/** The place of the result of the call that waits for completions. Other calls are fewer than the places before it. */
export const NOTIFIER_PLACE: number = RESULTS - 1;

/** The kernel resources of an isolate. */
export class ResourceTable {
  readonly #numbers: Float64Array<ArrayBuffer>;
  readonly #list: Float64Array<ArrayBuffer>;
  readonly #descriptors: Uint8Array<ArrayBuffer>;
  readonly #counts: Int32Array<ArrayBuffer>;
  /** Results of calls on other threads, each at its place, for callers that cannot wait for the event loop. */
  readonly results: Int32Array<ArrayBuffer>;
  readonly #pointer: Deno.PointerObject;

  /** The thread calls `onThreadExit` when it ends. */
  constructor(
    map: (length: number, huge: number) => number,
    libc: Libc,
    onThreadExit: Deno.PointerObject,
  ) {
    const address = map(BYTES, 0);
    if (address < 0) throw new Error(`Cannot map ${BYTES} bytes (os error ${-address})`);
    const pointer = pointerTo(address);
    const buffer = memoryAt(address, BYTES);
    this.#numbers = new Float64Array(buffer, 0, 2);
    this.#counts = new Int32Array(buffer, COUNTS_AT, 4);
    this.#counts[NOTIFIER] = -1;
    this.#pointer = pointer;
    this.#descriptors = new Uint8Array(buffer, DESCRIPTORS_AT, DESCRIPTOR_BYTES);
    this.results = new Int32Array(buffer, RESULTS_AT, RESULTS);
    this.#list = new Float64Array(buffer, LIST_AT, 2 * MAX_LISTED);
    libc.__cxa_thread_atexit_impl?.(onThreadExit, pointer, onThreadExit);
  }

  /** Records a mapping. If the table is full, the mapping is not released at exit. */
  trackMapping(address: number, length: number): void {
    const index = this.#numbers[MAPPINGS]!;
    if (index === MAX_LISTED) return;
    this.#list[2 * index] = address;
    this.#list[2 * index + 1] = length;
    this.#numbers[MAPPINGS] = index + 1;
  }

  /** Removes a mapping from the table. The caller unmaps it afterwards. */
  untrackMapping(address: number): void {
    const last = this.#numbers[MAPPINGS]! - 1;
    // No length is the address of a mapping.
    const place = this.#list.subarray(0, 2 * last + 2).indexOf(address);
    if (place < 0) return;
    // The last entry takes its place. In this order no mapping is released twice, at whatever step the isolate is ended.
    this.#numbers[MAPPINGS] = last;
    this.#list.copyWithin(place, 2 * last, 2 * last + 2);
  }

  trackDescriptor(fd: number): void {
    if (fd < 8 * DESCRIPTOR_BYTES) Atomics.or(this.#descriptors, fd >> 3, 1 << (fd & 7));
  }

  /**
   * Removes a descriptor from the table. The caller closes it at once, after which its number may be another file's.
   * Returns false if it was not in the table, and must not be closed again. If an operation closes a descriptor, the shim
   * removes it.
   */
  untrackDescriptor(fd: number): boolean {
    if (this.#counts[NOTIFIER] === fd) this.#counts[NOTIFIER] = -1;
    if (fd >= 8 * DESCRIPTOR_BYTES) return true;
    const bit = 1 << (fd & 7);
    return (Atomics.and(this.#descriptors, fd >> 3, ~bit) & bit) !== 0;
  }

  descriptors(): number[] {
    const found: number[] = [];
    this.#descriptors.forEach((bits, index) => {
      for (let fd = 8 * index; bits > 0; bits >>= 1, fd++) if (bits & 1) found.push(fd);
    });
    return found;
  }

  /** The address of the ring's `struct io_uring`, or 0 without a ring. */
  set ring(address: number) {
    this.#numbers[RING] = address;
  }

  /** The eventfd that a call on another thread may wait for, until it is untracked. */
  set notifier(fd: number) {
    this.#counts[NOTIFIER] = fd;
  }

  /** Counts a call that begins on another thread. Returns the address of this table, where the shim counts its end. */
  countCall(): Deno.PointerObject {
    Atomics.add(this.#counts, CALLS, 1);
    return this.#pointer;
  }
}
