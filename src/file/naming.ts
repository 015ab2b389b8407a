// Publishes, renames, removes and syncs the name of an open file, even if its path leads to another file meanwhile.

import { inTurn, run } from "../engine/engine.ts";
import { Attribute, Errno, O_CLOEXEC, O_RDWR } from "../engine/linux.ts";
import { type DmaError, ioError, unwrap } from "../errors.ts";
import type { Descriptor } from "./descriptor.ts";
import { type FileName, temporaryNames } from "./file_name.ts";
import { assertStillWritable, demandName, findPermitted, limitedOf } from "./permissions.ts";
import { assertReplaceable } from "./replaceable.ts";
import type { FileIdentity } from "./stat.ts";

/** Saved at import, because tests of a program may replace the function by one that always returns the same value. */
const randomUUID = crypto.randomUUID.bind(crypto);

/** A hidden, random name in the same directory. */
export function temporaryName(target: FileName): FileName {
  // A name has at most 255 bytes, including the random part.
  const kept = target.component.slice(0, 40);
  const name = target.sibling(`.${kept}.${randomUUID().slice(0, 13)}.tmp`);
  temporaryNames.add(name);
  return name;
}

/** The current name of an open file, and the future one of an atomic file. One call at a time changes the name. */
export class Naming {
  /** The current name, temporary for an unpublished atomic file; undefined if the file has none. */
  #name: FileName | undefined;
  /** The future name of an unpublished atomic file; otherwise undefined. */
  #target: FileName | undefined;

  constructor(readonly descriptor: Descriptor, readonly file: FileIdentity, name?: FileName) {
    this.#name = name;
  }

  /** Whether this is an atomic file that was neither published nor discarded. */
  get isUnpublished(): boolean {
    return this.#target !== undefined;
  }

  /** Whether the file has a name that is not durable. */
  get isVolatile(): boolean {
    return !this.isUnpublished && this.#name?.isDurable === false;
  }

  release(): void {
    this.#name?.release();
  }

  /** Makes the current name durable, but not a name that a rename gives it meanwhile. */
  sync(): Promise<void> {
    return this.#name?.sync(this.file, this.descriptor.fd) ?? Promise.resolve();
  }

  syncNow(): void {
    if (this.isVolatile) this.#name?.syncNow(this.file, this.descriptor.fd);
  }

  publishAs(target: FileName): void {
    this.#target = target;
  }

  /** Gives an atomic file, which is durable, its name, and makes the name durable. On failure it is discarded. */
  publish(): Promise<void> {
    return inTurn(this, async () => {
      const target = this.#target;
      // It may have been removed meanwhile.
      if (!target) return;
      assertStillWritable(target);
      const { fd } = this.descriptor;
      const hadName = this.#name !== undefined;
      if (!hadName) {
        // Programs that watch a directory take a renamed file for complete (IN_MOVED_TO), and a linked one for empty
        // (IN_CREATE in inotify(7)). But in an append-only directory no file can be renamed.
        const { attributes } = target.directory.facts;
        if (!(attributes & Attribute.APPEND)) this.#name = temporaryName(target);
        unwrap(await (this.#name ?? target).link(fd), "link", target.path);
      }
      await this.#name?.rename(target).catch(async (error) => {
        // A sandbox may forbid renaming files, and with that removing them (landlock(7)): the hidden name then stays.
        if (hadName || error.errno !== Errno.EACCES || await target.link(fd) < 0) throw error;
        await this.#name?.unlink().catch(() => {});
      });
      this.#become(target);
      this.#target = undefined;
      await this.sync();
    });
  }

  #become(name: FileName | undefined): void {
    this.#name?.release();
    this.#name = name;
  }

  /** Removes the temporary name of an atomic file, which can then no longer be published. Failures are ignored. */
  discard(): Promise<void> {
    return inTurn(this, () => this.#discard());
  }

  async #discard(): Promise<void> {
    if (!this.#target) return;
    this.#target.release();
    this.#target = undefined;
    await this.#name?.unlink().catch(() => {});
    this.#become(undefined);
  }

  /** Renames the file to `path`, as resolved at the time of the call. An existing file is replaced. */
  rename(path: string): Promise<void> {
    const descriptor = this.descriptor;
    return descriptor.use("rename", async () => {
      // A lookup and the open of a directory have errors of their own.
      const refuse = (error: Partial<DmaError>) => {
        const isOther = error.errno === undefined || error.op === "rename";
        throw isOther ? error : ioError(error.errno!, "rename", descriptor.path, "", path);
      };
      const limited = limitedOf({ write: true });
      const target = await findPermitted(descriptor.engine, path, limited).catch(refuse);
      await inTurn(this, () => this.#rename(target)).catch((error) => {
        target.release();
        refuse(error);
      });
    });
  }

  async #rename(target: FileName): Promise<void> {
    const descriptor = this.descriptor;
    await demandName(target, limitedOf({ write: true }));
    await target.directory.prepareSync(target.path);
    const unpublished = this.#target;
    if (unpublished) {
      await this.#assertPublishable(target, unpublished);
      this.#target = target;
      unpublished.release();
    } else {
      const name = this.#name;
      if (!name) throw ioError(Errno.ENOENT, "rename", descriptor.path, "the file has no name");
      await demandName(name, limitedOf({ read: true, write: true }));
      await name.assertLeadsTo(this.file, "rename");
      await name.rename(target);
      this.#become(target);
    }
    descriptor.path = target.path;
  }

  /**
   * Rejects if an atomic file could not be published at `target`: otherwise the failure would come after the last
   * write. A temporary name moves there. Without one the probe is a new file without a name: a named one could stay.
   */
  async #assertPublishable(target: FileName, before: FileName): Promise<void> {
    const { engine, path } = this.descriptor;
    const refuse = (errno: number) => {
      throw ioError(errno, "rename", path, "", target.path);
    };
    if (target.component.endsWith("/")) refuse(Errno.EISDIR);
    await assertReplaceable(target, this.descriptor, "rename");
    if (target.directory === before.directory) return;
    if (this.#name) return await this.#moveTemporary(this.#name, target);
    const from = before.directory.facts;
    const to = target.directory.facts;
    // Each subvolume of btrfs has its own device, and links between subvolumes are not possible.
    if (from.mountId !== to.mountId || from.device !== to.device) refuse(Errno.EXDEV);
    const fd = await target.openWithoutName(O_RDWR | O_CLOEXEC, 0o600);
    if (fd < 0) refuse(-fd);
    await run(engine, { op: "close", fd });
  }

  async #moveTemporary(name: FileName, target: FileName): Promise<void> {
    const moved = temporaryName(target);
    await name.rename(moved).catch((error) => {
      moved.release();
      throw error;
    });
    this.#become(moved);
  }

  /** Removes the file's name. An atomic file is discarded. */
  remove(): Promise<void> {
    const removing = async () => {
      if (this.isUnpublished) return await this.#discard();
      const name = this.#name;
      if (!name) return;
      await demandName(name, limitedOf({ write: true }));
      if (!await name.look("remove")) return;
      await name.assertLeadsTo(this.file, "remove");
      await name.unlink();
    };
    return this.descriptor.use("remove", () => inTurn(this, removing));
  }
}
