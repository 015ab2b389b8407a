// What both engines share: how each operation is laid out for the kernel, the pool, and the counters.
// An engine adds only how an operation gets to the kernel and how its result comes back.

import type { Shim } from "../../ffi/shim.ts";
import type { BufferBudget } from "./buffer_budget.ts";
import {
  AT_FDCWD,
  type Block,
  type Completion,
  type Engine,
  type EngineCounters,
  type EngineName,
  type Memory,
  newCounters,
} from "./engine.ts";
import { Pool, type Registrar } from "./pool.ts";

/** The kernel's numbers of operations (`enum io_uring_op`), which the shim's blocking calls share. */
export const Op = {
  FSYNC: 3,
  READ_FIXED: 4,
  WRITE_FIXED: 5,
  FALLOCATE: 17,
  OPENAT: 18,
  CLOSE: 19,
  STATX: 21,
  READ: 22,
  WRITE: 23,
  RENAMEAT: 35,
  UNLINKAT: 36,
  LINKAT: 39,
  /** Since kernel 6.9. */
  FTRUNCATE: 55,
  // From here on only the shim's blocking calls know them.
  READLINK: 256,
  EVENTFD: 257,
  FLOCK: 258,
  COPY_RANGE: 259,
  STATFS: 260,
  READ_STREAM: 261,
  UNAME: 262,
  GETFL: 263,
  WRITE_STREAM: 264,
} as const;

const AT_EMPTY_PATH = 0x1000;
const AT_SYMLINK_FOLLOW = 0x400;
const AT_STATX_DONT_SYNC = 0x4000;
const FSYNC_DATASYNC = 1;
/** STATX_BASIC_STATS, STATX_BTIME and STATX_DIOALIGN. */
const STATX_MASK = 0x7ff | 0x800 | 0x2000;

const ENAMETOOLONG = 36;

const encoder = new TextEncoder();
const strictDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The address of JavaScript's own memory. The caller keeps the buffer alive while the address is in use. */
export function addressOf(buffer: ArrayBuffer | Uint8Array<ArrayBuffer>): number {
  return Number(Deno.UnsafePointer.value(Deno.UnsafePointer.of(buffer)));
}

/** The longest path that the kernel takes, with its NUL. */
const PATH_MAX = 4096;

/** One operation, as the kernel takes it. */
export interface Operation {
  readonly opcode: number;
  readonly fd: number;
  readonly address: number;
  readonly length: number;
  readonly offset: number;
  readonly flags: number;
  /** The registered buffer that the address is in, or -1. */
  readonly registration: number;
  /** Asks for a kernel thread at once, for what would block or copy on this one. */
  readonly apart: boolean;
  /** Memory that must stay alive until the result is in. */
  readonly keep: unknown;
  readonly done: Completion;
}

/** An operation, from what differs from nothing. */
function operation(
  opcode: number,
  fd: number,
  done: Completion,
  { address = 0, length = 0, offset = 0, flags = 0, apart = false, keep = null as unknown } = {},
): Operation {
  return { opcode, fd, address, length, offset, flags, registration: -1, apart, keep, done };
}

/** The parts of an engine that are the same whichever way the kernel is asked. */
export abstract class KernelEngine implements Engine {
  abstract readonly name: EngineName;
  readonly counters: EngineCounters = newCounters();
  readonly budget: BufferBudget;
  readonly pool: Pool;
  protected readonly shim: Shim;

  constructor(shim: Shim, budget: BufferBudget, registrar?: Registrar) {
    this.shim = shim;
    this.budget = budget;
    this.pool = new Pool(shim, registrar);
  }

  /** Gets one operation to the kernel, now or later, and its result to whoever waits for it. */
  protected abstract push(operation: Operation): void;

  abstract submit(): void;

  /** Whether {@linkcode KernelEngine.dispose} gave everything back. From then on nothing is handed to the kernel. */
  protected ended = false;

  /**
   * Gives back memory and descriptors, when the isolate is about to end and its thread is not. With operations in flight
   * everything stays: their memory must.
   */
  dispose(): void {
    if (this.ended || this.counters.inFlight > 0) return;
    this.ended = true;
    this.takeDown();
    this.pool.dispose();
    for (const fd of this.shim.estate.descriptors()) this.closeNow(fd);
  }

  /** What an engine has of its own. */
  protected abstract takeDown(): void;

