// Wakes the event loop for completions: the ring signals an eventfd. At first a thread of Deno waits for it, and later
// Deno's epoll. Measured: a wake-up takes 5 µs by epoll and 40 µs by a thread, but the setup of epoll takes 20 ms.

import type { Socket } from "node:net";
import { NOTIFIER_PLACE } from "../../ffi/thread_exit.ts";
import type { Counters } from "./counters.ts";
import { neverNotified, pauseFor, performance } from "./event_loop.ts";
import type { KernelRing } from "./kernel_ring.ts";
import { F_DUPFD_CLOEXEC, F_SETFL, O_NONBLOCK, Opcode } from "./linux.ts";
import { endsWithProcess } from "./process.ts";
import { entry } from "./sqe.ts";
import { callOnThread, PENDING } from "./thread_calls.ts";

/** The setup of epoll takes the time that 400 faster wake-ups save, if few operations are in flight. */
const EPOLL_AFTER_WAKEUPS = 400;
const FEW_IN_FLIGHT = 2;

/** The interval of polling, in milliseconds. */
const POLL_MS = 100;

/** The timeout of the first signal through epoll, in milliseconds. */
const SELF_TEST_MS = 1000;

/** The parts of Node's modules that make epoll watch a descriptor. */
interface NodeModules {
  readonly Socket: typeof Socket;
  /** The handle under a pipe of node:net: epoll's view of a descriptor. */
  readonly Pipe: new (type: number) => { open(fd: number): number };
}

/** Wakes the event loop for the completions of a ring. While it is referenced it keeps the process alive. */
export class Notifier {
  /** Whether a thread waits for signals, or will again when the event loop has handled the last one. */
  #usesThread = false;
  /** The call in which the thread waits for a signal. */
  #call: Promise<unknown> | undefined;
  /** The modules that give access to epoll, from their loading until the first attempt. */
  #node: NodeModules | undefined;
  /** The handle that keeps the event loop alive while epoll watches the eventfd. */
  #socket: Socket | undefined;
  #referenced = false;
  #isPolling = false;
  #loneWakeUps = 0;

  constructor(readonly ring: KernelRing, readonly counters: Counters, readonly reap: () => void) {}

  get name(): "epoll" | "thread" {
    return this.#socket ? "epoll" : "thread";
  }

