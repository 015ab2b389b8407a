// A directory, held by a descriptor: whatever becomes of its path, it stays the same directory.

import { type Engine, run } from "../engine/engine.ts";
import { AT_FDCWD, Errno, O_CLOEXEC, O_DIRECTORY, O_PATH, O_RDONLY } from "../engine/linux.ts";
import type { Operation } from "../engine/operation.ts";
import { unwrap } from "../errors.ts";
import { type StatFacts, statNow } from "./stat.ts";

/** The directories that are held now, by what tells them apart. Files of one directory share its descriptor. */
const held = new WeakMap<Engine, Map<string, Directory>>();

function keyOf({ mountId, device, inode }: StatFacts): string | undefined {
  // A directory may be reached by two mounts, of which one is read-only.
  return mountId === undefined ? undefined : `${mountId}:${device}:${inode}`;
}

/** A directory that is held until its last user releases it. */
export class Directory {
  readonly engine: Engine;
  /** For the `*at` calls; opened with O_PATH. */
  readonly fd: number;
  readonly #key: string | undefined;
  #users = 1;
  /** A descriptor that can be synced; -1 where the directory may not be read. */
  #syncFd: Promise<number> | undefined;
  /** A sync with the kernel, and the one that starts after it. */
  #syncing: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  private constructor(engine: Engine, fd: number, key: string | undefined) {
    this.engine = engine;
    this.fd = fd;
    this.#key = key;
  }

  /**
   * Opens the directory at `path`, as `path` is to be understood when this is called. Rejects with an error of opening
   * `asked`.
   */
  static async open(engine: Engine, path: string, asked: string): Promise<Directory> {
    let fd = engine.openDirectoryNow(path);
    if (fd === -Errno.EAGAIN) fd = await lookUpOnThread(engine, path, asked);
    return Directory.#hold(engine, unwrap(fd, "open", asked), asked);
  }

  /** Takes the descriptor over. */
  static #hold(engine: Engine, fd: number, path: string): Directory {
    let directories = held.get(engine);
    if (!directories) held.set(engine, directories = new Map());
    let key: string | undefined;
    try {
      key = keyOf(statNow(engine, fd, path));
    } catch (error) {
      engine.closeNow(fd);
      throw error;
    }
    const known = key === undefined ? undefined : directories.get(key);
    if (known) {
      engine.closeNow(fd);
      return known.retain();
    }
    const directory = new Directory(engine, fd, key);
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
    if (this.#key !== undefined) held.get(engine)!.delete(this.#key);
    engine.closeNow(fd);
    this.#syncFd?.then((fd) => fd >= 0 && engine.closeNow(fd), () => {});
  }

  /** Gets what {@linkcode sync} needs, so that it cannot fail for lack of a descriptor later. */
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
    engine.closeNow(fd);
    if (result !== -Errno.EINVAL) unwrap(result, "sync", path);
  }

  get #openingForSync(): Operation {
    const flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    return { op: "open", directory: this.fd, name: ".", flags, mode: 0 };
  }

  async #openForSync(path: string): Promise<number> {
    const opened = await run(this.engine, this.#openingForSync);
    if (opened >= 0) return opened;
    this.#syncFd = undefined;
    // A directory that may be written to but not read cannot be synced.
    if (opened === -Errno.EACCES) return -1;
    return unwrap(opened, "open", path);
  }

  /**
   * Makes the names in it durable. A sync that has not begun yet serves all who ask meanwhile: many files that are made at
   * once need only a few.
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
    const { engine } = this;
    this.retain();
    try {
      const fd = await (this.#syncFd ??= this.#openForSync(path));
      if (fd < 0) return;
      const result = await run(engine, { op: "sync", fd, dataOnly: false });
      // Some file systems have no sync for directories: EINVAL, as fsync(2) says.
      if (result !== -Errno.EINVAL) unwrap(result, "sync", path);
    } finally {
      this.release();
    }
  }
}

/** Opens a directory that has to be looked up, from the working directory as it is when this is called. */
async function lookUpOnThread(engine: Engine, name: string, asked: string): Promise<number> {
  const flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
  if (name.startsWith("/")) {
    return await run(engine, { op: "open", directory: AT_FDCWD, name, flags, mode: 0 });
  }
  const directory = unwrap(engine.openWorkingDirectory(), "open", asked);
  try {
    return await run(engine, { op: "open", directory, name, flags, mode: 0 });
  } finally {
    engine.closeNow(directory);
  }
}
