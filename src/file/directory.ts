// A directory, held by a descriptor. It stays the same directory even if its path later leads to another one.

import { assert } from "../assert.ts";
import { type Engine, inTurn, run } from "../engine/engine.ts";
import {
  AT_FDCWD,
  Errno,
  errnos,
  O_CLOEXEC,
  O_DIRECTORY,
  O_PATH,
  O_RDONLY,
  RESOLVE_CACHED,
} from "../engine/linux.ts";
import type { Operation } from "../engine/operation.ts";
import { unwrap } from "../errors.ts";
import { cachedStat, knownFacts, type StatFacts } from "./stat.ts";

/** The open directories by key. Files of one directory share its descriptor. */
const held = new WeakMap<Engine, Map<string | symbol, Directory>>();

/** Real paths at the first open, by key: reading one takes a fifth of an open. A rename does not change their mounts. */
const firstPaths = new WeakMap<Engine, Map<string | symbol, string | undefined>>();
const MOST_PATHS = 1000;

/** The key of a directory without a file handle, which may be on two mounts. If the mount is unknown, none is shared. */
function keyOf({ mountId, device, inode }: StatFacts): string | symbol {
  return mountId === undefined ? Symbol() : `${mountId}:${device}:${inode}`;
}

/** Not in the cache, no openat2(2) (before 5.6) or RESOLVE_CACHED (before 5.12), or a seccomp filter: open normally. */
export const NOT_KNOWN: ReadonlySet<number> = errnos("EAGAIN", "ENOSYS", "EINVAL", "EPERM");

type Opening = Extract<Operation, { op: "open" }>;

/** Opens a directory: with O_PATH for the `*at` calls, or with O_RDONLY for a sync. */
function opening(access: number, directory: number, name: string, resolve = 0): Opening {
  return { op: "open", directory, name, flags: access | O_DIRECTORY | O_CLOEXEC, mode: 0, resolve };
}

/** Opens a file. Without openat2(2), before kernel 5.6 and in some sandboxes, links in /proc are always followed. */
export async function openAt(engine: Engine, operation: Opening): Promise<number> {
  const fd = await run(engine, operation);
  const isRefused = operation.resolve !== 0 && (fd === -Errno.ENOSYS || fd === -Errno.EPERM);
  return isRefused ? await run(engine, { ...operation, resolve: 0 }) : fd;
}

export class Directory {
  #users = 1;
  /** The number of failed syncs of all directories so far. */
  static failures = 0;
  /**
   * The last failed sync, with its number among those of all directories. A later one may succeed without the earlier
   * names, because the kernel reports a failure only once.
   */
  failure: { readonly errno: number; readonly number: number } | undefined;
  /** A descriptor that can be synced. A promise while it is being opened. */
  #syncFd: number | Promise<number> | undefined;
  /** The sync that starts after the one in flight. */
  #nextSync: Promise<number> | undefined;

  /** `fd` is for the `*at` calls: opened with O_PATH. The `facts` are those when it was opened. */
  private constructor(
    readonly engine: Engine,
    readonly fd: number,
    readonly facts: StatFacts,
    readonly key: string | symbol,
    readonly firstPath: string | undefined,
  ) {}

  /** The directory at `path`, as resolved at the time of the call, if it is open, on a disk, and found without waiting. */
  static known(engine: Engine, path: string): Directory | undefined {
    const directories = held.get(engine);
    const key = directories?.size ? engine.identify(AT_FDCWD, path) : undefined;
    const found = key === undefined ? undefined : directories!.get(key);
    return found && engine.deviceOf(found.fd)?.isLocal ? found.retain() : undefined;
  }

  /** Opens the directory at `path`, as resolved at the time of the call. Errors name `asked`. */
  static async open(engine: Engine, path: string, asked: string, resolve = 0): Promise<Directory> {
    let fd = engine.runNow(opening(O_PATH, AT_FDCWD, path, resolve | RESOLVE_CACHED));
    if (NOT_KNOWN.has(-fd)) fd = await lookUpOnThread(engine, path, resolve);
    unwrap(fd, "open", asked);
    try {
      const handle = engine.identify(fd, "");
      const directory = { engine, fd, path: asked };
      // If its facts are known, the directory is held within this call, so that the next call finds it.
      const facts = knownFacts(directory) ?? await cachedStat(directory);
      return Directory.#hold(engine, fd, handle ?? keyOf(facts), facts);
    } catch (error) {
      engine.runNow({ op: "close", fd });
      throw error;
    }
  }