  /** Keeps the event loop alive while operations are in flight. */
  ref(): void {
    this.#referenced = true;
    if (this.#socket) this.#socket.ref();
    else if (!this.#usesThread) this.#waitOnThread();
    if (!this.#isPolling) this.#poll();
  }

  unref(): void {
    this.#referenced = false;
    this.#socket?.unref();
    // No operation is in flight that would signal the eventfd.
    if (this.#call) this.#signal();
  }

  /** The call of a thread that returns now, because no operation is in flight. */
  get returning(): Promise<unknown> | undefined {
    return this.#referenced ? undefined : this.#call;
  }

  /** Waits for the thread: it could read from the next file with the eventfd's number. Returns false at `deadline`. */
  returnNow(deadline: number): boolean {
    const { results } = this.ring.shim.resources;
    while (this.#call && Atomics.load(results, NOTIFIER_PLACE) === PENDING) {
      if (performance.now() >= deadline) return false;
      Atomics.wait(neverNotified, 0, 0, 1);
    }
    return true;
  }

  #signal(): void {
    this.ring.shim.dma_call(Opcode.SIGNAL, this.ring.eventfd, 0, 0, 0, 0);
  }

  readonly #wake = (): void => {
    this.counters.wakeups++;
    const isLone = this.counters.inFlight <= FEW_IN_FLIGHT;
    if (isLone && ++this.#loneWakeUps === EPOLL_AFTER_WAKEUPS) this.#loadNode();
    this.reap();
  };

  /**
   * Polls too, because a signal can be missing. While the program's own calls use all of Deno's threads, none waits for
   * it. Once in some thousand rings the first operation ended, or never began, without a signal. Kernel 7.2 can leave
   * work in its queue without one (io_uring/mpscq.h). `Atomics.waitAsync` does not keep the program alive, and Deno's
   * timers take 10 ms to load.
   */
  async #poll(): Promise<void> {
    this.#isPolling = true;
    while (this.#referenced) {
      await Atomics.waitAsync(neverNotified, 0, 0, POLL_MS).value;
      if (!this.#referenced) break;
      // A wait also completes operations for which no flag of the ring is set.
      this.ring.wait(0);
      this.reap();
    }
    this.#isPolling = false;
  }

  /** Lets a thread wait for signals while operations are in flight, until epoll takes over. */
  async #waitOnThread(): Promise<void> {
    this.#usesThread = true;
    while (this.#referenced && !this.#socket) {
      if (this.#node) {
        await this.#tryEpoll(this.#node);
        continue;
      }
      const wait = entry(Opcode.AWAIT_SIGNAL, this.ring.eventfd);
      this.#call = callOnThread(this.ring.shim, NOTIFIER_PLACE, wait);
      await this.#call;
      this.#call = undefined;
      this.#wake();
    }
    this.#usesThread = false;
  }

  /**
   * Loads the modules, which takes some 20 ms. Not in a Worker, where Deno leaves the descriptor of a handle open at
   * termination, and not without /proc, where Deno panics if node:process is loaded.
   */
  async #loadNode(): Promise<void> {
    if (!endsWithProcess(this.ring.shim)) return;
    try {
      const { Socket } = await import("node:net");
      const process = (await import("node:process")).default as unknown as {
        binding(name: string): Pick<NodeModules, "Pipe">;
      };
      this.#node = { Socket, Pipe: process.binding("pipe_wrap").Pipe };
    } catch {
      // The thread stays in use.
    }
  }

  /** Lets epoll take over from the thread, which must not be reading. */
  async #tryEpoll(node: NodeModules): Promise<void> {
    this.#node = undefined;
    const { dma_call } = this.ring.shim;
    const { eventfd } = this.ring;
    // Another descriptor of the same eventfd: the socket closes its own.
    const fd = dma_call(Opcode.FCNTL, eventfd, 0, F_DUPFD_CLOEXEC, 0, 0);
    // The thread's reads block, and those of the event loop must not.
    dma_call(Opcode.FCNTL, eventfd, 0, F_SETFL, 0, O_NONBLOCK);
    this.#socket = fd < 0 ? undefined : await this.#watch(fd, node).catch(() => undefined);
    if (!this.#socket) dma_call(Opcode.FCNTL, eventfd, 0, F_SETFL, 0, 0);
    else if (!this.#referenced) this.#socket.unref();
  }

  /**
   * Makes Deno's epoll watch a descriptor, which the socket closes. node:net takes only pipes, but the class of its
   * handles takes any descriptor. This is not a public contract, so a signal tests it first. Resolves to undefined if
   * it does not work.
   */
  async #watch(fd: number, { Socket, Pipe }: NodeModules): Promise<Socket | undefined> {
    const handle = new Pipe(0);
    if (handle.open(fd) !== 0) {
      this.ring.shim.dma_call(Opcode.CLOSE, fd, 0, 0, 0, 0);
      return undefined;
    }
    const { promise: awake, resolve } = Promise.withResolvers<boolean>();
    const callback = () => {
      resolve(true);
      this.#wake();
      return true;
    };
    // This buffer is reused. Otherwise each wake-up would allocate one of 64 KiB.
    const onread = { buffer: new Uint8Array(64), callback };
    // deno-lint-ignore no-explicit-any -- `handle` is an option that node:net takes but does not document
    const socket = new Socket({ handle, readable: true, writable: false, onread } as any);
    socket.resume();
    const fails = () => resolve(false);
    const test = new AbortController();
    pauseFor(SELF_TEST_MS, test.signal).then(fails);
    socket.once("error", fails);
    this.#signal();
    const works = await awake;
    test.abort();
    if (works) return socket.off("error", fails);
    socket.destroy();
    // It may have taken a signal.
    this.reap();
    return undefined;
  }
}