  open(directory: number, path: string, flags: number, mode: number, done: Completion): void {
    const opened = {
      complete: (result: number) => {
        if (result >= 0) this.shim.estate.own(result);
        done.complete(result);
      },
    };
    this.#byPath([path], opened, ([address], done) => {
      this.push(operation(Op.OPENAT, directory, done, { address: address!, length: mode, flags }));
    });
  }

  close(fd: number, done: Completion): void {
    this.shim.estate.disown(fd);
    // Apart: the last close of a removed file frees all its blocks, in the thread that closes.
    this.push(operation(Op.CLOSE, fd, done, { apart: true }));
  }

  closeNow(fd: number): void {
    if (this.shim.estate.disown(fd)) this.shim.dma_call(Op.CLOSE, fd, 0, 0, 0, 0);
  }

  read(
    fd: number,
    memory: Memory,
    offset: number,
    length: number,
    position: number,
    done: Completion,
  ): void {
    const { registration } = memory;
    this.push({
      opcode: registration < 0 ? Op.READ : Op.READ_FIXED,
      fd,
      address: memory.address + offset,
      length,
      offset: position,
      flags: 0,
      registration,
      apart: false,
      keep: memory,
      done,
    });
  }

  write(
    fd: number,
    memory: Memory,
    offset: number,
    length: number,
    position: number,
    copies: boolean,
    done: Completion,
  ): void {
    const { registration } = memory;
    this.push({
      opcode: registration < 0 ? Op.WRITE : Op.WRITE_FIXED,
      fd,
      address: memory.address + offset,
      length,
      offset: position,
      flags: 0,
      registration,
      apart: copies,
      keep: memory,
      done,
    });
  }

  sync(fd: number, dataOnly: boolean, done: Completion): void {
    this.push(operation(Op.FSYNC, fd, done, { flags: dataOnly ? FSYNC_DATASYNC : 0 }));
  }

  allocate(fd: number, mode: number, position: number, length: number, done: Completion): void {
    this.push(
      operation(Op.FALLOCATE, fd, done, { address: length, length: mode, offset: position }),
    );
  }

  truncate(fd: number, length: number, done: Completion): void {
    this.push(operation(Op.FTRUNCATE, fd, done, { offset: length }));
  }

  stat(fd: number, memory: Memory, done: Completion): void {
    this.#byPath([""], done, ([address], done) => {
      this.push(operation(Op.STATX, fd, done, {
        address: address!,
        length: STATX_MASK,
        offset: memory.address,
        flags: AT_EMPTY_PATH,
        keep: memory,
      }));
    });
  }

  link(fd: number, path: string, done: Completion): void {
    // By /proc and not by AT_EMPTY_PATH, which needs CAP_DAC_READ_SEARCH.
    this.#byPath([`/proc/self/fd/${fd}`, path], done, ([from, to], done) => {
      this.push(operation(Op.LINKAT, AT_FDCWD, done, {
        address: from!,
        length: AT_FDCWD >>> 0,
        offset: to!,
        flags: AT_SYMLINK_FOLLOW,
      }));
    });
  }

  rename(path: string, target: string, done: Completion): void {
    this.#byPath([path, target], done, ([from, to], done) => {
      this.push(operation(Op.RENAMEAT, AT_FDCWD, done, {
        address: from!,
        length: AT_FDCWD >>> 0,
        offset: to!,
      }));
    });
  }

  unlink(path: string, done: Completion): void {
    this.#byPath([path], done, ([address], done) => {
      this.push(operation(Op.UNLINKAT, AT_FDCWD, done, { address: address! }));
    });
  }

  copyRange(
    from: number,
    position: number,
    to: number,
    target: number,
    length: number,
    done: Completion,
  ): void {
    this.push(
      operation(Op.COPY_RANGE, from, done, {
        address: target,
        length,
        offset: position,
        flags: to,
      }),
    );
  }

  lock(fd: number, flags: number, done: Completion): void {
    this.push(operation(Op.FLOCK, fd, done, { flags }));
  }

  fileSystem(fd: number, memory: Memory, done: Completion): void {
    this.push(operation(Op.STATFS, fd, done, { address: memory.address, keep: memory }));
  }

  statNow(fd: number, memory: Memory): number {
    const name = this.acquire(PATH_MAX);
    name.bytes[0] = 0;
    const flags = AT_EMPTY_PATH | AT_STATX_DONT_SYNC;
    const { address } = memory;
    const result = this.shim.dma_call(Op.STATX, fd, name.address, STATX_MASK, address, flags);
    this.release(name);
    return result;
  }

  realPath(fd: number): string | undefined {
    const name = this.acquire(PATH_MAX);
    const target = this.acquire(PATH_MAX);
    const { written } = encoder.encodeInto(`/proc/self/fd/${fd}\0`, name.bytes);
    const length = written > 0
      ? this.shim.dma_call(Op.READLINK, AT_FDCWD, name.address, PATH_MAX, target.address, 0)
      : -1;
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

  acquire(size: number): Block {
    return this.pool.acquire(size);
  }

  release(block: Block): void {
    this.pool.release(block);
  }

  /**
   * Queues an operation on paths. They lie in the pool, where they stay put until the kernel has read them,
   * whatever becomes of the isolate.
   */
  #byPath(
    paths: readonly string[],
    done: Completion,
    queue: (addresses: readonly number[], done: Completion) => void,
  ): void {
    const blocks = paths.map(() => this.acquire(PATH_MAX));
    const complete = (result: number) => {
      for (const block of blocks) this.release(block);
      done.complete(result);
    };
    const fits = paths.every((path, index) => {
      const { bytes } = blocks[index]!;
      const { read, written } = encoder.encodeInto(path, bytes);
      if (read < path.length || written === PATH_MAX) return false;
      bytes[written] = 0;
      return true;
    });
    if (fits) queue(blocks.map((block) => block.address), { complete });
    else queueMicrotask(() => complete(-ENAMETOOLONG));
  }

  /** Counts one result and gives it to whoever waits for it. */
  protected settle({ opcode, done }: Operation, result: number): void {
    this.#count(opcode, result);
    try {
      done.complete(result);
    } catch (error) {
      // One completion that throws must not take those behind it in the batch along.
      reportError(error);
    }
  }

  #count(opcode: number, result: number): void {
    const { counters } = this;
    switch (opcode) {
      case Op.READ:
      case Op.READ_FIXED:
        counters.reads++;
        if (result > 0) counters.bytesRead += result;
        break;
      case Op.WRITE:
      case Op.WRITE_FIXED:
        counters.writes++;
        if (result > 0) counters.bytesWritten += result;
        break;
      case Op.FSYNC:
        counters.syncs++;
        break;
      default:
        counters.otherOperations++;
    }
    if (result < 0) counters.failed++;
  }
}
