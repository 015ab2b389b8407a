// How completions wake the event loop: the ring signals an eventfd. At first a read on one of Deno's threads waits for
// it, which costs nothing to set up. Later Deno's own epoll watches it.
// Measured: 5 µs a wake-up by epoll, 40 µs by a thread, but 20 ms once to get at epoll.

import type { Socket } from "node:net";
import { addressOf } from "../../ffi/address.ts";
import type { Shim } from "../../ffi/shim.ts";
import { NO_PLACE } from "../../ffi/thread_exit.ts";
import type { Counters } from "./counters.ts";
import { callAfter, eventLoopTurn, neverNotified } from "./event_loop.ts";
import { type KernelRing, RingRefused } from "./kernel_ring.ts";
import { EFD_CLOEXEC, EFD_NONBLOCK, Opcode } from "./linux.ts";

/**
 * After this many wake-ups with few operations in flight, epoll wakes the event loop. Setting it up takes as long as 400
 * faster wake-ups save. With more operations in flight nothing waits for a single wake-up, and nothing is saved.
 */
const EPOLL_AFTER_WAKEUPS = 400;
const FEW_IN_FLIGHT = 2;

/** The interval in which completions are polled for until the first wake-up, in milliseconds. */
const POLL_MS = 1000;

/** The longest time until the first signal comes through epoll, in milliseconds. */
const SELF_TEST_MS = 1000;

/** Wakes the event loop for the completions of a ring. While it is referenced it keeps the process alive. */
export class Notifier {
  readonly #shim: Shim;
  readonly #ring: KernelRing;
  readonly #counters: Counters;
  readonly #mayUseEpoll: (fd: number) => boolean;
  readonly #reap: () => void;
  /** The eventfd that a thread reads, until epoll watches another one. */
  readonly #fd: number;
  /** What the thread does: it waits in the read of the eventfd, or the event loop serves its signal. */
  #thread: "idle" | "reading" | "signalled" = "idle";
  /** What keeps the event loop alive for the eventfd that epoll watches. */
  #epoll: Socket | undefined;
  #referenced = false;
  #firstWakeUp: "not awaited" | "polled for" | "seen" = "not awaited";
  /** Wake-ups with few operations in flight. */
  #loneWakeUps = 0;
  #stopped = false;

