// What both engines share: memory, paths in memory, counters, and the calls that do not block. An engine adds how an
// operation gets to the kernel and how its result comes back.

import type { Shim } from "../../ffi/shim.ts";
import type { BufferBudget } from "./buffer_budget.ts";
import {
  countResult,
  type Engine,
  type EngineCounters,
  type EngineName,
  newCounters,
} from "./engine.ts";
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_STATX_DONT_SYNC,
  Errno,
  Opcode,
  PATH_MAX,
  STATX_MASK,
} from "./linux.ts";
import type { Block, Completion, Memory, Operation } from "./operation.ts";
import { Pool, type Registrar } from "./pool.ts";
import { pathsOf, prepareSqe, type Sqe } from "./sqe.ts";

const encoder = new TextEncoder();
const strictDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const NO_BLOCKS: readonly Block[] = [];

/** The address of JavaScript's own memory. The caller keeps the buffer alive while the address is in use. */
export function addressOf(buffer: ArrayBuffer | Uint8Array<ArrayBuffer>): number {
  return Number(Deno.UnsafePointer.value(Deno.UnsafePointer.of(buffer)));
}

/** An operation on its way. It keeps the operation's memory alive until the result is in. */
export interface Request {
  readonly operation: Operation;
  readonly sqe: Sqe;
  readonly completion: Completion;
  /** Where its paths stand. */
  readonly paths: readonly Block[];
}

/** The parts of an engine that are the same whichever way the kernel is asked. */
export abstract class KernelEngine implements Engine {
  abstract readonly name: EngineName;
  readonly counters: EngineCounters = newCounters();
  readonly budget: BufferBudget;
  readonly pool: Pool;
  protected readonly shim: Shim;
  /** Everything was given back. From then on nothing is handed to the kernel. */
  protected disposed = false;

  constructor(shim: Shim, budget: BufferBudget, registrar?: Registrar) {
    this.shim = shim;
    this.budget = budget;
    this.pool = new Pool(shim, registrar);
  }

  /** Gets one operation to the kernel, now or later. {@linkcode settle} takes its result. */
  protected abstract start(request: Request): void;

  abstract flush(): void;

  /** Gives back what an engine has of its own. */
  protected abstract takeDown(): void;

  submit(operation: Operation, completion: Completion): void {
    if (this.disposed) return;
    this.counters.inFlight++;
    if (operation.op === "pause") {
      setTimeout(() => this.#pauseOver(operation, completion), operation.milliseconds);
      return;
    }
    if (operation.op === "close") this.shim.resources.untrackDescriptor(operation.fd);
    const paths = this.#placePaths(pathsOf(operation));
    const sqe = prepareSqe(operation, paths?.map(({ address }) => address) ?? []);
    const request = { operation, sqe, completion, paths: paths ?? NO_BLOCKS };
    if (paths) this.start(request);
    else queueMicrotask(() => this.settle(request, -Errno.ENAMETOOLONG));
  }

  #pauseOver(operation: Operation, completion: Completion): void {
    this.counters.inFlight--;
    countResult(this.counters, operation, 0);
    completion.complete(0);
  }

  /** Copies paths into the pool, where they outlive the isolate; undefined where one is too long. */
  #placePaths(paths: readonly string[]): readonly Block[] | undefined {
    if (paths.length === 0) return NO_BLOCKS;
    const blocks = paths.map(() => this.acquire(PATH_MAX));
    const fits = paths.every((path, index) => {
      const { bytes } = blocks[index]!;
      const { read, written } = encoder.encodeInto(path, bytes);
      if (read < path.length || written >= PATH_MAX) return false;
      bytes[written] = 0;
      return true;
    });
    if (fits) return blocks;
    for (const block of blocks) this.release(block);
    return undefined;
  }

  /** Counts one result and gives it to whoever waits for it. */
  protected settle({ operation, completion, paths }: Request, result: number): void {
    const { counters } = this;
    counters.inFlight--;
    countResult(counters, operation, result);
    for (const block of paths) this.release(block);
    if (operation.op === "open" && result >= 0) this.shim.resources.trackDescriptor(result);
    try {
      completion.complete(result);
    } catch (error) {
      // One completion that throws must not take those behind it in the batch along.
      reportError(error);
    }
  }

  /** Makes the call of a request on one of Deno's threads. Resolves to its result. */
  protected callOnThread({ sqe }: Request): Promise<number> {
    const { opcode, fd, address, length, offset, flags } = sqe;
    return this.shim.dma_call_on_thread(opcode, fd, address, length, offset, flags);
  }

  /**
   * Gives back memory and descriptors when the isolate is about to end and its thread is not. With operations in flight
   * everything stays, because their memory must.
   */
  dispose(): void {
    if (this.disposed || this.counters.inFlight > 0) return;
    this.disposed = true;
    this.takeDown();
    this.pool.dispose();
    for (const fd of this.shim.resources.descriptors()) this.closeNow(fd);
  }

  statNow(fd: number, memory: Memory): number {
    const name = this.acquire(1);
    name.bytes[0] = 0;
    const flags = AT_EMPTY_PATH | AT_STATX_DONT_SYNC;
    const { address } = memory;
    const result = this.shim.dma_call(Opcode.STATX, fd, name.address, STATX_MASK, address, flags);
    this.release(name);
    return result;
  }

  realPath(fd: number): string | undefined {
    const name = this.acquire(PATH_MAX);
    const target = this.acquire(PATH_MAX);
    encoder.encodeInto(`/proc/self/fd/${fd}\0`, name.bytes);
    const { address } = target;
    const length = this.shim.dma_call(
      Opcode.READLINK,
      AT_FDCWD,
      name.address,
      PATH_MAX,
      address,
      0,
    );
    // Copied out: TextDecoder may keep what it is given, and the block goes back.
    const bytes = target.bytes.slice(0, Math.max(0, length));
    this.release(name);
    this.release(target);
    if (length <= 0) return undefined;
    try {
      return strictDecoder.decode(bytes);
    } catch {
      // What a lenient decoder makes of it would be the name of another file.
      return undefined;
    }
  }

  closeNow(fd: number): void {
    if (this.shim.resources.untrackDescriptor(fd)) {
      this.shim.dma_call(Opcode.CLOSE, fd, 0, 0, 0, 0);
    }
  }

  acquire(size: number): Block {
    return this.pool.acquire(size);
  }

  release(block: Block): void {
    this.pool.release(block);
  }
}
