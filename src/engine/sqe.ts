// Converts operations to submission queue entries. The shim's blocking calls take the same fields.

import type { Shim } from "../../ffi/shim.ts";
import type { Device, Engine } from "./engine.ts";
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_STATX_DONT_SYNC,
  AT_SYMLINK_FOLLOW,
  AT_SYMLINK_NOFOLLOW,
  Errno,
  IORING_FSYNC_DATASYNC,
  Opcode,
  PATH_MAX,
  RWF_ATOMIC,
  STATX_BYTES,
  STATX_MASK,
} from "./linux.ts";
import type { Bytes, Completion, Memory, Operation } from "./operation.ts";

/** The fields of a submission queue entry that differ between operations. The first six are those of `dma_call`. */
export type Sqe = ReturnType<typeof entry>;

/** A submitted operation. It keeps the operation's memory alive until it ends. */
export interface Request {
  readonly operation: Operation;
  readonly sqe: Sqe;
  readonly completion: Completion;
  /** The device of the file; undefined if it is not known. */
  readonly device: Device | undefined;
}

/** Longer reads into unregistered memory run on a kernel thread: 512 MiB of new pages held the event loop for 2 s. */
const LONGEST_INLINE_READ = 1 << 20;

/** A file of at most this size has few blocks, whose release takes less time than a call on a thread. */
const SMALL_FILE = 1 << 20;

const encoder = new TextEncoder();

/** Copies a path to where the kernel reads it. The kernel refuses a path that does not fit. */
export function placePath(bytes: Bytes, path: string, at: number): void {
  if (path === "") return void (bytes[at] = 0);
  const place = at === 0 && bytes.length === PATH_MAX ? bytes : bytes.subarray(at, at + PATH_MAX);
  const { read, written } = encoder.encodeInto(path, place);
  if (read < path.length) place.fill(1, written);
  else if (written < place.length) place[written] = 0;
}

export function entry(opcode: number, fd: number, address = 0, length = 0, offset = 0, flags = 0) {
  return {
    opcode,
    fd,
    address,
    length,
    offset,
    flags,
    /** The index of the registered buffer that contains the address. Only some opcodes use it. */
    bufferIndex: 0,
    /** Forces a kernel thread to perform the operation, if it would block or copy on the submitting thread. */
    forceAsync: false,
    /** The memory of its paths: the first one is at `address`, and the second at `offset`. The engine releases it. */
    paths: undefined as Memory | undefined,
  };
}

/** The paths are in native memory, where they outlive the isolate. */
function withPaths(engine: Engine, sqe: Sqe, path: string, second?: string): Sqe {
  const memory = engine.acquire(second === undefined ? PATH_MAX : 2 * PATH_MAX);
  placePath(memory.bytes, path, 0);
  sqe.paths = memory;
  sqe.address = memory.address;
  if (second === undefined) return sqe;
  placePath(memory.bytes, second, PATH_MAX);
  sqe.offset = memory.address + PATH_MAX;
  return sqe;
}

/** Closes a descriptor on this thread. Returns `-EBADF` if it is not recorded: another file may have its number. */
export function closeNow({ resources, dma_call }: Shim, fd: number): number {
  return resources.untrackDescriptor(fd) ? dma_call(Opcode.CLOSE, fd, 0, 0, 0, 0) : -Errno.EBADF;
}

/** As {@linkcode closeNow}. Returns `-EAGAIN` if the close may free many blocks: the file then stays open. */
export function closeSmall({ resources, dma_call }: Shim, fd: number): number {
  if (!resources.untrackDescriptor(fd)) return -Errno.EBADF;
  const result = dma_call(Opcode.CLOSE_SMALL, fd, 0, SMALL_FILE, 0, 0);
  if (result === -Errno.EAGAIN) resources.trackDescriptor(fd);
  return result;
}

