// What this isolate has from the kernel, written down where it outlives the isolate. When a Worker ends its heap goes, and
// nobody is told; so what native code got for it would stay for good. libc has the shim give back what is listed here when
// the thread ends, after everything in flight.

/** What is needed of libc. Where it has none, as musl has not, what an isolate leaves behind stays. */
export const threadEndSymbols = {
  __cxa_thread_atexit_impl: {
    parameters: [/* function */ "pointer", /* argument */ "pointer", /* library */ "pointer"],
    result: "i32",
    optional: true,
  },
} as const satisfies Deno.ForeignLibraryInterface;

type Libc = Deno.DynamicLibrary<typeof threadEndSymbols>["symbols"];

// `struct estate` of ffi/shim.c.
const BYTES = 64 * 1024;
const RING = 0;
const MAPPINGS = 1;
const COUNTS_AT = 16;
const CALLS = 0;
const WAKE = 3;
const DESCRIPTORS_AT = 32;
const DESCRIPTOR_BYTES = 8192;
const LIST_AT = DESCRIPTORS_AT + DESCRIPTOR_BYTES;
const LISTED_MOST = 3582;

/** What an isolate has from the kernel. */
export class Estate {
  readonly #numbers: Float64Array<ArrayBuffer>;
  readonly #list: Float64Array<ArrayBuffer>;
  readonly #descriptors: Uint8Array<ArrayBuffer>;
  readonly #counts: Int32Array<ArrayBuffer>;
  readonly #pointer: Deno.PointerObject;
  /** Addresses of the mappings, as they are listed. */
  readonly #listed: number[] = [];

  /** `giveBack` is what the thread calls when it ends. */
  constructor(
    map: (length: number, huge: number) => number,
    libc: Libc,
    giveBack: Deno.PointerObject,
  ) {
    const address = map(BYTES, 0);
    if (address < 0) throw new Error(`Cannot map ${BYTES} bytes (os error ${-address})`);
    const pointer = Deno.UnsafePointer.create(BigInt(address))!;
    const buffer = Deno.UnsafePointerView.getArrayBuffer(pointer, BYTES);
    this.#numbers = new Float64Array(buffer, 0, 2);
    this.#counts = new Int32Array(buffer, COUNTS_AT, 4);
    this.#counts[WAKE] = -1;
    this.#pointer = pointer;
    this.#descriptors = new Uint8Array(buffer, DESCRIPTORS_AT, DESCRIPTOR_BYTES);
    this.#list = new Float64Array(buffer, LIST_AT, 2 * LISTED_MOST);
    libc.__cxa_thread_atexit_impl?.(giveBack, pointer, giveBack);
  }

  /** Lists a mapping. One too many is not given back. */
  list(address: number, length: number): void {
    const index = this.#listed.length;
    if (index === LISTED_MOST) return;
    this.#listed.push(address);
    this.#list[2 * index] = address;
    this.#list[2 * index + 1] = length;
    this.#numbers[MAPPINGS] = index + 1;
  }

  /** A mapping is to be unmapped now. */
  strike(address: number): void {
    const index = this.#listed.indexOf(address);
    if (index < 0) return;
    // The last one takes its place. In this order nothing is given back twice, wherever the isolate is ended.
    const last = this.#listed.length - 1;
    this.#numbers[MAPPINGS] = last;
    this.#list.copyWithin(2 * index, 2 * last, 2 * last + 2);
    this.#listed[index] = this.#listed[last]!;
    this.#listed.pop();
  }

  /** Counts a descriptor as this isolate's. */
  own(fd: number): void {
    if (fd < 8 * DESCRIPTOR_BYTES) Atomics.or(this.#descriptors, fd >> 3, 1 << (fd & 7));
  }

  /**
   * A descriptor is to be closed now: as soon as it is, its number may be another's. False where it was disowned before,
   * and must not be closed again.
   */
  disown(fd: number): boolean {
    if (this.#counts[WAKE] === fd) this.#counts[WAKE] = -1;
    if (fd >= 8 * DESCRIPTOR_BYTES) return true;
    const bit = 1 << (fd & 7);
    return (Atomics.and(this.#descriptors, fd >> 3, ~bit) & bit) !== 0;
  }

  /** The descriptors that are this isolate's. */
  descriptors(): number[] {
    const found: number[] = [];
    this.#descriptors.forEach((bits, index) => {
      for (let fd = 8 * index; bits > 0; bits >>= 1, fd++) if (bits & 1) found.push(fd);
    });
    return found;
  }

  /** The address of the ring's `struct io_uring`, or 0 when there is none. */
  set ring(address: number) {
    this.#numbers[RING] = address;
  }

  /** The eventfd that a call on another thread may wait for, until it is disowned. */
  set wake(fd: number) {
    this.#counts[WAKE] = fd;
  }

  /** Counts a call that begins on another thread, and returns where the shim counts it off when it has ended. */
  countCall(): Deno.PointerObject {
    Atomics.add(this.#counts, CALLS, 1);
    return this.#pointer;
  }
}
