// Opens a regular file with Deno's permissions. Nothing is truncated before the type of the file is known.

import { type Engine, run } from "../engine/engine.ts";
import { yieldIfNeeded } from "../engine/event_loop.ts";
import {
  Errno,
  O_APPEND,
  O_CLOEXEC,
  O_CREAT,
  O_DIRECT,
  O_EXCL,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_PATH,
  O_RDONLY,
  O_RDWR,
  O_WRONLY,
  RESOLVE_NO_MAGICLINKS,
  S_ISVTX,
} from "../engine/linux.ts";
import { ioError } from "../errors.ts";
import { Descriptor } from "./descriptor.ts";
import type { FileName } from "./file_name.ts";
import { explain, type FileSystem, fileSystemOf } from "./file_system.ts";
import { Naming } from "./naming.ts";
import { OpenFile, type OpenRequest } from "./open_file.ts";
import { truncateTo } from "./space.ts";
import {
  checkSpecial,
  demand,
  demandName,
  findPermitted,
  isRefused,
  knownPath,
} from "./permissions.ts";
import { cachedStat, type Handle, stat, type StatFacts } from "./stat.ts";

/** Attempts to open a name that keeps appearing and disappearing, while permissions are limited to some paths. */
const MAX_ATTEMPTS = 10;

/** An open takes as long as a chunk of so many bytes. */
const OPEN_BYTES = 32 << 10;

/** Opens the file to which `path` leads at the time of the call, or a file without a name in that directory. */
export async function openPath(
  engine: Engine,
  path: string,
  request: OpenRequest,
): Promise<OpenFile> {
  const name = await findPermitted(engine, path, request.limited, request.unnamed);
  // The open and the close of a file in the kernel's memory take only microtasks.
  const turn = yieldIfNeeded(OPEN_BYTES);
  if (turn) await turn;
  return await openName(name, request);
}

/** A descriptor and its real name, which differs from the given one after a symbolic link. */
interface Opened {
  readonly name: FileName;
  readonly fd: number;
  readonly created: boolean;
  /** Whether the file's mode allows writing but not reading. */
  readonly isWriteOnly?: boolean;
}

/** Opens the file at a name, and owns the name. For a file without a name it is released. */
export async function openName(name: FileName, request: OpenRequest): Promise<OpenFile> {
  const { engine } = name;
  let prepared: Promise<void> | undefined;
  let opened: Opened;
  try {
    // The directory is synced at the end, when there may be no free descriptor. So it is opened now.
    if (request.create || request.createNew) prepared = name.directory.prepareSync(name.path);
    const opening = openDescriptor(name, request);
    // When this rejects, nothing is in flight.
    if (prepared) await Promise.allSettled([opening, prepared]);
    opened = await opening;
  } catch (error) {
    name.release();
    throw error;
  }
  if (opened.name !== name) name.release();
  const { fd, created } = opened;
  let facts: StatFacts | undefined;
  try {
    const handle = name.handle(fd);
    facts = await cachedStat(handle);
    if (prepared) await prepared;
    const file = await setUp(opened, request, facts);
    if (request.unnamed) opened.name.release();
    return file;
  } catch (error) {
    // A refused open must not leave its new, empty file behind. The facts identify that file.
    if (created) facts ??= await stat(name.handle(fd)).catch(() => undefined);
    // Until the descriptor is closed no other file can get its inode number.
    if (created && facts) await opened.name.unlinkEmpty(facts).catch(() => {});
    await run(engine, { op: "close", fd });
    opened.name.release();
    throw error;
  }
}