export function prepareSqe(engine: Engine, operation: Operation): Sqe {
  switch (operation.op) {
    case "read":
    case "write": {
      const { op, fd, memory, offset, length, position, waits = false } = operation;
      const flags = op === "write" ? operation.flags : 0;
      // The kernel refuses atomic writes from registered memory (generic_atomic_write_valid).
      const isFixed = memory.registration >= 0 && (flags & RWF_ATOMIC) === 0;
      const read = isFixed ? Opcode.READ_FIXED : Opcode.READ;
      const write = isFixed ? Opcode.WRITE_FIXED : Opcode.WRITE;
      const opcode = op === "read" ? read : write;
      const sqe = entry(opcode, fd, memory.address + offset, length, position, flags);
      if (isFixed) sqe.bufferIndex = memory.registration;
      sqe.forceAsync = waits || (op === "read" && !isFixed && length > LONGEST_INLINE_READ);
      return sqe;
    }
    case "open": {
      const { directory, name, flags, mode: length, resolve } = operation;
      const sqe = entry(Opcode.OPENAT, directory, 0, length, 0, flags);
      if (resolve === 0) return withPaths(engine, sqe, name);
      // struct open_how: flags, mode and resolve, of 64 bits each.
      const how = new Uint8Array(Uint32Array.of(flags, 0, 0, 0, resolve, 0).buffer);
      const limited = withPaths(engine, entry(Opcode.OPENAT2, directory, 0, how.length), name, "");
      limited.paths!.bytes.set(how, PATH_MAX);
      return limited;
    }
    case "close":
      return entry(Opcode.CLOSE, operation.fd);
    case "reopen":
      return withPaths(engine, entry(Opcode.REOPEN, operation.fd), `/proc/self/fd/${operation.fd}`);
    case "sync": {
      const flags = operation.dataOnly ? IORING_FSYNC_DATASYNC : 0;
      return entry(Opcode.FSYNC, operation.fd, 0, 0, 0, flags);
    }
    case "allocate": {
      const { fd, mode, position, length, parts } = operation;
      const opcode = parts > 0 ? Opcode.RESERVE : Opcode.FALLOCATE;
      return entry(opcode, fd, length, mode, position, parts);
    }
    case "truncate":
      return entry(Opcode.FTRUNCATE, operation.fd, 0, 0, operation.length);
    case "stat": {
      const { fd, name, follow, memory, cached } = operation;
      const opcode = cached && name !== "" ? Opcode.STATX_CACHED : Opcode.STATX;
      const flags = (cached ? AT_STATX_DONT_SYNC : 0) | (name === "" ? AT_EMPTY_PATH : 0) |
        (follow ? 0 : AT_SYMLINK_NOFOLLOW);
      // The path follows the result, because memory of its own could be lacking.
      placePath(memory.bytes, name, STATX_BYTES);
      return entry(opcode, fd, memory.address + STATX_BYTES, STATX_MASK, memory.address, flags);
    }
    case "statfs":
      return entry(Opcode.STATFS, operation.fd, operation.memory.address);
    case "link": {
      const { fd, byProc, directory, name } = operation;
      const flags = byProc ? AT_SYMLINK_FOLLOW : AT_EMPTY_PATH;
      const sqe = entry(Opcode.LINKAT, byProc ? AT_FDCWD : fd, 0, directory >>> 0, 0, flags);
      return withPaths(engine, sqe, byProc ? `/proc/self/fd/${fd}` : "", name);
    }
    case "rename": {
      const { directory, name, targetDirectory, targetName } = operation;
      const sqe = entry(Opcode.RENAMEAT, directory, 0, targetDirectory >>> 0);
      return withPaths(engine, sqe, name, targetName);
    }
    case "unlink":
      return withPaths(engine, entry(Opcode.UNLINKAT, operation.directory), operation.name);
    case "copyRange": {
      const { fd, position: offset, targetFd: flags, targetPosition: address, length } = operation;
      return entry(Opcode.COPY_RANGE, fd, address, length, offset, flags);
    }
    case "lock":
      return entry(Opcode.FLOCK, operation.fd, 0, 0, 0, operation.operation);
    case "pause":
      return entry(Opcode.NOP, -1);
  }
}
