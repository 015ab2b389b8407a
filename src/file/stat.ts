// Reads `struct statx` (include/uapi/linux/stat.h), whose layout is the same on every architecture.

import { type Engine, run } from "../engine/engine.ts";
import {
  Errno,
  STATX_BTIME,
  STATX_DIOALIGN,
  STATX_MNT_ID,
  STATX_MNT_ID_UNIQUE,
  STATX_WRITE_ATOMIC,
} from "../engine/linux.ts";
import { type DmaError, ioError, unwrap } from "../errors.ts";
import type { Descriptor } from "./descriptor.ts";

const S_IFMT = 0o170000;
const kinds: Record<number, string> = {
  0o140000: "socket",
  0o120000: "symbolic link",
  0o100000: "file",
  0o060000: "block device",
  0o040000: "directory",
  0o020000: "character device",
  0o010000: "FIFO",
};
const STATX_BYTES = 256;

/** The used fields of a `struct statx`. */
export interface StatFacts {
  kind: string;
  isFile: boolean;
  isDirectory: boolean;
  mode: number;
  /** Bits of `STATX_ATTR_*`. */
  attributes: number;
  links: number;
  uid: number;
  gid: number;
  size: bigint;
  blocks: number;
  blockSize: number;
  inode: bigint;
  deviceMajor: number;
  /** Both parts of the device number in one. */
  device: number;
  /** The identifier of the mount; undefined before kernel 5.8. */
  mountId: bigint | undefined;
  /** Whether no later mount gets this identifier. */
  mountIdIsUnique: boolean;
  /** Alignment of memory for Direct I/O; 0: no Direct I/O on this file; undefined: not reported. */
  directMemory: number | undefined;
  /** Alignment of positions and lengths, likewise. */
  directOffset: number | undefined;
  /** The least and the most bytes of a write with `RWF_ATOMIC`; 0 if there is none. */
  atomicWriteMin: number;
  atomicWriteMax: number;
}

/** Reads the structure at the start of `bytes`. */
export function parseStat(bytes: Uint8Array): StatFacts {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const u32 = (at: number) => view.getUint32(at, true);
  const mask = u32(0);
  const mode = view.getUint16(28, true);
  const kind = kinds[mode & S_IFMT] ?? "special file";
  const deviceMajor = u32(136);
  const deviceMinor = u32(140);
  const saysDirect = (mask & STATX_DIOALIGN) !== 0;
  const writesAtomic = (mask & STATX_WRITE_ATOMIC) !== 0;
  return {
    kind,
    isFile: kind === "file",
    isDirectory: kind === "directory",
    mode,
    attributes: u32(8),
    links: u32(16),
    uid: u32(20),
    gid: u32(24),
    size: view.getBigUint64(40, true),
    blocks: Number(view.getBigUint64(48, true)),
    blockSize: u32(4),
    inode: view.getBigUint64(32, true),
    deviceMajor,
    // As makedev(3), of the kernel's 12 bits of the major and 20 bits of the minor number.
    device: (deviceMinor >>> 8) * 2 ** 20 + deviceMajor * 2 ** 8 + (deviceMinor & 0xff),
    mountId: mask & (STATX_MNT_ID | STATX_MNT_ID_UNIQUE) ? view.getBigUint64(144, true) : undefined,
    mountIdIsUnique: (mask & STATX_MNT_ID_UNIQUE) !== 0,
    directMemory: saysDirect ? u32(152) : undefined,
    directOffset: saysDirect ? u32(156) : undefined,
    atomicWriteMin: writesAtomic ? u32(168) : 0,
    atomicWriteMax: writesAtomic ? u32(172) : 0,
  };
}

/** The facts of a descriptor, on the JavaScript thread, from the kernel's memory. */
export function statNow(engine: Engine, fd: number, path: string): StatFacts {
  const block = engine.acquire(STATX_BYTES);
  try {
    unwrap(engine.statNow(fd, block), "stat", path);
    return parseStat(block.bytes);
  } finally {
    engine.release(block);
  }
}

