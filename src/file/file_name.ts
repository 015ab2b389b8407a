// A name of a file: the descriptor of a directory, and the last component. A path is looked up once, at the user's
// call. All later operations use the directory that was found.

import { type Engine, run, waitUntil } from "../engine/engine.ts";
import { Errno, O_CREAT, O_PATH, O_TMPFILE, RESOLVE_CACHED } from "../engine/linux.ts";
import { ioError, throwIfLacking, unwrap } from "../errors.ts";
import { assertOpened, Directory, NOT_KNOWN, openAt } from "./directory.ts";
import {
  type FileAt,
  type FileIdentity,
  type Handle,
  isSame,
  knownFacts,
  look,
  mayBeFile,
  type StatFacts,
} from "./stat.ts";

/** Splits a path into the directory and the last component, with its trailing slashes. */
function splitPath(path: string): { directory: string; component: string } {
  let end = path.length;
  while (path[end - 1] === "/") end--;
  const slash = path.lastIndexOf("/", Math.max(0, end - 1));
  const component = path.slice(slash + 1);
  if (end === 0) return { directory: "/", component: "." };
  return { directory: slash < 0 ? "." : path.slice(0, slash + 1), component };
}

/** The temporary names that are not released: the end of a program removes them. */
export const temporaryNames = new Set<FileName>();

export class FileName {
  /** Whether the name was there when the file was opened, or was synced since. */
  isDurable = false;
  /** `Directory.failures` when an operation began to give the name to a file. A later failure may lose the name. */
  #failuresBefore: number | undefined;
  /** The sync of the name, in flight or ended. */
  #synced: Promise<void> | undefined;

  /** `path` is the user's, for messages. */
  constructor(readonly directory: Directory, readonly component: string, readonly path: string) {}

  /** Looks `path` up at the time of the call. With `whole` the path is a directory, and the name is `.` in it. */
  static async find(
    engine: Engine,
    path: string,
    whole = false,
    resolve = 0,
    shown = path,
  ): Promise<FileName> {
    if (path === "") throw ioError(Errno.ENOENT, "open", shown);
    const { directory, component } = whole ? { directory: path, component: "." } : splitPath(path);
    const found = Directory.known(engine, directory) ??
      await Directory.open(engine, directory, shown, resolve);
    return new FileName(found, component, shown);
  }

  /** The real path of the name; undefined if it cannot be determined. */
  get realPath(): string | undefined {
    const directory = this.engine.realPath(this.directory.fd);
    if (!directory || this.component === ".") return directory;
    return `${directory === "/" ? "" : directory}/${this.component}`;
  }

  get engine(): Engine {
    return this.directory.engine;
  }

  handle(fd: number): Handle {
    return { engine: this.engine, fd, path: this.path };
  }

