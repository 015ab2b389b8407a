// The engine over io_uring: one ring for every file of an isolate. Operations are queued in the ring and
// handed over once a turn or at once; completions are reaped in batches when the eventfd wakes the loop.

import type { Liburing } from "../../ffi/liburing.ts";
import type { Shim } from "../../ffi/shim.ts";
import type { ChainStep } from "./chain.ts";
import { KernelEngine, Op, type Operation } from "./kernel_engine.ts";
import type { Registrar } from "./pool.ts";
import { probe } from "./probe.ts";
import { openEpollWake, ThreadWake, type Wake } from "./wake.ts";

const IORING_SETUP_CLAMP = 1 << 4;
const IORING_SETUP_COOP_TASKRUN = 1 << 8;
const IORING_SETUP_TASKRUN_FLAG = 1 << 9;
const IORING_SETUP_SINGLE_ISSUER = 1 << 12;
const IORING_SETUP_DEFER_TASKRUN = 1 << 13;
const IOSQE_IO_LINK = 1 << 2;
const IOSQE_ASYNC = 1 << 4;

const EINTR = 4;
const EAGAIN = 11;
const EBUSY = 16;

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
const REAP_MOST = 512;

/** After so many wake-ups the event loop is woken by epoll. */
const EPOLL_AT = 24;

/** Slots for registered mappings. Mappings beyond work, unregistered. */
const REGISTERED_SLOTS = 64;

/** The ring could not be made. */
export class RingRefused extends Error {
  override name = "RingRefused";
  constructor(readonly errno: number) {
    super(`io_uring_setup failed (os error ${errno})`);
  }
}

/** What {@linkcode IoUringEngine.open} found the kernel to have. */
export interface RingFeatures {
  /** How the ring was set up. */
  setup: string;
  /** Entries of the submission queue. */
  entries: number;
  /** Operations that may be in flight. */
  depth: number;
  /** Whether mappings are registered. */
  registeredBuffers: boolean;
  /** Operations that this kernel's io_uring lacks and that run on threads instead. */
  missing: string[];
}

/** Completion queue entries cannot outnumber the slots, so nothing overflows. */
export class IoUringEngine extends KernelEngine {
  readonly name = "io_uring";
  readonly features: RingFeatures;
  readonly #liburing: Liburing;
  readonly #ring: Deno.PointerObject;
  readonly #reaped: Int32Array;
  readonly #reapedPointer: Deno.PointerObject;
  readonly #supported: Uint8Array;
  #wake: Wake;

  // One slot an operation in flight; its index travels through the kernel as user_data.
  readonly #slots: (Operation | null)[];
  readonly #freeSlots: Uint32Array;
  #free: number;

  readonly #backlog: Operation[] = [];
  #queued = 0;
  #scheduled = false;
  #draining = false;
  /** Flags that tie what is queued now to what is queued next. */
  #tie = 0;

  private constructor(
    shim: Shim,
    liburing: Liburing,
    registrar: Registrar | undefined,
    control: Control,
    supported: Uint8Array,
    features: RingFeatures,
    wake: Wake,
  ) {
    super(shim, registrar);
    this.#liburing = liburing;
    this.#ring = control.ring;
    this.#reaped = control.reaped;
    this.#reapedPointer = control.reapedPointer;
    this.#supported = supported;
    this.features = features;
    this.#wake = wake;
    const { depth } = features;
    this.#slots = new Array(depth).fill(null);
    this.#freeSlots = new Uint32Array(depth).map((_, index) => depth - 1 - index);
    this.#free = depth;
    wake.listen(this.#woken);
  }

  /** How completions wake the event loop now. */
  get wake(): string {
    return this.#wake.name;
  }

  readonly #woken = (): void => {
    if (++this.counters.wakeups === EPOLL_AT) this.#useEpoll();
    this.#drain();
  };