  static #hold(engine: Engine, fd: number, key: string | symbol, facts: StatFacts): Directory {
    const directories = held.getOrInsertComputed(engine, () => new Map());
    const known = directories.get(key);
    // A server may reuse the inode number of a removed directory that is still open here. The real path distinguishes
    // them: the kernel marks the old one as deleted. Disks do not reuse the number of an open directory.
    const isSame = known &&
      (engine.deviceOf(fd)?.isLocal || engine.realPath(fd) === engine.realPath(known.fd));
    if (isSame) {
      engine.runNow({ op: "close", fd });
      return known.retain();
    }
    const paths = firstPaths.getOrInsertComputed(engine, () => new Map());
    if (paths.size >= MOST_PATHS) paths.clear();
    const firstPath = paths.get(key) ?? engine.realPath(fd);
    paths.set(key, firstPath);
    const directory = new Directory(engine, fd, facts, key, firstPath);
    directories.set(key, directory);
    return directory;
  }

  /** Whether the kernel opens what it has in memory without waiting. On btrfs it may read, on an overlay copy the file. */
  get opensFromMemory(): boolean {
    const { isLocal = false, hasDisk = false } = this.engine.deviceOf(this.fd) ?? {};
    return isLocal && hasDisk;
  }

  retain(): this {
    this.#users++;
    return this;
  }

  release(): void {
    if (--this.#users > 0) return;
    const { engine, fd } = this;
    const directories = held.get(engine)!;
    if (directories.get(this.key) === this) directories.delete(this.key);
    engine.runNow({ op: "close", fd });
    const syncFd = this.#syncFd;
    assert(!(syncFd instanceof Promise), "a directory is held while its descriptor is opened");
    if (syncFd !== undefined) engine.runNow({ op: "close", fd: syncFd });
  }

  /** Opens the descriptor for {@linkcode sync}, which then cannot lack one. Undefined if it is open already. */
  prepareSync(path: string): Promise<void> | undefined {
    const opened = this.#forSync();
    if (typeof opened === "number") return void assertOpened(opened, path);
    return opened.then((fd) => assertOpened(fd, path));
  }

  /** Syncs this directory, or the one that is now at `where`. */
  syncNow(path: string, where = "."): void {
    const { engine } = this;
    const opened = engine.runNow(opening(O_RDONLY, this.fd, where));
    if (opened === -Errno.EACCES || opened === -Errno.ENOENT) return;
    const syncFd = where === "." ? this.#syncFd : undefined;
    // The descriptor of sync() is used only if no other is free: a sync in flight on it could take a failure's report.
    const fd = opened < 0 && typeof syncFd === "number" ? syncFd : unwrap(opened, "open", path);
    const result = engine.runNow({ op: "sync", fd, dataOnly: false });
    if (fd === opened) engine.runNow({ op: "close", fd });
    this.#noteSync(result);
  }

  #noteSync(result: number): void {
    // EINVAL: the file system cannot sync directories (fsync(2)).
    if (result >= 0 || result === -Errno.EINVAL) return;
    this.failure = { errno: -result, number: ++Directory.failures };
  }

  /** The descriptor for a sync, or `-errno`. If it cannot be opened, the next call tries again. */
  #forSync(): number | Promise<number> {
    if (this.#syncFd !== undefined) return this.#syncFd;
    const { engine, fd } = this;
    const keep = (opened: number) => {
      this.#syncFd = opened < 0 ? undefined : opened;
      return opened;
    };
    const operation = opening(O_RDONLY, fd, ".");
    // The directory is open already, so the kernel has it in memory.
    if (this.opensFromMemory) return keep(engine.runNow(operation));
    // Without memory for the path the engine throws.
    const opened = run(engine, operation).then(keep);
    opened.catch(() => keep(-1));
    return this.#syncFd = opened;
  }

  /**
   * Makes the names durable, or notes the {@linkcode failure}. Resolves to the descriptor or `-errno` of its open. A
   * sync that waits serves all callers until it begins: many new files need only a few. Callers hold the directory.
   */
  sync(): Promise<number> {
    return this.#nextSync ??= inTurn(this, async () => {
      this.#nextSync = undefined;
      const fd = await this.#forSync();
      if (fd >= 0) this.#noteSync(await run(this.engine, { op: "sync", fd, dataOnly: false }));
      return fd;
    });
  }
}

/** Throws if a directory could not be opened for a sync. One without read permission cannot be synced. */
export function assertOpened(fd: number, path: string): void {
  if (fd !== -Errno.EACCES) unwrap(fd, "open", path);
}

/** Opens the working directory by its link in /proc: for `.` NFS may ask its server. Returns `-errno` on failure. */
export function openWorkingDirectory(engine: Engine): number {
  const fd = engine.runNow(opening(O_PATH, AT_FDCWD, "/proc/self/cwd"));
  // /proc may not be mounted.
  return fd < 0 ? engine.runNow(opening(O_PATH, AT_FDCWD, ".")) : fd;
}

async function lookUpOnThread(engine: Engine, name: string, resolve: number): Promise<number> {
  const open = (from: number) => openAt(engine, opening(O_PATH, from, name, resolve));
  if (name.startsWith("/")) return await open(AT_FDCWD);
  const directory = openWorkingDirectory(engine);
  if (directory < 0) return directory;
  return await open(directory).finally(() => engine.runNow({ op: "close", fd: directory }));
}