  /** The operands of the `*at` calls. */
  get #at(): { readonly directory: number; readonly name: string } {
    return { directory: this.directory.fd, name: this.component };
  }

  #file(follow: boolean): FileAt {
    const { engine, directory, component: name, path } = this;
    return { engine, fd: directory.fd, path, name, follow };
  }

  /** The real name of an open file; this name if there is none. Messages keep this path. */
  async whereIs(fd: number): Promise<FileName> {
    const { engine } = this;
    const real = engine.realPath(fd);
    const found = real &&
      await FileName.find(engine, real, false, 0, this.path).catch(throwIfLacking);
    if (!found) return this;
    found.#failuresBefore = this.#failuresBefore;
    return found;
  }

  sibling(component: string): FileName {
    return new FileName(this.directory.retain(), component, this.path);
  }

  release(): void {
    temporaryNames.delete(this);
    this.directory.release();
  }

  /** openat(2). Resolves to the descriptor or `-errno`. */
  open(flags: number, mode = 0): Promise<number> {
    if (flags & O_CREAT) this.#failuresBefore = Directory.failures;
    return run(this.engine, { op: "open", ...this.#at, flags, mode, resolve: 0 });
  }

  /**
   * Opens an existing file, on this thread if the kernel has it in memory. O_PATH has no side effects. The result is the
   * descriptor or `-errno`.
   */
  openExisting(flags: number, resolve = 0): number | Promise<number> {
    const opening = { op: "open", ...this.#at, flags, mode: 0, resolve } as const;
    const isQuick = flags & O_PATH || this.directory.opensFromMemory;
    const quick = { ...opening, resolve: resolve | RESOLVE_CACHED };
    const fd = isQuick ? this.engine.runNow(quick) : -Errno.EAGAIN;
    return NOT_KNOWN.has(-fd) ? openAt(this.engine, opening) : fd;
  }

  /** Opens a file without a name in the directory of this one (O_TMPFILE). Resolves to the descriptor or `-errno`. */
  openWithoutName(flags: number, mode: number): Promise<number> {
    return new FileName(this.directory, ".", this.path).open(flags | O_TMPFILE, mode);
  }

  /** As {@linkcode mayBeFile}. A symbolic link is not followed. */
  get mayBeFile(): boolean | undefined {
    return mayBeFile(this.#file(false));
  }

  /** The facts of the file at the name, if there is one. Without `follow` those of a link itself. Errors name `op`. */
  async look(op: string, follow = true): Promise<StatFacts | undefined> {
    const file = this.#file(follow);
    // A link may lead to a server.
    return (follow ? undefined : knownFacts(file)) ?? await look(file, op);
  }

  /** Throws if the name no longer leads to this file. Errors name `op`. */
  async assertLeadsTo(file: FileIdentity, op: string): Promise<void> {
    if (isSame(await this.look(op), file)) return;
    throw ioError(Errno.ENOENT, op, this.path, "the name no longer leads to this file");
  }

  /** linkat(2) of an open file. Resolves to 0 or `-errno`. */
  async link(fd: number): Promise<number> {
    this.#failuresBefore = Directory.failures;
    const operation = { op: "link", fd, ...this.#at } as const;
    const result = await run(this.engine, { ...operation, byProc: true });
    if (result !== -Errno.ENOENT) return result;
    // /proc is not mounted. Without it a kernel before 6.10 needs CAP_DAC_READ_SEARCH, and returns ENOENT otherwise.
    return await run(this.engine, { ...operation, byProc: false });
  }

  /** Whether {@linkcode link} works here. */
  async canLink(): Promise<boolean> {
    const { directory, path } = this;
    // It was read in /proc.
    if (directory.firstPath !== undefined) return true;
    // `.` always exists, so the probe links nothing.
    return await new FileName(directory, ".", path).link(directory.fd) === -Errno.EEXIST;
  }

  /** renameat(2). An existing file is replaced. */
  async rename(to: FileName): Promise<void> {
    to.#failuresBefore = Directory.failures;
    const target = { targetDirectory: to.directory.fd, targetName: to.component };
    const result = await run(this.engine, { op: "rename", ...this.#at, ...target });
    if (result < 0) throw ioError(-result, "rename", this.path, "", to.path);
  }

  /** unlinkat(2). A missing name is not an error. */
  async unlink(): Promise<void> {
    const result = await run(this.engine, { op: "unlink", ...this.#at });
    if (result !== -Errno.ENOENT) unwrap(result, "remove", this.path);
  }

  /** unlinkat(2). Blocks until `deadline` at most: for a server, or for a file that may get the name afterwards. */
  unlinkNow(deadline: number): void {
    const { engine } = this;
    const operation = { op: "unlink", ...this.#at } as const;
    const unlink = () => {
      if (engine.deviceOf(operation.directory)?.isLocal) return engine.runNow(operation);
      let result: number | undefined;
      engine.submit(operation, { complete: (ended) => result = ended });
      while (result === undefined && waitUntil(engine, deadline));
      return result;
    };
    const isExpected = this.#failuresBefore !== undefined;
    while (unlink() === -Errno.ENOENT && isExpected && waitUntil(engine, deadline));
  }

  /** unlinkat(2), if the name still leads to that regular file, and no other program has written to it. */
  async unlinkEmpty(file: FileIdentity): Promise<void> {
    const found = await this.look("open", false);
    if (isSame(found, file) && found?.kind === "file" && found.size === 0) await this.unlink();
  }

  /** Makes the name durable, wherever the file was moved. Callers share one sync: the kernel reports a failure once. */
  sync(file: FileIdentity, fd: number): Promise<void> {
    return this.#synced ??= this.#sync(file, fd);
  }

  async #sync(file: FileIdentity, fd: number): Promise<void> {
    const directory = this.directory.retain();
    try {
      assertOpened(await directory.sync(), this.path);
      if (this.#whereMoved(file, fd)) await this.#syncWhereMoved(fd);
      this.#noteSync();
    } finally {
      directory.release();
    }
  }

  /** The directory to which another program has moved an open file; undefined if it has not, or if there is none. */
  #whereMoved(file: FileIdentity, fd: number): string | undefined {
    // Faster than two real paths.
    if (isSame(knownFacts(this.#file(false)), file)) return undefined;
    const here = this.engine.realPath(this.directory.fd);
    const real = this.engine.realPath(fd);
    const parent = real?.slice(0, Math.max(1, real.lastIndexOf("/")));
    return here === undefined || parent === here ? undefined : parent;
  }

  async #syncWhereMoved(fd: number): Promise<void> {
    const moved = await this.whereIs(fd);
    if (moved === this) return;
    assertOpened(await moved.directory.sync().finally(() => moved.release()), this.path);
    moved.#noteSync();
  }

  syncNow(file: FileIdentity, fd: number): void {
    const { directory, path } = this;
    directory.syncNow(path);
    const parent = this.#whereMoved(file, fd);
    if (parent !== undefined) directory.syncNow(path, parent);
    this.#noteSync();
  }

  /** Notes a sync of the directory. Throws if it or an earlier one has lost the name. */
  #noteSync(): void {
    const { failure } = this.directory;
    if (failure && failure.number > this.#failuresBefore!) {
      throw ioError(failure.errno, "sync", this.path);
    }
    this.isDurable = true;
  }
}