  /** Goes over to the better way to be woken, once it is worth its price. */
  async #useEpoll(): Promise<void> {
    const wake = await openEpollWake(this.shim);
    if (!wake) return;
    const before = this.#wake;
    this.#liburing.io_uring_unregister_eventfd(this.#ring);
    if (this.#liburing.io_uring_register_eventfd(this.#ring, wake.fd) < 0) {
      wake.stop();
      this.#watchAgain();
      return;
    }
    this.#wake = wake;
    wake.listen(this.#woken);
    if (this.counters.inFlight > 0) wake.hold();
    before.stop();
    // What completed between the two is nobody's signal.
    this.#drain();
  }

  /** Goes back to the way that was good until now. Until the kernel takes it, completions are looked for by the clock. */
  #watchAgain(): void {
    if (this.#liburing.io_uring_register_eventfd(this.#ring, this.#wake.fd) < 0) {
      Deno.unrefTimer(setTimeout(() => this.#watchAgain(), 5));
    }
    this.#drain();
  }

  /** Makes a ring with `entries` submission entries. Throws {@linkcode RingRefused}. */
  static open(shim: Shim, liburing: Liburing, entries: number): IoUringEngine {
    const control = mapControl(shim);
    let made = false;
    try {
      const { setup, entries: actual, depth } = setUp(liburing, control.ring, entries);
      made = true;
      const supported = probe(liburing, control.ring);
      const registrar = makeRegistrar(liburing, control.ring);
      const wake = new ThreadWake(shim);
      const watched = liburing.io_uring_register_eventfd(control.ring, wake.fd);
      if (watched < 0) {
        wake.stop();
        throw new RingRefused(-watched);
      }
      const missing = Object.entries(Op)
        .filter(([, opcode]) => opcode < 256 && !supported[opcode])
        .map(([name]) => name);
      const features = {
        setup,
        entries: actual,
        depth,
        registeredBuffers: registrar !== undefined,
        missing,
      };
      return new IoUringEngine(shim, liburing, registrar, control, supported, features, wake);
    } catch (error) {
      if (made) liburing.io_uring_queue_exit(control.ring);
      shim.dma_unmap(control.address, CONTROL_BYTES);
      throw error;
    }
  }

  protected push(operation: Operation): void {
    if (this.counters.inFlight++ === 0) this.#wake.hold();
    if (operation.opcode >= 256 || !this.#supported[operation.opcode]) {
      this.#callBlocking(operation);
      return;
    }
    if (this.#backlog.length > 0 || !this.#enter(operation)) {
      this.counters.queueFull++;
      this.#backlog.push(operation);
    }
    this.#schedule();
  }

  /** Puts an operation into the ring, if there is room. */
  #enter(operation: Operation): boolean {
    if (this.#free === 0) return false;
    const { opcode, fd, address, length, offset, flags, registration, apart } = operation;
    const slot = this.#freeSlots[this.#free - 1]!;
    const entryFlags = (apart ? IOSQE_ASYNC : 0) | this.#tie;
    const index = registration < 0 ? 0 : registration;
    const { shim } = this;
    for (let attempt = 0;; attempt++) {
      const result = shim.dma_queue(
        this.#ring,
        opcode,
        entryFlags,
        fd,
        address,
        length,
        offset,
        flags,
        index,
        slot,
      );
      if (result === 0) break;
      if (result !== -EBUSY) {
        queueMicrotask(() => this.#finish(operation, result));
        return true;
      }
      // The submission queue is full: hand it over and try once more.
      if (attempt > 0) return false;
      this.#hand();
    }
    this.#free--;
    this.#queued++;
    this.#slots[slot] = operation;
    return true;
  }

  async #callBlocking(operation: Operation): Promise<void> {
    const { opcode, fd, address, length, offset, flags } = operation;
    const result = await this.shim.dma_call_blocking(opcode, fd, address, length, offset, flags);
    this.#finish(operation, result);
  }

  #finish(operation: Operation, result: number): void {
    if (--this.counters.inFlight === 0) this.#wake.letGo();
    this.settle(operation, result);
  }