async function setUp(
  { name, fd, created, isWriteOnly = false }: Opened,
  request: OpenRequest,
  facts: StatFacts,
): Promise<OpenFile> {
  const handle = name.handle(fd);
  const { engine, path } = handle;
  assertRegular(facts, path);
  const fileSystem = await fileSystemOf(handle, facts);
  // Devices and shared memory are on tmpfs.
  if (fileSystem.inMemory) checkSpecial(engine.realPath(fd));
  // 0 means that this file has no Direct I/O, even if O_DIRECT can be set (statx(2)), as on ext4 with data=journal.
  const refused = facts.directMemory === 0 || facts.directOffset === 0 || fileSystem.inMemory ||
    (fileSystem.directWhereSaid && facts.directMemory === undefined);
  // Through the page cache a writer does not have to read the rest of its first and last block.
  const prefersCache = request.direct === "off" || request.append ||
    (isWriteOnly && request.direct === "prefer");
  const direct = !prefersCache && !refused && engine.setFlags(fd, O_DIRECT) >= 0;
  // Both calls clear O_NONBLOCK. With that flag io_uring before kernel 6.4 ends a read with EAGAIN if the disk cannot
  // complete it without waiting, as with dm-crypt.
  const flagged = direct ? 0 : engine.setFlags(fd, request.append ? O_APPEND : 0);
  // A sandbox may refuse the call, which harms nothing. After `unload` the descriptor is closed.
  if (flagged === -Errno.EBADFD) throw ioError(Errno.EBADFD, "open", path);
  if (request.direct === "require" && !direct) {
    throw ioError(Errno.EOPNOTSUPP, "open", path, "the file system has no Direct I/O");
  }
  // Another program may have written to the new file already.
  const isNew = created && facts.size === 0;
  const ownsSize = isNew || request.truncate;
  const isRewritten = request.write && !ownsSize && facts.size > 0;
  if (isRewritten && fileSystem.mayWriteOnce) await assertRewritable(handle, fileSystem);
  name.isDurable = !created;
  const descriptor = new Descriptor(engine, fd, path);
  const naming = new Naming(descriptor, facts, request.unnamed ? undefined : name);
  const file = new OpenFile(descriptor, naming, request, facts, fileSystem, direct, ownsSize);
  try {
    // Not beside the cut of another handle's writer, which would make the empty file longer.
    if (!isNew && request.truncate) await truncateTo(file, 0, "open");
    return file;
  } catch (error) {
    file.changes.leave(file);
    throw error;
  }
}

/** Throws if a file with content was opened for writing but refuses every write. Such a file cannot be read either. */
async function assertRewritable(handle: Handle, fileSystem: FileSystem): Promise<void> {
  const { engine, fd, path } = handle;
  const memory = engine.acquire(1);
  const reading = run(engine, { op: "read", fd, memory, offset: 0, length: 1, position: 0 });
  const result = await reading.finally(() => engine.release(memory));
  if (result === -Errno.EPERM) {
    throw ioError(Errno.EPERM, "open", path, explain(fileSystem, Errno.EPERM));
  }
}

function assertRegular({ kind }: StatFacts, path: string): void {
  if (kind === "directory") throw ioError(Errno.EISDIR, "open", path);
  if (kind === "file") return;
  throw ioError(Errno.EOPNOTSUPP, "open", path, `a ${kind} is not a regular file`);
}

async function openDescriptor(name: FileName, request: OpenRequest): Promise<Opened> {
  // O_NONBLOCK: opening a FIFO must not wait for its other end. The flag is cleared for a regular file.
  const flags = O_CLOEXEC | O_NONBLOCK | (request.append ? O_APPEND : 0);
  // A writer that starts or ends inside a block reads the rest of that block, so the descriptor is readable if the
  // file's mode allows that. `assertReadable` checks whether the user may read.
  const access = request.write ? O_RDWR : O_RDONLY;
  let opened = await openOrCreate(name, request, flags | access);
  if (opened.fd === -Errno.EACCES && request.write && !request.read) {
    opened = { ...await openOrCreate(name, request, flags | O_WRONLY), isWriteOnly: true };
  }
  const refusesUnnamed = request.unnamed && opened.fd === -Errno.EOPNOTSUPP;
  const why = refusesUnnamed ? "the file system has no files without a name" : "";
  if (opened.fd < 0) throw ioError(-opened.fd, "open", name.path, why);
  return opened;
}

