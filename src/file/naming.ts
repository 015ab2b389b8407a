// The name of an open file, even if its path leads to another file by now: how it is published, renamed, removed and made
// durable.

import { run } from "../engine/engine.ts";
import { Errno, O_CLOEXEC, O_RDWR } from "../engine/linux.ts";
import { errorOfTwo, ioError, unwrap } from "../errors.ts";
import type { Descriptor } from "./descriptor.ts";
import type { Directory } from "./directory.ts";
import type { FileIdentity, FileName } from "./file_name.ts";
import { assertStillPermitted, demandName, findPermitted, limitedOf } from "./permissions.ts";
import { assertReplaceable } from "./replaceable.ts";

/** Deno's own: a test of a program may put a function in its place that always returns the same. */
const randomUUID = crypto.randomUUID.bind(crypto);

/** A hidden, random name in the same directory. */
export function temporaryName(target: FileName): FileName {
  // A name has 255 bytes at most, and the random part must fit.
  const kept = target.component.slice(0, 40);
  return target.sibling(`.${kept}.${randomUUID().slice(0, 13)}.tmp`);
}

/** The name that an open file has, and the one that an atomic file will get. It releases both. */
export class Naming {
  readonly #descriptor: Descriptor;
  readonly #file: FileIdentity;
  /** Undefined if the file has none. That of an atomic file is a temporary one. */
  #name: FileName | undefined;
  /** The name of an atomic file from when it is published on; undefined afterwards, and for other files. */
  #target: FileName | undefined;
  /** The name whose directory was synced since the file got it. */
  #durable: FileName | undefined;
  /** The last failed sync of the directory when the file got its name. */
  #failureBefore: Directory["failure"];
  /** The last sync of a name, in flight or over. */
  #syncing: { readonly name: FileName; readonly over: Promise<void> } | undefined;
  /** The name changes by one call at a time: each starts from the name that the last one left. */
  #queue: Promise<unknown> | undefined;

  /** `created` says that opening the file made its name. */
  constructor(
    descriptor: Descriptor,
    file: FileIdentity,
    name: FileName | undefined,
    created: boolean,
  ) {
    this.#descriptor = descriptor;
    this.#file = file;
    this.#name = name;
    this.#durable = created ? undefined : name;
    this.#failureBefore = name?.directory.failure;
  }

  /** Whether it is an atomic file that was neither published nor given up. */
  get isUnpublished(): boolean {
    return this.#target !== undefined;
  }

  /** Whether it has a name that is not durable. */
  get isVolatile(): boolean {
    return !this.isUnpublished && this.#name !== this.#durable;
  }

  /** Releases the directory, which is held as long as the file is open. */
  release(): void {
    this.#name?.release();
  }

  // ---- durability -------------------------------------------------------------------------------------------------

  /**
   * Makes the name durable. A file that is renamed meanwhile has another one, which is not. All callers share one sync of a
   * name: the kernel reports a failure only once.
   */
  async sync(): Promise<void> {
    const name = this.#name;
    if (!name) return;
    if (this.#syncing?.name !== name) this.#syncing = { name, over: this.#sync(name) };
    await this.#syncing.over;
  }

  async #sync(name: FileName): Promise<void> {
    const directory = name.directory.retain();
    const before = this.#failureBefore;
    try {
      await name.sync(this.#descriptor.fd);
      this.#assertKept(directory, before);
    } finally {
      directory.release();
    }
    this.#durable = name;
  }

  /** Throws if a sync of the directory has failed since there was the failure `before`. */
  #assertKept({ failure }: Directory, before: Directory["failure"]): void {
    if (failure && failure !== before) throw ioError(failure.errno, "sync", this.#descriptor.path);
  }

  /** As {@linkcode sync}, on the JavaScript thread. */
  syncNow(): void {
    const name = this.#name;
    if (!this.isVolatile || !name) return;
    name.directory.syncNow(this.#descriptor.path);
    this.#assertKept(name.directory, this.#failureBefore);
    this.#durable = name;
  }

  // ---- atomic files -----------------------------------------------------------------------------------------------

  /** Has the file published as `target`. */
  publishAs(target: FileName): void {
    this.#target = target;
  }

  /** Gives an atomic file its name, durably. The file itself is already durable. It is discarded if this fails. */
  publish(): Promise<void> {
    return this.#inTurn(() => this.#publish());
  }

  async #publish(): Promise<void> {
    const target = this.#target;
    // It may have been removed meanwhile.
    if (!target) return;
    assertStillPermitted(target, ["write"]);
    const { fd } = this.#descriptor;
    if (!this.#name) {
      let result = await target.link(fd);
      // linkat(2) replaces nothing, and rename(2) does.
      if (result === -Errno.EEXIST) {
        this.#name = temporaryName(target);
        result = await this.#name.link(fd);
      }
      unwrap(result, "link", target.path);
    }
    await this.#name?.rename(target);
    this.#become(target);
    this.#target = undefined;
    await this.sync();
  }

  /** The file has another name from now on. */
  #become(name: FileName): void {
    this.#name?.release();
    this.#name = name;
    this.#failureBefore = name.directory.failure;
  }

