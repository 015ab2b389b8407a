// How completions wake the event loop: an eventfd that the ring signals, watched at first by a call parked on one
// of Deno's threads, which costs nothing to set up, and then by Deno's own epoll.
// Measured: 5 µs a wake-up by epoll, 40 µs by a thread; but 20 ms once to get at epoll.

import type { Shim } from "../../ffi/shim.ts";
import { Op } from "./kernel_engine.ts";

const EFD_CLOEXEC = 0o2000000;
const EFD_NONBLOCK = 0o4000;

/** Calls a listener when the eventfd is signalled, and holds the process while asked to. */
export interface Wake {
  /** Which way it is done. */
  readonly name: "epoll" | "thread";
  /** The eventfd, for the ring. */
  readonly fd: number;
  /** Sets the one listener. */
  listen(listener: () => void): void;
  /** Keeps the event loop alive, from the first operation in flight on. */
  hold(): void;
  /** Lets the process end. */
  letGo(): void;
  /** Ends it for good. The ring must have another by then. */
  stop(): void;
}

/** The handle under a pipe of node:net: epoll's view of a descriptor. */
interface PipeHandle {
  open(fd: number): number;
  close(): void;
}

/** How long the first signal may take to come through epoll. */
const SELF_TEST_MS = 1000;

function eventfd(shim: Shim, flags: number): number {
  const fd = shim.dma_call(Op.EVENTFD, -1, 0, 0, 0, EFD_CLOEXEC | flags);
  if (fd < 0) throw new Error(`Cannot make an eventfd (os error ${-fd})`);
  return fd;
}

/** Adds one to an eventfd, which wakes whoever watches it. */
function signal(shim: Shim, fd: number): void {
  const one = new BigUint64Array([1n]);
  const address = Number(Deno.UnsafePointer.value(Deno.UnsafePointer.of(one)));
  shim.dma_call(Op.WRITE_STREAM, fd, address, 8, 0, 0);
}

/**
 * An eventfd in Deno's epoll; undefined where that is not to be had.
 *
 * node:net takes pipes only, but the class of its handles takes any descriptor that epoll does. That is no public
 * contract, so it is tried with a signal first. Loading node:net costs some 20 ms: only who does much I/O should pay.
 */
export async function openEpollWake(shim: Shim): Promise<Wake | undefined> {
  try {
    return await watchByEpoll(shim);
  } catch {
    return undefined;
  }
}

async function watchByEpoll(shim: Shim): Promise<Wake | undefined> {
  const { Socket } = await import("node:net");
  const process = (await import("node:process")).default as unknown as {
    binding(name: string): { Pipe: new (type: number) => PipeHandle };
  };
  const { Pipe } = process.binding("pipe_wrap");
  const fd = eventfd(shim, EFD_NONBLOCK);
  const handle = new Pipe(0);
  if (handle.open(fd) !== 0) {
    shim.dma_call(Op.CLOSE, fd, 0, 0, 0, 0);
    return undefined;
  }
  const { promise: awake, resolve } = Promise.withResolvers<boolean>();
  let listener = () => resolve(true);
  const callback = () => {
    listener();
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
  const passed = await awake;
  clearTimeout(timer);
  if (!passed) {
    socket.destroy();
    return undefined;
  }
  socket.off("error", fails);
  socket.unref();
  return {
    name: "epoll",
    fd,
    listen: (wanted: () => void) => void (listener = wanted),
    hold: () => void socket.ref(),
    letGo: () => void socket.unref(),
    stop: () => void socket.destroy(),
  };
}

/** One read of the eventfd parked on a thread, only while something is in flight. Costs nothing to set up. */
export class ThreadWake implements Wake {
  readonly name = "thread";
  readonly fd: number;
  readonly #shim: Shim;
  /** Where the parked read puts its eight bytes: mapped, so that it outlives the isolate. */
  readonly #counter: number;
  #listener: () => void = () => {};
  #held = false;
  #parked = false;
  #listening = false;
  #stopped = false;

  constructor(shim: Shim) {
    this.#shim = shim;
    this.fd = eventfd(shim, 0);
    shim.estate.own(this.fd);
    shim.estate.wake = this.fd;
    this.#counter = shim.dma_map(4096, 0);
  }

  listen(listener: () => void): void {
    this.#listener = listener;
  }

  hold(): void {
    this.#held = true;
    if (!this.#parked) this.#park();
  }

  letGo(): void {
    this.#held = false;
    // The read may be parked with nothing left to signal it.
    if (this.#parked && !this.#listening) signal(this.#shim, this.fd);
  }

  stop(): void {
    this.#stopped = true;
    if (this.#parked) this.letGo();
    else this.#free();
  }

  #free(): void {
    if (this.#shim.estate.disown(this.fd)) this.#shim.dma_call(Op.CLOSE, this.fd, 0, 0, 0, 0);
    this.#shim.dma_unmap(this.#counter, 4096);
  }

  async #park(): Promise<void> {
    this.#parked = true;
    while (this.#held) {
      await this.#shim.dma_call_blocking(Op.READ_STREAM, this.fd, this.#counter, 8, 0, 0);
      this.#listening = true;
      this.#listener();
      this.#listening = false;
    }
    this.#parked = false;
    if (this.#stopped) this.#free();
  }
}
