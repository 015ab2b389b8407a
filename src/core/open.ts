// Opening a file: Deno's permissions, Direct I/O where the file system has it, and nothing but regular files.
// Nothing is truncated before the descriptor has shown what it is.

import { type Engine, run } from "../engine/engine.ts";
import {
  AT_FDCWD,
  Errno,
  O_CLOEXEC,
  O_CREAT,
  O_DIRECT,
  O_DIRECTORY,
  O_EXCL,
  O_NONBLOCK,
  O_PATH,
  O_RDONLY,
  O_RDWR,
  O_TMPFILE,
  O_WRONLY,
} from "../engine/linux.ts";
import { ioError, unwrap } from "../errors.ts";
import { type Access, allowsAll, demand } from "../permissions.ts";
import { Handle } from "./handle.ts";
import { parseStat, type StatFacts } from "./stat.ts";

/** How Direct I/O is wanted. */
export type DirectMode = "require" | "prefer" | "off";

/** What is to be opened. Every argument has been checked. */
export interface OpenRequest {
  read: boolean;
  write: boolean;
  create: boolean;
  createNew: boolean;
  truncate: boolean;
  mode: number;
  direct: DirectMode;
  /** Open an unnamed file in the directory `path`. */
  unnamed?: boolean;
  /** False: a symbolic link to nothing is not followed to make the file it names. */
  followNew?: boolean;
}

/** Safe on every file system that does not say what it wants. */
const SAFE_ALIGNMENT = 4096;

/** f_type of file systems that are views of the kernel, where writing means something else than storing. */
const PSEUDO = new Set([
  0x9fa0, // proc
  0x62656572, // sysfs
  0x64626720, // debugfs
  0x74726163, // tracefs
  0x27e0eb, // cgroup
  0x63677270, // cgroup2
  0x73636673, // securityfs
  0xcafe4a11, // bpf
  0x6165676c, // pstore
  0xde5e81e4, // efivarfs
  0x62656570, // configfs
]);
/** f_type of file systems that live in memory: O_DIRECT may open there, and means nothing. */
const IN_MEMORY = new Set([0x01021994, /* tmpfs */ 0x858458f6 /* ramfs */]);

/** f_type of file systems on which a write that extends a file is like any other, so that reserving gains nothing. */
const EXTENDS_FREELY = new Set([
  ...IN_MEMORY,
  0x9123683e, // btrfs
  0x65735546, // FUSE
  0x6969, // NFS
]);

/** What {@linkcode fileSystemType} found, by device: a device does not change its file system while mounted. */
const fileSystemTypes = new Map<number, number>();

/** Opens `path`. Rejects with Deno's own errors. */
export async function openHandle(
  engine: Engine,
  path: string,
  request: OpenRequest,
): Promise<Handle> {
  const access: Access[] = [];
  if (request.read) access.push("read");
  if (request.write) access.push("write");
  if (path === "") throw ioError(Errno.ENOENT, "open", path);
  const scoped = access.filter((name) => !allowsAll(name));
  for (const name of scoped) await demand(name, path);
  if (scoped.length > 0 && (request.create || request.createNew)) {
    await demandParent(engine, path, scoped);
  }

  // Where a link leads can be asked for only once it leads somewhere: with limited permissions one to nothing
  // makes no file.
  const followNew = scoped.length === 0;
  const opened = await openDescriptor(engine, path, { ...request, followNew });
  const { fd } = opened;
  try {
    const facts = describe(engine, fd, path);
    // A file on a block device is none of the kernel's own, whatever leads to it.
    const real = scoped.length > 0 || facts.deviceMajor === 0 ? engine.realPath(fd) : undefined;
    if (scoped.length > 0) await demandReal(real, path, scoped);
    const type = await regularFileSystem(engine, fd, facts, real, path);
    // An alignment of 0 says that this file has no Direct I/O though O_DIRECT opened, as on ext4 with
    // data=journal (statx(2), STATX_DIOALIGN).
    const refused = facts.directMemory === 0 || facts.directOffset === 0 || IN_MEMORY.has(type);
    const direct = opened.direct && !refused;
    if (request.direct === "require" && !direct) {
      throw ioError(Errno.EOPNOTSUPP, "open", path, "the file system has no Direct I/O");
    }
    // What was made by somebody else in the last moment may have bytes in it.
    const created = opened.created && facts.size === 0n;
    const emptied = request.truncate && !created;
    if (emptied) {
      unwrap(await run(engine, { op: "truncate", fd, length: 0 }), "truncate", path);
    }
    return new Handle({
      engine,
      fd,
      path,
      direct,
      memoryAlignment: (direct && facts.directMemory) || SAFE_ALIGNMENT,
      alignment: (direct && facts.directOffset) || SAFE_ALIGNMENT,
      readable: request.read,
      writable: request.write,
      device: facts.device,
      inode: facts.inode,
      created: opened.created && !request.unnamed,
      named: !request.unnamed,
      ownsSize: created || emptied,
      extendsFreely: EXTENDS_FREELY.has(type),
    });
  } catch (error) {
    // What is refused must not stay behind as an empty file. The path may be a link to it.
    const made = opened.created && !request.unnamed ? engine.realPath(fd) ?? path : undefined;
    await run(engine, { op: "close", fd });
    if (made !== undefined) await run(engine, { op: "unlink", directory: AT_FDCWD, name: made });
    throw error;
  }
}

interface Opened {
  fd: number;
  direct: boolean;
  created: boolean;
}

