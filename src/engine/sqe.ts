// Lays operations out as submission queue entries. The shim's blocking calls take the same fields, so both engines share
// the layout.

import { addressOf } from "../../ffi/address.ts";
import type { Shim } from "../../ffi/shim.ts";
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_STATX_DONT_SYNC,
  AT_SYMLINK_FOLLOW,
  IORING_FSYNC_DATASYNC,
  Opcode,
  RESOLVE_CACHED,
  RWF_ATOMIC,
  STATX_MASK,
} from "./linux.ts";
import type { Block, Completion, Operation } from "./operation.ts";

/** The fields of a submission queue entry that differ between operations. */
export interface Sqe {
  readonly opcode: number;
  readonly fd: number;
  address: number;
  readonly length: number;
  offset: number;
  readonly flags: number;
  /** The registered buffer that the address is in, or -1. */
  readonly bufferIndex: number;
  /** Has a kernel thread perform it, if it would block or copy on the submitting thread. */
  readonly forceAsync: boolean;
  /** Paths. The address becomes that of the first one in memory, and the offset that of the second. */
  readonly paths: readonly string[];
}

/** An operation under way. It keeps the operation's memory alive until the result is there. */
export interface Request {
  readonly operation: Operation;
  readonly sqe: Sqe;
  readonly completion: Completion;
  /** The memory of its paths, one after the other. */
  readonly paths: Block | undefined;
  /** The device of its file; undefined if it is not known. */
  readonly device: number | undefined;
}

/** `struct open_how` of a cached open: flags, mode, resolve. */
const OPEN_HOW = new BigUint64Array([0n, 0n, BigInt(RESOLVE_CACHED)]);

const EMPTY: Sqe = {
  opcode: Opcode.NOP,
  fd: -1,
  address: 0,
  length: 0,
  offset: 0,
  flags: 0,
  bufferIndex: -1,
  forceAsync: false,
  paths: [],
};

/** An entry with these fields. Destructuring with defaults would read what a program puts into Object.prototype. */
function sqe(fields: Partial<Sqe>): Sqe {
  return { ...EMPTY, ...fields };
}

/** Makes the call of an entry on this thread, which it blocks. Returns a count, a descriptor, 0 or `-errno`. */
export function callNow(shim: Shim, { opcode, fd, address, length, offset, flags }: Sqe): number {
  return shim.dma_call(opcode, fd, address, length, offset, flags);
}

/** Closes `count` descriptors, which stand at `address` with 32 bits each; their results take their places. */
export function closeMany(address: number, count: number): Sqe {
  return sqe({ opcode: Opcode.CLOSE_MANY, address, length: count });
}

/** Lays an operation out. */
export function prepareSqe(operation: Operation): Sqe {
  switch (operation.op) {
    case "read":
    case "write": {
      const { op, fd, memory, length } = operation;
      const flags = op === "write" ? operation.flags : 0;
      // The kernel refuses atomic writes from registered memory (generic_atomic_write_valid).
      const bufferIndex = flags & RWF_ATOMIC ? -1 : memory.registration;
      const fixed = bufferIndex >= 0;
      return {
        opcode: op === "read"
          ? fixed ? Opcode.READ_FIXED : Opcode.READ
          : fixed
          ? Opcode.WRITE_FIXED
          : Opcode.WRITE,
        fd,
        address: memory.address + operation.offset,
        length,
        offset: operation.position,
        flags,
        bufferIndex,
        forceAsync: op === "write" && operation.buffered,
        paths: EMPTY.paths,
      };
    }
    case "open": {
      const { directory, name, flags, mode } = operation;
      if (operation.cached) {
        OPEN_HOW[0] = BigInt(flags);
        const { byteLength } = OPEN_HOW;
        const offset = addressOf(OPEN_HOW);
        const fields = { opcode: Opcode.OPENAT2, fd: directory, length: byteLength, offset };
        return sqe({ ...fields, paths: [name] });
      }
      return sqe({ opcode: Opcode.OPENAT, fd: directory, length: mode, flags, paths: [name] });
    }
    case "close":
      return sqe({ opcode: Opcode.CLOSE, fd: operation.fd });
    case "sync": {
      const flags = operation.dataOnly ? IORING_FSYNC_DATASYNC : 0;
      return sqe({ opcode: Opcode.FSYNC, fd: operation.fd, flags });
    }
    case "allocate": {
      const { fd, mode, position, length } = operation;
      return sqe({ opcode: Opcode.FALLOCATE, fd, address: length, length: mode, offset: position });
    }
    case "truncate":
      return sqe({ opcode: Opcode.FTRUNCATE, fd: operation.fd, offset: operation.length });
    case "stat": {
      const { fd, memory, cached } = operation;
      return sqe({
        opcode: Opcode.STATX,
        fd,
        length: STATX_MASK,
        offset: memory.address,
        flags: AT_EMPTY_PATH | (cached ? AT_STATX_DONT_SYNC : 0),
        paths: [""],
      });
    }
    case "statfs":
      return sqe({ opcode: Opcode.STATFS, fd: operation.fd, address: operation.memory.address });
    case "link": {
      const { fd, byProc, directory, name } = operation;
      return sqe({
        opcode: Opcode.LINKAT,
        fd: byProc ? AT_FDCWD : fd,
        length: directory >>> 0,
        flags: byProc ? AT_SYMLINK_FOLLOW : AT_EMPTY_PATH,
        paths: [byProc ? `/proc/self/fd/${fd}` : "", name],
      });
    }
    case "rename": {
      const { directory, name, targetDirectory, targetName } = operation;
      const length = targetDirectory >>> 0;
      return sqe({ opcode: Opcode.RENAMEAT, fd: directory, length, paths: [name, targetName] });
    }
    case "unlink": {
      const { directory, name } = operation;
      return sqe({ opcode: Opcode.UNLINKAT, fd: directory, paths: [name] });
    }
    case "copyRange":
      return sqe({
        opcode: Opcode.COPY_RANGE,
        fd: operation.fd,
        address: operation.targetPosition,
        length: operation.length,
        offset: operation.position,
        flags: operation.targetFd,
      });
    case "lock":
      return sqe({ opcode: Opcode.FLOCK, fd: operation.fd, flags: operation.operation });
    case "pause":
      return EMPTY;
  }
}
