// Reads `struct statx` (include/uapi/linux/stat.h), whose layout is the same on every architecture.

import { attempt, type Ended, type Engine, promiseOf } from "../engine/engine.ts";
import { Attribute, Errno, errnos, Statx, STATX_BYTES } from "../engine/linux.ts";
import type { Bytes, Memory } from "../engine/operation.ts";
import { u32, u64 } from "../engine/struct.ts";
import { ioError, unwrap } from "../errors.ts";

/** The kinds of files by the upper four bits of the mode. */
const KINDS: Record<number, string> = {
  1: "FIFO",
  2: "character device",
  4: "directory",
  6: "block device",
  8: "file",
  10: "symbolic link",
  12: "socket",
};

/** The kernel has nothing in memory at a name, or knows that there is no file. */
const NOT_CACHED = errnos("EAGAIN", "ENOENT");

/** A descriptor, which the caller keeps open, and its path for messages. */
export interface Handle {
  readonly engine: Engine;
  readonly fd: number;
  readonly path: string;
}

/** A file, by its descriptor, or by a name in the directory of the descriptor. */
export interface FileAt extends Handle {
  readonly name?: string;
  /** Whether a symbolic link at the name is followed. */
  readonly follow?: boolean;
}

/** A stat with new memory, for the facts and the name after them. UTF-8 takes at most 3 bytes a unit of UTF-16. */
function statOf({ engine, fd, name = "", follow = true }: FileAt, cached: boolean) {
  const memory = engine.acquire(STATX_BYTES + 3 * name.length + 1);
  return { op: "stat", fd, name, follow, memory, cached } as const;
}

export type StatFacts = ReturnType<typeof parseStat>;
export type FileIdentity = Pick<StatFacts, "device" | "inode">;

export function isSame(one: FileIdentity | undefined, other: FileIdentity): boolean {
  return one?.device === other.device && one.inode === other.inode;
}

/** The file's length. Throws if it is not a safe integer. */
function sizeOf(bytes: Bytes, path: string): number {
  const size = u64(bytes, 40);
  if (typeof size === "number") return size;
  const why = `${size} bytes are more than a number holds exactly`;
  throw ioError(Errno.EOVERFLOW, "stat", path, why);
}

export function parseStat(bytes: Bytes, path: string) {
  const mask = u32(bytes, 0);
  const mode = modeOf(bytes);
  const deviceMajor = u32(bytes, 136);
  const deviceMinor = u32(bytes, 140);
  const saysDirect = (mask & Statx.DIOALIGN) !== 0;
  const writesAtomic = (mask & Statx.WRITE_ATOMIC) !== 0;
  return {
    kind: KINDS[mode >> 12] ?? "special file",
    mode,
    hasBirthTime: (mask & Statx.BTIME) !== 0,
    /** Bits of `Attribute`. */
    attributes: u32(bytes, 8),
    links: u32(bytes, 16),
    uid: u32(bytes, 20),
    size: sizeOf(bytes, path),
    blockSize: u32(bytes, 4),
    inode: u64(bytes, 32),
    deviceMajor,
    deviceMinor,
    /** Both numbers, as makedev(3) joins the 12 bits of the kernel's major and the 20 of its minor number. */
    device: (deviceMinor >>> 8) * 0x100000 + deviceMajor * 0x100 + (deviceMinor & 0xff),
    /** The identifier of the mount; undefined before kernel 5.8. */
    mountId: mask & (Statx.MNT_ID | Statx.MNT_ID_UNIQUE) ? u64(bytes, 144) : undefined,
    /** An identifier that no other mount ever gets; undefined before kernel 6.8. */
    uniqueMountId: mask & Statx.MNT_ID_UNIQUE ? u64(bytes, 144) : undefined,
    /** Alignment of memory for Direct I/O; 0: no Direct I/O on this file; undefined: not reported. */
    directMemory: saysDirect ? u32(bytes, 152) : undefined,
    /** Alignment of positions and lengths, likewise. */
    directOffset: saysDirect ? u32(bytes, 156) : undefined,
    /** The minimum and maximum length of a write with `RWF_ATOMIC` in bytes; 0 if there is none. */
    atomicWriteMin: writesAtomic ? u32(bytes, 168) : 0,
    atomicWriteMax: writesAtomic ? u32(bytes, 172) : 0,
  };
}

