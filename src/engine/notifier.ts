// How completions wake the event loop: the ring signals an eventfd. At first a read on one of Deno's threads waits for
// it, which costs nothing to set up. Later Deno's own epoll watches it.
// Measured: 5 µs a wake-up by epoll, 40 µs by a thread, but 20 ms once to get at epoll.

import { addressOf } from "../../ffi/address.ts";
import type { Shim } from "../../ffi/shim.ts";
import { NO_PLACE } from "../../ffi/thread_exit.ts";
import { clearTimeout, setTimeout } from "./event_loop.ts";
import { EFD_CLOEXEC, EFD_NONBLOCK, Opcode } from "./linux.ts";

/** Calls its listener when its eventfd is signalled. While it is referenced it keeps the process alive. */
export interface Notifier {
  readonly name: "epoll" | "thread";
  /** The eventfd, for the ring. */
  readonly fd: number;
  /** Keeps the event loop alive, from the first operation in flight on. */
  ref(): void;
  /** Lets the process end. */
  unref(): void;
  /** Frees it. The ring must have another notifier by then. */
  stop(): void;
}

/** The handle under a pipe of node:net: epoll's view of a descriptor. */
interface PipeHandle {
  open(fd: number): number;
}

/** The longest time until the first signal comes through epoll. */
const SELF_TEST_MS = 1000;

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

/**
 * An eventfd in Deno's epoll. Rejects if that does not work.
 *
 * node:net takes pipes only, but the class of its handles takes any descriptor that epoll does. That is no public
 * contract, so it is tried with a signal first. Loading node:net takes some 20 ms, which only much I/O repays.
 */
export async function openEpollNotifier(shim: Shim, listener: () => void): Promise<Notifier> {
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
  const timer = setTimeout(() => resolve(false), SELF_TEST_MS);
  const fails = () => resolve(false);
  socket.once("error", fails);
  signal(shim, fd);
  passed = await awake;
  clearTimeout(timer);
  if (!passed) {
    socket.destroy();
    throw new Error("No signal came through epoll");
  }
  socket.off("error", fails);
  socket.unref();
  return {
    name: "epoll",
    fd,
    ref: () => void socket.ref(),
    unref: () => void socket.unref(),
    stop: () => void socket.destroy(),
  };
}

/** Has one read of the eventfd wait on a thread, only while operations are in flight. Costs nothing to set up. */
export class ThreadNotifier implements Notifier {
  readonly name = "thread";
  readonly fd: number;
  readonly #shim: Shim;
  /** The memory of the read's eight bytes: mapped, so that it outlives the isolate. */
  readonly #counter: number;
  readonly #listener: () => void;
  #referenced = false;
  #parked = false;
  #listening = false;
  #stopped = false;

  constructor(shim: Shim, listener: () => void) {
    this.#shim = shim;
    this.#listener = listener;
    this.fd = eventfd(shim, 0);
    shim.resources.trackDescriptor(this.fd);
    shim.resources.notifier = this.fd;
    this.#counter = shim.dma_map(4096, 0);
  }

  ref(): void {
    this.#referenced = true;
    if (!this.#parked) this.#park();
  }

  unref(): void {
    this.#referenced = false;
    // The read may be parked with nothing left to signal it.
    if (this.#parked && !this.#listening) signal(this.#shim, this.fd);
  }

  stop(): void {
    this.#stopped = true;
    if (this.#parked) this.unref();
    else this.#free();
  }

  #free(): void {
    if (this.#shim.resources.untrackDescriptor(this.fd)) {
      this.#shim.dma_call(Opcode.CLOSE, this.fd, 0, 0, 0, 0);
    }
    this.#shim.dma_unmap(this.#counter, 4096);
  }

  async #park(): Promise<void> {
    this.#parked = true;
    const { dma_call_on_thread } = this.#shim;
    while (this.#referenced) {
      await dma_call_on_thread(NO_PLACE, Opcode.READ_STREAM, this.fd, this.#counter, 8, 0, 0);
      this.#listening = true;
      this.#listener();
      this.#listening = false;
    }
    this.#parked = false;
    if (this.#stopped) this.#free();
  }
}
