// A directory, held by a descriptor: it stays the same directory if its path leads elsewhere by now.

import { type Engine, run } from "../engine/engine.ts";
import { AT_FDCWD, Errno, O_CLOEXEC, O_DIRECTORY, O_PATH, O_RDONLY } from "../engine/linux.ts";
import type { Operation } from "../engine/operation.ts";
import { ioError, unwrap } from "../errors.ts";
import { factsOf, type StatFacts } from "./stat.ts";

/** The directories that are held, by key. Files of one directory share its descriptor. */
const held = new WeakMap<Engine, Map<string, Directory>>();

function keyOf({ mountId, device, inode }: StatFacts): string | undefined {
  // A directory may be on two mounts, of which one is read-only.
  return mountId === undefined ? undefined : `${mountId}:${device}:${inode}`;
}

/**
 * Errors that do not tell whether a path in the kernel's cache can be opened: it is not there, or the kernel cannot be asked.
 * The call came with kernel 5.6, and the flag with 5.12. A seccomp filter may refuse what it does not know.
 */
const NOT_KNOWN: readonly number[] = [Errno.EAGAIN, Errno.ENOSYS, Errno.EINVAL, Errno.EPERM];

/** Opens a directory for the `*at` calls. */
function openingPath(directory: number, name: string): Extract<Operation, { op: "open" }> {
  return { op: "open", directory, name, flags: O_PATH | O_DIRECTORY | O_CLOEXEC, mode: 0 };
}

/** A directory that is held until its last user releases it. */
export class Directory {
  readonly engine: Engine;
  /** For the `*at` calls: opened with O_PATH. */
  readonly fd: number;
  /** Its facts when it was opened, for what never changes: its mount and device. */
  readonly facts: StatFacts;
  readonly #key: string | undefined;
  #users = 1;
  /** The last sync that failed. A later one may succeed without the names of before: the kernel reports a failure only once. */
  failure: { readonly errno: number } | undefined;
  /** A descriptor that can be synced; -1 if the directory may not be read. */
  #syncFd: Promise<number> | undefined;
  /** The sync in flight, and the one that starts after it. */
  #syncing: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  private constructor(engine: Engine, fd: number, key: string | undefined, facts: StatFacts) {
    this.engine = engine;
    this.fd = fd;
    this.#key = key;
    this.facts = facts;
  }

  /**
   * Opens the directory at `path`, as it stands at the time of the call. Errors name `asked`.
   */
  static async open(engine: Engine, path: string, asked: string): Promise<Directory> {
    let fd = engine.runNow({ ...openingPath(AT_FDCWD, path), cached: true });
    if (NOT_KNOWN.includes(-fd)) fd = await lookUpOnThread(engine, path, asked);
    unwrap(fd, "open", asked);
    try {
      return Directory.#hold(engine, fd, await factsOf({ engine, fd, path: asked }));
    } catch (error) {
      engine.runNow({ op: "close", fd });
      throw error;
    }
  }

  /** The directory of a descriptor, which it owns from now on. */
  static #hold(engine: Engine, fd: number, facts: StatFacts): Directory {
    let directories = held.get(engine);
    if (!directories) held.set(engine, directories = new Map());
    const key = keyOf(facts);
    const known = key === undefined ? undefined : directories.get(key);
    // A server may give a new directory the number of one that is gone and still open here. Its path tells them apart: the
    // kernel calls the old one deleted. A disk gives no number twice.
    const isSame = known &&
      (engine.isLocal(fd) || engine.realPath(fd) === engine.realPath(known.fd));
    if (isSame) {
      engine.runNow({ op: "close", fd });
      return known.retain();
    }
    const directory = new Directory(engine, fd, key, facts);
    if (key !== undefined) directories.set(key, directory);
    return directory;
  }

  /** One more user. */
  retain(): this {
    this.#users++;
    return this;
  }

  /** One user less. The last one closes it. */
  release(): void {
    if (--this.#users > 0) return;
    const { engine, fd } = this;
    const directories = held.get(engine)!;
    if (this.#key !== undefined && directories.get(this.#key) === this) {
      directories.delete(this.#key);
    }
    engine.runNow({ op: "close", fd });
    this.#syncFd?.then((fd) => fd >= 0 && engine.runNow({ op: "close", fd }), () => {});
  }

  /** Opens what {@linkcode sync} needs, so that it cannot fail for lack of a descriptor later. */
  async prepareSync(path: string): Promise<void> {
    await (this.#syncFd ??= this.#openForSync(path));
  }

  /** As {@linkcode sync}, on the JavaScript thread. */
  syncNow(path: string): void {
    const { engine } = this;
    const fd = engine.runNow(this.#openingForSync);
    if (fd === -Errno.EACCES) return;
    unwrap(fd, "open", path);
    const result = engine.runNow({ op: "sync", fd, dataOnly: false });
    engine.runNow({ op: "close", fd });
    this.#judgeSync(result, path);
  }

  #judgeSync(result: number, path: string): void {
    // EINVAL: the file system has no sync for directories (fsync(2)).
    if (result >= 0 || result === -Errno.EINVAL) return;
    this.failure = { errno: -result };
    throw ioError(-result, "sync", path);
  }

  get #openingForSync(): Operation {
    const flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    return { op: "open", directory: this.fd, name: ".", flags, mode: 0 };
  }

  async #openForSync(path: string): Promise<number> {
    const { engine } = this;
    // On a disk of this machine it waits for nothing: the directory is open already.
    const opened =
      await (engine.isLocal(this.fd)
        ? engine.runNow(this.#openingForSync)
        : run(engine, this.#openingForSync));
    if (opened >= 0) return opened;
    this.#syncFd = undefined;
    // A directory that may be written to but not read cannot be synced.
    if (opened === -Errno.EACCES) return -1;
    return unwrap(opened, "open", path);
  }

  /**
   * Makes the names in it durable, for callers who hold it until then. A sync that has not begun serves all callers until it
   * does: many files that are made at once need only a few.
   */
  sync(path: string): Promise<void> {
    if (!this.#syncing) {
      return this.#syncing = this.#syncOnce(path).finally(() => this.#syncing = undefined);
    }
    return this.#next ??= this.#syncing.catch(() => {}).then(() => {
      this.#next = undefined;
      return this.sync(path);
    });
  }

  async #syncOnce(path: string): Promise<void> {
    const fd = await (this.#syncFd ??= this.#openForSync(path));
    if (fd < 0) return;
    this.#judgeSync(await run(this.engine, { op: "sync", fd, dataOnly: false }), path);
  }
}

/** Opens the working directory, which never has to be looked up, on the JavaScript thread. Returns `-errno` as well. */
export function openWorkingDirectory(engine: Engine): number {
  return engine.runNow(openingPath(AT_FDCWD, "."));
}

/** Opens a directory that must be looked up, from the working directory at the time of the call. */
async function lookUpOnThread(engine: Engine, name: string, asked: string): Promise<number> {
  if (name.startsWith("/")) return await run(engine, openingPath(AT_FDCWD, name));
  const directory = unwrap(openWorkingDirectory(engine), "open", asked);
  try {
    return await run(engine, openingPath(directory, name));
  } finally {
    engine.runNow({ op: "close", fd: directory });
  }
}