async function openDescriptor(
  engine: Engine,
  path: string,
  request: OpenRequest,
): Promise<Opened> {
  // O_NONBLOCK: opening a FIFO must not wait for its other end. Regular files do not care.
  const base = O_CLOEXEC | O_NONBLOCK | (request.direct === "off" ? 0 : O_DIRECT);
  // A writer that starts or ends inside a block reads the rest of that block, so the descriptor can read
  // wherever the file's mode lets it. Whether the caller may is kept apart.
  const mode = request.write ? O_RDWR : O_RDONLY;
  let opened = await create(engine, path, request, base | mode);
  if (opened.fd === -Errno.EACCES && request.write && !request.read) {
    opened = await create(engine, path, request, base | O_WRONLY);
  }
  unwrap(opened.fd, "open", path);
  return opened;
}

/** Opens, creating where asked to, and knows whether it did. */
async function create(
  engine: Engine,
  path: string,
  request: OpenRequest,
  flags: number,
): Promise<Opened> {
  if (request.unnamed) {
    return { ...await tryOpen(engine, path, flags | O_TMPFILE, request), created: true };
  }
  if (request.createNew || request.create) {
    const exclusive = await tryOpen(engine, path, flags | O_CREAT | O_EXCL, request);
    if (exclusive.fd !== -Errno.EEXIST || request.createNew) {
      return { ...exclusive, created: exclusive.fd >= 0 };
    }
  }
  const existing = await tryOpen(engine, path, flags, request);
  if (existing.fd !== -Errno.ENOENT || !request.create || request.followNew === false) {
    return { ...existing, created: false };
  }
  // It was there and is not: removed in between, or a symbolic link to a file that is yet to be made.
  const linked = await tryOpen(engine, path, flags | O_CREAT, request);
  return { ...linked, created: linked.fd >= 0 };
}

/** One open, and another without O_DIRECT where the file system refuses that. */
async function tryOpen(
  engine: Engine,
  path: string,
  flags: number,
  request: OpenRequest,
): Promise<{ fd: number; direct: boolean }> {
  const open = (flags: number) =>
    run(engine, { op: "open", directory: AT_FDCWD, name: path, flags, mode: request.mode });
  const fd = await open(flags);
  const direct = (flags & O_DIRECT) !== 0;
  if (fd !== -Errno.EINVAL || !direct) return { fd, direct: direct && fd >= 0 };
  // The kernel creates a file before it finds that O_DIRECT is refused, so it is there now.
  return { fd: await open(flags & ~O_DIRECT & ~O_EXCL), direct: false };
}

/** The facts of a descriptor, from memory. */
export function describe(engine: Engine, fd: number, path: string): StatFacts {
  const block = engine.acquire(4096);
  try {
    unwrap(engine.statNow(fd, block), "stat", path);
    return parseStat(block.bytes);
  } finally {
    engine.release(block);
  }
}

/** Refuses everything that is no regular file on a real file system; else gives the file system's type. */
async function regularFileSystem(
  engine: Engine,
  fd: number,
  facts: StatFacts,
  real: string | undefined,
  path: string,
): Promise<number> {
  if (facts.isDirectory) throw ioError(Errno.EISDIR, "open", path);
  if (!facts.isFile) {
    throw ioError(Errno.EOPNOTSUPP, "open", path, `a ${facts.kind} is not a regular file`);
  }
  const type = await fileSystemType(engine, fd, facts, path);
  if (PSEUDO.has(type) || (real !== undefined && /^\/(proc|sys)\//.test(real))) {
    throw ioError(Errno.EOPNOTSUPP, "open", path, "a file of the kernel is not a regular file");
  }
  return type;
}

/** f_type of the file system, or 0 for one on a block device: none of those is special here. */
async function fileSystemType(
  engine: Engine,
  fd: number,
  facts: StatFacts,
  path: string,
): Promise<number> {
  const onBlockDevice = facts.deviceMajor !== 0;
  if (onBlockDevice) return 0;
  const known = fileSystemTypes.get(facts.device);
  if (known !== undefined) return known;
  const block = engine.acquire(4096);
  try {
    unwrap(await run(engine, { op: "statfs", fd, memory: block }), "statfs", path);
    const type = new DataView(block.bytes.buffer, block.bytes.byteOffset).getUint32(0, true);
    fileSystemTypes.set(facts.device, type);
    return type;
  } finally {
    engine.release(block);
  }
}

/** The descriptor's real path must be allowed too, or a symbolic link would lead out of the allowed folder. */
async function demandReal(
  real: string | undefined,
  path: string,
  access: readonly Access[],
): Promise<void> {
  if (real === undefined) {
    throw new Deno.errors.NotCapable(
      `Cannot find the real path of "${path}", which a limited permission is checked against: it is not UTF-8, or /proc is not mounted`,
    );
  }
  for (const name of access) await demand(name, real);
}

/** Before a file is made, the real path of its directory is asked for, so that none appears outside. */
async function demandParent(
  engine: Engine,
  path: string,
  access: readonly Access[],
): Promise<void> {
  const { directory, name } = splitPath(path);
  const flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
  const fd = await run(engine, {
    op: "open",
    directory: AT_FDCWD,
    name: directory,
    flags,
    mode: 0,
  });
  unwrap(fd, "open", path);
  try {
    const real = engine.realPath(fd);
    await demandReal(real && `${real === "/" ? "" : real}/${name}`, path, access);
  } finally {
    engine.closeNow(fd);
  }
}

/** Splits a path into the directory to look in and the last name. */
export function splitPath(path: string): { directory: string; name: string } {
  const trimmed = path.replace(/\/+$/, "");
  const slash = trimmed.lastIndexOf("/");
  const directory = slash < 0 ? "." : slash === 0 ? "/" : trimmed.slice(0, slash);
  return { directory, name: trimmed.slice(slash + 1) };
}
