// Reads `struct statx` (include/uapi/linux/stat.h), whose layout is the same on every architecture.

import { attempt, type Engine, promiseOf } from "../engine/engine.ts";
import {
  Errno,
  STATX_BTIME,
  STATX_BYTES,
  STATX_DIOALIGN,
  STATX_MNT_ID,
  STATX_MNT_ID_UNIQUE,
  STATX_WRITE_ATOMIC,
} from "../engine/linux.ts";
import type { Block } from "../engine/operation.ts";
import { type DmaError, ioError, unwrap } from "../errors.ts";

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

/** A descriptor, which the caller keeps open, and its path for messages. */
export interface Handle {
  readonly engine: Engine;
  readonly fd: number;
  readonly path: string;
}

/** The used fields of a `struct statx`. */
export type StatFacts = ReturnType<typeof parseStat>;

/** Reads the structure at the start of `bytes`. Throws if the file's length is not a safe integer. */
export function parseStat(bytes: Uint8Array, path: string) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const u32 = (at: number) => view.getUint32(at, true);
  const u64 = (at: number) => view.getBigUint64(at, true);
  /** Exact up to 2^53. A BigInt would take longer. */
  const safe = (at: number) => view.getInt32(at + 4, true) * 2 ** 32 + u32(at);
  /** In milliseconds since 1970. */
  const time = (at: number) => safe(at) * 1000 + Math.floor(u32(at + 8) / 1e6);
  const mask = u32(0);
  const mode = view.getUint16(28, true);
  const kind = kinds[mode & S_IFMT] ?? "special file";
  const size = safe(40);
  if (size < 0 || !Number.isSafeInteger(size)) {
    const why = `${u64(40)} bytes are more than a number holds exactly`;
    throw ioError(Errno.EOVERFLOW, "stat", path, why);
  }
  const deviceMajor = u32(136);
  const deviceMinor = u32(140);
  const saysDirect = (mask & STATX_DIOALIGN) !== 0;
  const writesAtomic = (mask & STATX_WRITE_ATOMIC) !== 0;
  return {
    kind,
    mode,
    /** Bits of `STATX_ATTR_*`. */
    attributes: u32(8),
    links: u32(16),
    uid: u32(20),
    gid: u32(24),
    size,
    blocks: safe(48),
    blockSize: u32(4),
    inode: u64(32),
    accessed: time(64),
    born: mask & STATX_BTIME ? time(80) : undefined,
    changed: time(96),
    modified: time(112),
    deviceMajor,
    deviceMinor,
    /** Both parts of the device number, as makedev(3) of the kernel's 12 bits of the major and 20 of the minor number. */
    device: (deviceMinor >>> 8) * 2 ** 20 + deviceMajor * 2 ** 8 + (deviceMinor & 0xff),
    /** The identifier of the mount; undefined before kernel 5.8. */
    mountId: mask & (STATX_MNT_ID | STATX_MNT_ID_UNIQUE) ? u64(144) : undefined,
    /** Whether no later mount gets this identifier. */
    mountIdIsUnique: (mask & STATX_MNT_ID_UNIQUE) !== 0,
    /** Alignment of memory for Direct I/O; 0: no Direct I/O on this file; undefined: not reported. */
    directMemory: saysDirect ? u32(152) : undefined,
    /** Alignment of positions and lengths, likewise. */
    directOffset: saysDirect ? u32(156) : undefined,
    /** The minimum and maximum length of a write with `RWF_ATOMIC` in bytes; 0 if there is none. */
    atomicWriteMin: writesAtomic ? u32(168) : 0,
    atomicWriteMax: writesAtomic ? u32(172) : 0,
  };
}

/** Returns the facts that a stat has put into `memory`, which is released. Throws the error of its `result`. */
function readFacts({ engine, path }: Handle, memory: Block, result: number): StatFacts {
  try {
    unwrap(result, "stat", path);
    return parseStat(memory.bytes, path);
  } finally {
    engine.release(memory);
  }
}

/** The facts of a descriptor, on the JavaScript thread, from the kernel's memory. */
export function statNow(handle: Handle): StatFacts {
  const { engine, fd } = handle;
  const memory = engine.acquire(STATX_BYTES + 1);
  const result = engine.runNow({ op: "stat", fd, memory, cached: true });
  return readFacts(handle, memory, result);
}

/** As {@linkcode statNow}; undefined if it fails, as without memory for the result. */
export function knownFacts(handle: Handle): StatFacts | undefined {
  const facts = attempt(() => statNow(handle));
  return facts instanceof Error ? undefined : facts;
}

/**
 * Reads the facts of a descriptor; `cached` accepts the kernel's cached ones. `ended` gets the facts or the error; it
 * is called within this call if there is no memory.
 */
export function submitStat(
  handle: Handle,
  cached: boolean,
  ended: (facts: StatFacts | DmaError) => void,
): void {
  const { engine, fd } = handle;
  const memory = attempt(() => engine.acquire(STATX_BYTES + 1));
  if (memory instanceof Error) return ended(memory);
  const complete = (result: number) => ended(attempt(() => readFacts(handle, memory, result)));
  engine.submit({ op: "stat", fd, memory, cached }, { complete });
}

/** As {@linkcode submitStat}. */
export function stat(handle: Handle, cached = false): Promise<StatFacts> {
  return promiseOf((ended) => submitStat(handle, cached, ended));
}

/**
 * The facts of a descriptor, read on the JavaScript thread if the kernel certainly has them in memory, and otherwise
 * through the engine. Even with AT_STATX_DONT_SYNC 9p sends each statx(2) to its server, and SMB does so for a changed
 * file.
 */
export async function factsOf(handle: Handle): Promise<StatFacts> {
  return handle.engine.isLocal(handle.fd) ? statNow(handle) : await stat(handle, true);
}

/** The facts as `Deno.stat` returns them. */
export function fileInfoOf(facts: StatFacts): Deno.FileInfo {
  return {
    isFile: facts.kind === "file",
    isDirectory: facts.kind === "directory",
    isSymlink: false,
    size: facts.size,
    mtime: new Date(facts.modified),
    atime: new Date(facts.accessed),
    birthtime: facts.born === undefined ? null : new Date(facts.born),
    ctime: new Date(facts.changed),
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