  #schedule(): void {
    if (this.#scheduled || this.#draining) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      // What completes at once is handed out when the event loop comes round, as everything is: code that runs on
      // without coming back to the loop sees nothing change under its hands.
      if (!this.#draining) this.#hand();
    });
  }

  chain(steps: readonly ChainStep[]): boolean {
    // The steps must be neighbours in one submission, and each must be an operation of the ring.
    const { length } = steps;
    const { entries, missing } = this.features;
    if (missing.length > 0 || this.#backlog.length > 0 || this.#free < length) return false;
    if (entries - this.#queued < length) this.#hand();
    if (entries - this.#queued < length) return false;
    for (const [index, { queue, done }] of steps.entries()) {
      this.#tie = index < length - 1 ? IOSQE_IO_LINK : 0;
      queue(done);
    }
    return true;
  }

  #vacate(slot: number): void {
    this.#slots[slot] = null;
    this.#freeSlots[this.#free++] = slot;
  }

  submit(): void {
    // While completions are handed out one submission at the end serves them all.
    if (this.#draining || this.#queued === 0) return;
    this.#hand();
  }

  /** Hands the ring's queued operations to the kernel. */
  #hand(): void {
    while (this.#queued > 0) {
      const result = this.#liburing.io_uring_submit(this.#ring);
      this.counters.submissions++;
      if (result > 0) this.#queued = Math.max(0, this.#queued - result);
      else if (result === -EINTR) continue;
      else if (result === 0) this.#queued = 0;
      else {
        // -EAGAIN and -EBUSY: the kernel is short of memory or wants completions reaped first. Anything else
        // is no better for giving up: what is queued stays queued, and is tried again soon.
        setTimeout(() => this.#drain(), result === -EAGAIN || result === -EBUSY ? 1 : 20);
        return;
      }
    }
  }

  /** Hands over what is queued and hands out what completed, until neither is left. */
  #drain(): void {
    if (this.#draining) return;
    this.#draining = true;
    const { shim } = this;
    try {
      for (;;) {
        this.#hand();
        const waiting = shim.dma_quiet(this.#ring) !== 0;
        if (waiting) this.#liburing.io_uring_get_events?.(this.#ring);
        const count = shim.dma_reap(this.#ring, this.#reapedPointer, REAP_MOST);
        // What came while the ring was quiet had no signal: it is looked for once more.
        if (count === 0 && !waiting) break;
        // Completions may queue more, so the pairs are taken out of the shared memory slot by slot.
        for (let index = 0; index < count; index++) {
          const slot = this.#reaped[2 * index]!;
          const result = this.#reaped[2 * index + 1]!;
          const operation = this.#slots[slot]!;
          this.#vacate(slot);
          this.#finish(operation, result);
        }
        this.#enterBacklog();
      }
    } finally {
      this.#draining = false;
    }
  }

  #enterBacklog(): void {
    const entered = this.#backlog.findIndex((operation) => !this.#enter(operation));
    this.#backlog.splice(0, entered < 0 ? this.#backlog.length : entered);
  }
}

interface Control {
  address: number;
  ring: Deno.PointerObject;
  reaped: Int32Array;
  reapedPointer: Deno.PointerObject;
}

/** Memory for the ring's own structure and for reaped completions, which the C side writes. */
function mapControl(shim: Shim): Control {
  const address = shim.dma_map(CONTROL_BYTES, 0);
  if (address < 0) throw new RingRefused(-address);
  const ring = Deno.UnsafePointer.create(BigInt(address))!;
  const reapedPointer = Deno.UnsafePointer.create(BigInt(address + REAPED_AT))!;
  const buffer = Deno.UnsafePointerView.getArrayBuffer(reapedPointer, REAP_MOST * 8);
  return { address, ring, reaped: new Int32Array(buffer), reapedPointer };
}

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
  return {
    register(address, length) {
      const index = free.pop();
      if (index === undefined) return -1;
      if (update(index, address, length) === 1) return index;
      free.push(index);
      return -1;
    },
    unregister(index) {
      update(index, 0, 0);
      free.push(index);
    },
  };
}