  /**
   * `reap` is called when there are completions. `mayUseEpoll` says whether epoll may take over from an eventfd: Deno does
   * not close the descriptor of a handle when a Worker is terminated, and panics if it loads node:process without /proc.
   * Throws {@linkcode RingRefused}.
   */
  constructor(
    shim: Shim,
    ring: KernelRing,
    counters: Counters,
    mayUseEpoll: (fd: number) => boolean,
    reap: () => void,
  ) {
    this.#shim = shim;
    this.#ring = ring;
    this.#counters = counters;
    this.#mayUseEpoll = mayUseEpoll;
    this.#reap = reap;
    this.#fd = eventfd(shim, 0);
    shim.resources.trackDescriptor(this.#fd);
    shim.resources.notifier = this.#fd;
    const result = ring.registerEventfd(this.#fd);
    if (result >= 0) return;
    this.#closeEventfd();
    throw new RingRefused("io_uring_register_eventfd", -result);
  }

  get name(): "epoll" | "thread" {
    return this.#epoll ? "epoll" : "thread";
  }

  /** Keeps the event loop alive, from the first operation in flight on. */
  ref(): void {
    this.#referenced = true;
    if (this.#epoll) this.#epoll.ref();
    else if (this.#thread === "idle") this.#readOnThread();
    if (this.#firstWakeUp !== "not awaited") return;
    this.#firstWakeUp = "polled for";
    this.#poll();
  }

  /** Lets the process end. */
  unref(): void {
    this.#referenced = false;
    if (this.#epoll) this.#epoll.unref();
    else this.#endRead();
  }

  stop(): void {
    this.#stopped = true;
    this.#referenced = false;
    if (this.#epoll) this.#epoll.destroy();
    else this.#leaveThread();
  }

  readonly #wake = (): void => {
    this.#counters.wakeups++;
    this.#firstWakeUp = "seen";
    const isLone = this.#counters.inFlight <= FEW_IN_FLIGHT;
    if (isLone && ++this.#loneWakeUps === EPOLL_AFTER_WAKEUPS) this.#useEpoll();
    this.#reap();
  };

  /**
   * Polls for completions. Seen once in some thousand rings: the first operation of a ring ended, or never began, and did
   * not wake the event loop. A timer of Deno would take 10 ms to load, and this one does not keep the program alive.
   */
  async #poll(): Promise<void> {
    while (this.#referenced) {
      await Atomics.waitAsync(neverNotified, 0, 0, POLL_MS).value;
      if (this.#firstWakeUp === "seen") return;
      if (!this.#referenced) break;
      // Even what no flag of the ring tells of is completed by a wait.
      this.#ring.wait(0);
      this.#reap();
    }
    this.#firstWakeUp = "not awaited";
  }

  // ---- the thread -------------------------------------------------------------------------------------------------

  /** Has one read of the eventfd wait on a thread, only while operations are in flight. */
  async #readOnThread(): Promise<void> {
    const { dma_call_on_thread, resources: { counterAddress } } = this.#shim;
    while (this.#referenced && !this.#epoll) {
      this.#thread = "reading";
      await dma_call_on_thread(NO_PLACE, Opcode.READ_STREAM, this.#fd, counterAddress, 8, 0, 0);
      this.#thread = "signalled";
      this.#wake();
    }
    this.#thread = "idle";
    if (this.#stopped || this.#epoll) this.#closeEventfd();
  }

  /** The read may wait with nothing left to signal it. */
  #endRead(): void {
    if (this.#thread === "reading") signal(this.#shim, this.#fd);
  }

  /** The thread is not needed any more. */
  #leaveThread(): void {
    if (this.#thread === "idle") this.#closeEventfd();
    else this.#endRead();
  }

  #closeEventfd(): void {
    const { resources, dma_call } = this.#shim;
    if (resources.untrackDescriptor(this.#fd)) dma_call(Opcode.CLOSE, this.#fd, 0, 0, 0, 0);
  }

  // ---- epoll ------------------------------------------------------------------------------------------------------

  async #useEpoll(): Promise<void> {
    if (!this.#mayUseEpoll(this.#fd)) return;
    const watched = await watchByEpoll(this.#shim, this.#wake).catch(() => undefined);
    if (!watched) return;
    const { fd, socket } = watched;
    if (this.#stopped) return void socket.destroy();
    this.#ring.unregisterEventfd();
    if (this.#ring.registerEventfd(fd) >= 0) {
      if (this.#referenced) socket.ref();
      this.#epoll = socket;
      this.#leaveThread();
    } else {
      socket.destroy();
      this.#registerAgain();
    }
    // What completed between the two has signalled neither. It is reaped in a turn of the event loop, as everything is.
    eventLoopTurn().then(this.#reap);
  }

  /** Returns to the former eventfd. Until the kernel accepts it, completions are polled for. */
  async #registerAgain(): Promise<void> {
    while (!this.#stopped && this.#ring.registerEventfd(this.#fd) < 0) {
      await Atomics.waitAsync(neverNotified, 0, 0, 5).value;
      this.#reap();
    }
  }
}

function eventfd(shim: Shim, flags: number): number {
  const fd = shim.dma_call(Opcode.EVENTFD, -1, 0, 0, 0, EFD_CLOEXEC | flags);
  if (fd < 0) throw new Error(`Cannot make an eventfd (os error ${-fd})`);
  return fd;
}

/** Adds one to an eventfd, which wakes its watcher. */
function signal(shim: Shim, fd: number): void {
  const one = new BigUint64Array([1n]);
  shim.dma_call(Opcode.WRITE_STREAM, fd, addressOf(one), 8, 0, 0);
}

/** The handle under a pipe of node:net: epoll's view of a descriptor. */
interface PipeHandle {
  open(fd: number): number;
}

/**
 * Has Deno's epoll watch a new eventfd, which the socket closes. Rejects if that does not work.
 *
 * node:net takes pipes only, but the class of its handles takes any descriptor that epoll does. That is no public
 * contract, so it is tried with a signal first. Loading node:net takes some 20 ms, which only much I/O repays.
 */
async function watchByEpoll(
  shim: Shim,
  listener: () => void,
): Promise<{ fd: number; socket: Socket }> {
  const { Socket } = await import("node:net");
  const process = (await import("node:process")).default as unknown as {
    binding(name: string): { Pipe: new (type: number) => PipeHandle };
  };
  const { Pipe } = process.binding("pipe_wrap");
  const fd = eventfd(shim, EFD_NONBLOCK);
  const handle = new Pipe(0);
  if (handle.open(fd) !== 0) {
    shim.dma_call(Opcode.CLOSE, fd, 0, 0, 0, 0);
    throw new Error("Cannot open an eventfd as a pipe");
  }
  const { promise: awake, resolve } = Promise.withResolvers<boolean>();
  let passed = false;
  const callback = () => {
    if (passed) listener();
    else resolve(true);
    return true;
  };
  // A buffer of our own: else each wake-up would come with a fresh one of 64 KiB.
  const onread = { buffer: new Uint8Array(64), callback };
  // deno-lint-ignore no-explicit-any -- `handle` is an option that node:net takes but does not document
  const socket = new Socket({ handle, readable: true, writable: false, onread } as any);
  socket.resume();
  const prevent = callAfter(SELF_TEST_MS, () => resolve(false));
  const fails = () => resolve(false);
  socket.once("error", fails);
  signal(shim, fd);
  passed = await awake;
  prevent();
  if (!passed) {
    socket.destroy();
    throw new Error("No signal came through epoll");
  }
  socket.off("error", fails);
  socket.unref();
  return { fd, socket };
}
