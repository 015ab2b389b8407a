// Renames and removes an open file, even if its path leads to another file by now.

import { Errno } from "../engine/linux.ts";
import { ioError, renameError } from "../errors.ts";
import { limitedOf } from "../permissions.ts";
import { assertPublishable, discardName } from "./atomic.ts";
import type { FileName } from "./file_name.ts";
import type { OpenFile } from "./open_file.ts";
import { demandName, findPermitted } from "./permitted.ts";
import { assertMayReplace, assertReplaceable } from "./replaceable.ts";

/** The file's name. Throws if it has none. */
function nameOf(file: OpenFile, op: string): FileName {
  if (file.name) return file.name;
  throw ioError(Errno.ENOENT, op, file.path, "the file has no name");
}

/** Renames and removals of a file run one after the other: each starts from the name that the last one left. */
const queues = new WeakMap<OpenFile, Promise<unknown>>();

function inTurn(file: OpenFile, work: () => Promise<void>): Promise<void> {
  const done = (queues.get(file) ?? Promise.resolve()).then(work);
  queues.set(file, done.catch(() => {}));
  return done;
}

/** Renames the file to `path`, as it stands at the time of the call. An existing file is replaced. */
export function renameFile(file: OpenFile, path: string): Promise<void> {
  return file.descriptor.use("rename", async () => {
    const finding = findPermitted(file.engine, path, ["write"]);
    const target = await finding.catch((error) => {
      throw "errno" in error ? renameError(error.errno, file.path, path) : error;
    });
    try {
      await inTurn(file, () => renameTo(file, target));
    } catch (error) {
      target.release();
      throw error;
    }
  });
}

async function renameTo(file: OpenFile, target: FileName): Promise<void> {
  await demandName(target, limitedOf(["write"]));
  await target.directory.prepareSync(target.path);
  if (file.publication) {
    const replaced = await assertReplaceable(target);
    if (replaced) await assertMayReplace(file, target, replaced);
    if (file.publication) await assertPublishable(file, file.publication, target);
    const { publication } = file;
    // It has no name yet, and will get this one, unless it was published meanwhile.
    if (publication) {
      publication.target.release();
      publication.target = target;
      file.descriptor.path = target.path;
      return;
    }
  }
  const name = nameOf(file, "rename");
  await demandName(name, limitedOf(["read", "write"]));
  await name.assertLeadsTo(file, "rename");
  await name.rename(target);
  file.name = target;
  file.descriptor.path = target.path;
  file.nameIsDurable = false;
  name.release();
}

/** Removes the file's name. An atomic file gets none. */
export function removeFile(file: OpenFile): Promise<void> {
  return file.descriptor.use("remove", () => inTurn(file, () => removeName(file)));
}

async function removeName(file: OpenFile): Promise<void> {
  if (file.publication) return await discardName(file);
  const name = nameOf(file, "remove");
  await demandName(name, limitedOf(["write"]));
  // A name that is gone is no error.
  if (!await name.look()) return;
  await name.assertLeadsTo(file, "remove");
  await name.unlink();
}