  /** Removes the temporary name of an atomic file, which is not published any more. Failures are ignored. */
  discard(): Promise<void> {
    return this.#inTurn(() => this.#discard());
  }

  async #discard(): Promise<void> {
    if (!this.#target) return;
    this.#target.release();
    this.#target = undefined;
    await this.#name?.unlink().catch(() => {});
    this.#name?.release();
    this.#name = undefined;
  }

  /** Removes the temporary name of an atomic file. Blocks, for a server until `deadline` at most. */
  unlinkTemporaryNow(deadline: number): void {
    if (this.isUnpublished) this.#name?.unlinkNow(deadline);
  }

  // ---- renames and removals ---------------------------------------------------------------------------------------

  /** Renames the file to `path`, as it stands at the time of the call. An existing file is replaced. */
  rename(path: string): Promise<void> {
    const descriptor = this.#descriptor;
    return descriptor.use("rename", async () => {
      const finding = findPermitted(descriptor.engine, path, ["write"]);
      const target = await finding.catch((error) => {
        throw "errno" in error ? errorOfTwo(error.errno, "rename", descriptor.path, path) : error;
      });
      try {
        await this.#inTurn(() => this.#rename(target));
      } catch (error) {
        target.release();
        throw error;
      }
    });
  }

  async #rename(target: FileName): Promise<void> {
    await demandName(target, limitedOf(["write"]));
    await target.directory.prepareSync(target.path);
    const unpublished = this.#target;
    if (unpublished) {
      await this.#assertPublishable(target, unpublished);
      this.#target = target;
      unpublished.release();
    } else {
      const name = this.#nameFor("rename");
      await demandName(name, limitedOf(["read", "write"]));
      await name.assertLeadsTo(this.#file, "rename");
      await name.rename(target);
      this.#become(target);
    }
    this.#descriptor.path = target.path;
  }

  /**
   * Rejects if an atomic file could not be published at `target`: it would be lost when all of it is written. A temporary name
   * is moved there. A file without a name has another one like it made: a probe under a name could stay behind.
   */
  async #assertPublishable(target: FileName, before: FileName): Promise<void> {
    const { engine, path } = this.#descriptor;
    const refuse = (errno: number) => {
      throw errorOfTwo(errno, "rename", path, target.path);
    };
    if (target.component.endsWith("/")) refuse(Errno.EISDIR);
    await assertReplaceable(target, this.#descriptor, "rename");
    if (target.directory === before.directory) return;
    if (this.#name) return await this.#moveTemporary(this.#name, target);
    const from = before.directory.facts;
    const to = target.directory.facts;
    // Subvolumes of btrfs have devices of their own, and no links between them.
    if (from.mountId !== to.mountId || from.device !== to.device) refuse(Errno.EXDEV);
    const fd = await target.openWithoutName(O_RDWR | O_CLOEXEC, 0o600);
    if (fd < 0) refuse(-fd);
    await run(engine, { op: "close", fd });
  }

  /** Moves a temporary name to the directory of `target`. */
  async #moveTemporary(name: FileName, target: FileName): Promise<void> {
    const moved = temporaryName(target);
    try {
      await name.rename(moved);
    } catch (error) {
      moved.release();
      throw error;
    }
    this.#become(moved);
  }

  /** Removes the file's name. An atomic file gets none. */
  remove(): Promise<void> {
    return this.#descriptor.use("remove", () => this.#inTurn(() => this.#remove()));
  }

  async #remove(): Promise<void> {
    if (this.isUnpublished) return await this.#discard();
    const name = this.#nameFor("remove");
    await demandName(name, limitedOf(["write"]));
    // A name that is gone is no error.
    if (!await name.look()) return;
    await name.assertLeadsTo(this.#file, "remove");
    await name.unlink();
  }

  #nameFor(op: string): FileName {
    if (this.#name) return this.#name;
    throw ioError(Errno.ENOENT, op, this.#descriptor.path, "the file has no name");
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = (this.#queue ?? Promise.resolve()).then(work);
    this.#queue = done.catch(() => {});
    return done;
  }
}