/**
 * The facts of a descriptor: on the JavaScript thread if the kernel certainly has them in memory, else through the engine.
 * 9p asks its server for each statx(2), and SMB for a file that has changed, also with AT_STATX_DONT_SYNC.
 */
export async function factsOf(engine: Engine, fd: number, path: string): Promise<StatFacts> {
  if (engine.isLocal(fd)) return statNow(engine, fd, path);
  const memory = engine.acquire(STATX_BYTES);
  try {
    unwrap(await run(engine, { op: "stat", fd, memory, cached: true }), "stat", path);
    return parseStat(memory.bytes);
  } finally {
    engine.release(memory);
  }
}

/** The length of a file, from the kernel's memory; undefined if there is no memory for the answer. */
export function knownSize({ engine, fd, path }: Descriptor): number | undefined {
  try {
    return Number(statNow(engine, fd, path).size);
  } catch {
    return undefined;
  }
}

/** statx(2) of a descriptor that is in use. `ended` gets what `parse` returns, or the error. Throws without memory. */
function submitStat<T>(
  { engine, fd, path }: Descriptor,
  parse: (bytes: Uint8Array) => T,
  ended: (result: T | DmaError) => void,
): void {
  const memory = engine.acquire(STATX_BYTES);
  const read = (result: number) => {
    try {
      unwrap(result, "stat", path);
      return parse(memory.bytes);
    } catch (error) {
      return error as DmaError;
    } finally {
      engine.release(memory);
    }
  };
  engine.submit({ op: "stat", fd, memory, cached: false }, {
    complete: (result) => ended(read(result)),
  });
}

/** Asks for the length of a file whose descriptor is in use. `ended` gets it, or the error. Throws without memory. */
export function submitSize(descriptor: Descriptor, ended: (size: number | DmaError) => void): void {
  submitStat(descriptor, (bytes) => exactSize(parseStat(bytes), descriptor.path), ended);
}

/** statx(2) of a descriptor that is in use, read by `parse`. */
export function statWith<T>(
  descriptor: Descriptor,
  parse: (bytes: Uint8Array) => T,
): Promise<T> {
  return new Promise((resolve, reject) => {
    submitStat(descriptor, parse, (result) => {
      if (result instanceof Error) reject(result);
      else resolve(result);
    });
  });
}

/** The length of a file whose descriptor is in use. */
export function sizeOf(descriptor: Descriptor): Promise<number> {
  return statWith(descriptor, (bytes) => exactSize(parseStat(bytes), descriptor.path));
}

/** The size as a number. Throws if it is not a safe integer. */
export function exactSize({ size }: StatFacts, path: string): number {
  if (size <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(size);
  const why = `${size} bytes are more than a number holds exactly`;
  throw ioError(Errno.EOVERFLOW, "stat", path, why);
}

/** The structure at the start of `bytes`, as `Deno.stat` returns it. */
export function parseFileInfo(bytes: Uint8Array, path: string): Deno.FileInfo {
  const facts = parseStat(bytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const time = (at: number) =>
    new Date(
      Number(view.getBigInt64(at, true)) * 1000 + Math.floor(view.getUint32(at + 8, true) / 1e6),
    );
  return {
    isFile: facts.isFile,
    isDirectory: facts.isDirectory,
    isSymlink: false,
    size: exactSize(facts, path),
    mtime: time(112),
    atime: time(64),
    birthtime: (view.getUint32(0, true) & STATX_BTIME) !== 0 ? time(80) : null,
    ctime: time(96),
    dev: facts.device,
    ino: Number(facts.inode),
    mode: facts.mode,
    nlink: facts.links,
    uid: facts.uid,
    gid: facts.gid,
    rdev: 0,
    blksize: facts.blockSize,
    blocks: facts.blocks,
    isBlockDevice: false,
    isCharDevice: false,
    isFifo: false,
    isSocket: false,
  };
}