/** The facts and the rest of the structure as `Deno.stat` returns them. */
function fileInfoOf(facts: StatFacts, bytes: Bytes): Deno.FileInfo {
  const { kind, size, inode, device, mode, links, uid, blockSize, hasBirthTime } = facts;
  const time = (at: number) => {
    const seconds = (u32(bytes, at + 4) | 0) * 2 ** 32 + u32(bytes, at);
    return new Date(seconds * 1000 + Math.floor(u32(bytes, at + 8) / 1e6));
  };
  return {
    isFile: kind === "file",
    isDirectory: kind === "directory",
    isSymlink: false,
    size,
    mtime: time(112),
    atime: time(64),
    birthtime: hasBirthTime ? time(80) : null,
    ctime: time(96),
    dev: device,
    ino: Number(inode),
    mode,
    nlink: links,
    uid,
    gid: u32(bytes, 24),
    rdev: 0,
    blksize: blockSize,
    blocks: Number(u64(bytes, 48)),
    isBlockDevice: false,
    isCharDevice: false,
    isFifo: false,
    isSocket: false,
  };
}

/** The file type and the permissions. */
function modeOf(bytes: Bytes): number {
  return u32(bytes, 28) & 0xffff;
}

/** Reads the structure at the start of `bytes`, if the stat with this result has put one there. */
type Read<T> = (result: number, bytes: Bytes) => T;

/** Reads the structure by `parse`, or throws the error of the stat, which names `op`. */
function readBy<T>(parse: (bytes: Bytes, path: string) => T, path: string, op = "stat"): Read<T> {
  return (result, bytes) => {
    unwrap(result, op, path);
    return parse(bytes, path);
  };
}

/** Reads what a stat has put into `memory`, which is released. */
function take<T>(engine: Engine, memory: Memory, result: number, read: Read<T>): T {
  try {
    return read(result, memory.bytes);
  } finally {
    engine.release(memory);
  }
}

/** What the kernel has in memory, on the JavaScript thread; undefined if `read` throws or there is no memory. */
function known<T>(file: FileAt, read: Read<T>): T | undefined {
  const { engine } = file;
  const found = attempt(() => {
    const operation = statOf(file, true);
    return take(engine, operation.memory, engine.runNow(operation), read);
  });
  return found instanceof Error ? undefined : found;
}

/**
 * The facts of a file, if the kernel certainly has them in memory: even with AT_STATX_DONT_SYNC 9p asks its server for
 * each statx(2), and SMB for that of a changed file.
 */
export function knownFacts(file: FileAt): StatFacts | undefined {
  const { engine, fd, path } = file;
  // Without an error, which would take 20 µs: the kernel often has nothing in memory at a name.
  const read = (result: number, bytes: Bytes) => result < 0 ? undefined : parseStat(bytes, path);
  return engine.deviceOf(fd)?.isLocal ? known(file, read) : undefined;
}

export function knownSize(file: FileAt): number | undefined {
  return known(file, readBy(sizeOf, file.path));
}

/**
 * Whether a name may lead to a regular file: it does, or the kernel has nothing in memory there. A file that is mounted
 * on the name does not count, because it may be on a server.
 */
export function mayBeFile(file: FileAt): boolean | undefined {
  const isFile = (bytes: Bytes) =>
    KINDS[modeOf(bytes) >> 12] === "file" && !(u32(bytes, 8) & Attribute.MOUNT_ROOT);
  return known(file, (result, bytes) => result < 0 ? NOT_CACHED.has(-result) : isFile(bytes));
}

/** `ended` is called within this call if there is no memory. */
function submit<T>(file: FileAt, cached: boolean, read: Read<T>, ended: Ended<T>): void {
  const { engine } = file;
  const operation = attempt(() => statOf(file, cached));
  if (operation instanceof Error) return ended(operation);
  const { memory } = operation;
  // Read here: at the end of a program no memory is left when a promise is settled.
  const complete = (result: number) => ended(attempt(() => take(engine, memory, result, read)));
  engine.submit(operation, { complete });
}

/** As {@linkcode stat}; `ended` gets the facts or the error, within this call if there is no memory. */
export function submitStat(handle: Handle, ended: Ended<StatFacts>, cached = false): void {
  submit(handle, cached, readBy(parseStat, handle.path), ended);
}

export function stat(handle: Handle): Promise<StatFacts> {
  return promiseOf((ended) => submitStat(handle, ended));
}

export function fileInfo(handle: Handle): Promise<Deno.FileInfo> {
  const parse = (bytes: Bytes, path: string) => fileInfoOf(parseStat(bytes, path), bytes);
  return promiseOf((ended) => submit(handle, false, readBy(parse, handle.path), ended));
}

/** The facts of the file at a name; undefined if there is none. Errors name `op`. */
export function look(file: FileAt, op: string): Promise<StatFacts | undefined> {
  const facts = readBy(parseStat, file.path, op);
  const read: Read<StatFacts | undefined> = (result, bytes) =>
    result === -Errno.ENOENT ? undefined : facts(result, bytes);
  return promiseOf((ended) => submit(file, false, read, ended));
}

/** The facts of a descriptor, on the JavaScript thread if they are known. */
export function cachedStat(handle: Handle): StatFacts | Promise<StatFacts> {
  return knownFacts(handle) ?? promiseOf((ended) => submitStat(handle, ended, true));
}