async function openOrCreate(name: FileName, request: OpenRequest, flags: number): Promise<Opened> {
  const { create, createNew, limited, mode } = request;
  if (request.unnamed) {
    await demandName(name, limited);
    return { name, fd: await name.openWithoutName(flags, mode), created: true };
  }
  const isLimited = limited.length > 0;
  for (let attempt = 0; attempt < (isLimited ? MAX_ATTEMPTS : 2); attempt++) {
    // A new file takes one call, unless permissions require a check of an existing file first.
    if (!createNew && (!create || isLimited || attempt > 0)) {
      const opened = await openExisting(name, flags, request);
      if (opened.fd !== -Errno.ENOENT || !create) return opened;
    }
    // The real path of the directory is checked, because a file has none before it exists.
    const demanded = demandName(name, limited);
    if (demanded) await demanded;
    const fd = await name.open(flags | O_CREAT | O_EXCL, mode);
    if (fd !== -Errno.EEXIST || createNew) return { name, fd, created: fd >= 0 };
  }
  // The name is a symbolic link to a file that does not exist, so its real path cannot be checked.
  if (isLimited) return { name, fd: -Errno.ENOENT, created: false };
  const fd = await name.open(flags | O_CREAT, mode);
  // If the real name cannot be found now, the sync of the name looks for it again.
  const real = fd < 0 ? name : await name.whereIs(fd).catch(() => name);
  return { name: real, fd, created: fd >= 0 };
}

/**
 * Whether a file may be opened by its name at once. Even a refused open of a FIFO takes effect: a program that waits
 * for a reader writes its bytes, and they are lost. While it waits, the kernel has the name in memory.
 */
function mayOpen(name: FileName): boolean | undefined {
  const device = name.engine.deviceOf(name.directory.fd);
  // For each file on a server a look would take longer than the open.
  return device?.isLocal ? name.mayBeFile : device?.isLocal === false;
}

/**
 * Opens the file at a name. It is first checked through an O_PATH descriptor, which has no side effects, in four cases:
 * permissions are missing or limited; the open would wait; the name is a symbolic link, which may lead to a device; or
 * the file may be created in a sticky directory, where programs that watch it must see only the open with O_CREAT.
 */
async function openExisting(
  name: FileName,
  flags: number,
  request: OpenRequest,
  attempts = MAX_ATTEMPTS,
): Promise<Opened> {
  const { engine, directory } = name;
  const { create, limited } = request;
  const found = (fd: number, created = false) => ({ name, fd, created });
  const isSticky = create &&
    ((await cachedStat(name.handle(directory.fd))).mode & S_ISVTX) !== 0;
  if (limited.length === 0 && !isSticky && !isRefused(name) && mayOpen(name)) {
    const fd = await name.openExisting(flags | O_NOFOLLOW);
    if (fd !== -Errno.EAGAIN && fd !== -Errno.ELOOP) return found(fd);
  }
  const resolve = limited.length > 0 ? RESOLVE_NO_MAGICLINKS : 0;
  const located = await name.openExisting(O_PATH | O_CLOEXEC, resolve);
  if (located < 0) return found(located);
  try {
    const real = engine.realPath(located);
    // The kernel marks the path of a removed file. Another file may have the name.
    const isGone = real?.endsWith(" (deleted)") && attempts > 1;
    if ((limited.length > 0 || isSticky) && isGone) {
      return await openExisting(name, flags, request, attempts - 1);
    }
    if (limited.length > 0) await demand(limited, knownPath(real, name.path));
    const handle = name.handle(located);
    const facts = await cachedStat(handle);
    assertRegular(facts, name.path);
    // Throws for a file of the kernel.
    await fileSystemOf(handle, facts);
    for (const path of [real, name.realPath]) checkSpecial(path);
    // With O_CREAT the kernel refuses a file that another user has put there as a trap (fs.protected_regular in
    // proc_sys_fs(5)). After a symbolic link the permissions may not cover the name.
    if (isSticky && real === name.realPath) {
      const fd = await name.open(flags | O_CREAT | O_NOFOLLOW, request.mode);
      // The file may have been replaced by a new one.
      const created = fd >= 0 && engine.realPath(located) !== name.realPath;
      if (fd >= 0 || fd === -Errno.EACCES) return found(fd, created);
    }
    // Such a name ignores the directory, which only tells the engine the device.
    const there = { directory: located, name: `/proc/self/fd/${located}`, mode: 0, resolve: 0 };
    // The file is regular. Without O_NONBLOCK the open waits for the holder of a lease (fcntl(2), F_SETLEASE).
    const fd = await run(engine, { op: "open", ...there, flags: flags & ~O_NONBLOCK });
    // /proc may not be mounted.
    return found(fd === -Errno.ENOENT && limited.length === 0 ? await name.open(flags) : fd);
  } finally {
    engine.runNow({ op: "close", fd: located });
  }
}
