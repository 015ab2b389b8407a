// Files that appear whole or not at all. They are written without a name if the file system has such files, and under a
// temporary name in the same directory otherwise. They get their name in one step, when they are durable.

import { type Engine, run } from "../engine/engine.ts";
import { Errno, O_CLOEXEC, O_RDWR } from "../engine/linux.ts";
import { ioError, renameError, unwrap } from "../errors.ts";
import type { FileName } from "./file_name.ts";
import { fileSystemOf } from "./file_system.ts";
import { assertMayReplace, assertReplaceable } from "./replaceable.ts";
import type { OpenFile, OpenRequest, Publication } from "./open_file.ts";
import { accessOf, openName, openWithoutName } from "./open.ts";
import { assertStillPermitted, findPermitted } from "./permitted.ts";

/** Opens a file that will be published at `path`, as it stands at the time of the call. */
export async function openAtomic(
  engine: Engine,
  path: string,
  request: OpenRequest,
): Promise<OpenFile> {
  if (path === "" || path.endsWith("/")) {
    throw ioError(path === "" ? Errno.ENOENT : Errno.EISDIR, "open", path);
  }
  const target = await findPermitted(engine, path, accessOf(request));
  let file: OpenFile | undefined;
  try {
    const replaced = await assertReplaceable(target);
    await target.directory.prepareSync(path);
    if (await keepsUnnamed(target)) file = await openUnnamed(target, request);
    file ??= await openTemporary(target, request);
    if (replaced) await assertMayReplace(file, target, replaced);
    return file;
  } catch (error) {
    if (file) {
      // It owns the name.
      await discardName(file);
      await file.descriptor.close().catch(() => {});
    } else target.release();
    throw error;
  }
}

/** Whether a file without a name keeps the name that it is given later. */
async function keepsUnnamed({ directory, path }: FileName): Promise<boolean> {
  const { engine, fd, facts } = directory;
  const fileSystem = await fileSystemOf(engine, fd, facts, path);
  engine.setThreaded(fd, fileSystem.onThreads);
  return fileSystem.keepsUnnamed;
}

/** Undefined if the file system has no files without a name. */
async function openUnnamed(
  target: FileName,
  request: OpenRequest,
): Promise<OpenFile | undefined> {
  const unnamed = { ...request, create: false, truncate: false, unnamed: true };
  try {
    const file = await openName(target.sibling(target.component), unnamed);
    if (await target.canLink(file.fd)) {
      file.publication = { target, temporary: undefined };
      return file;
    }
    await file.descriptor.close();
    return undefined;
  } catch (error) {
    // The kernels and file systems without O_TMPFILE return EISDIR, among others (open(2)).
    const { code } = error as { code?: string };
    if (code === "EOPNOTSUPP" || code === "EISDIR" || code === "EINVAL") return undefined;
    throw error;
  }
}

async function openTemporary(target: FileName, request: OpenRequest): Promise<OpenFile> {
  const temporary = temporaryName(target);
  const file = await openName(temporary, { ...request, createNew: true });
  file.name = undefined;
  file.publication = { target, temporary };
  return file;
}

/** A hidden, random name in the same directory. */
function temporaryName(target: FileName): FileName {
  // A name has 255 bytes at most, and the random part must fit.
  const kept = target.component.slice(0, 40);
  return target.sibling(`.${kept}.${crypto.randomUUID().slice(0, 13)}.tmp`);
}

/** Rejects if a file could not be published at `target`: otherwise it would be lost when all of it is written. */
export async function assertPublishable(
  file: OpenFile,
  { target: before, temporary }: Publication,
  target: FileName,
): Promise<void> {
  const refuse = (errno: number) => {
    throw renameError(errno, file.path, target.path);
  };
  if (target.component.endsWith("/")) refuse(Errno.EISDIR);
  const { directory } = target;
  if (directory === before.directory) return;
  const from = before.directory.facts;
  const to = directory.facts;
  // Subvolumes of btrfs have devices of their own, and no links between them.
  if (from.mountId !== to.mountId || from.device !== to.device) refuse(Errno.EXDEV);
  // A probe under a name could stay behind.
  if (temporary) return;
  const fd = await openWithoutName(target, O_RDWR | O_CLOEXEC, 0o600);
  if (fd < 0) refuse(-fd);
  await run(file.engine, { op: "close", fd });
}

/** Gives an atomic file its name, durably. The file itself is already durable. */
export async function publish(file: OpenFile, publication: Publication): Promise<void> {
  const { target } = publication;
  let { temporary } = publication;
  assertStillPermitted(target, ["write"]);
  file.publication = undefined;
  try {
    if (!temporary) {
      const result = await target.link(file.fd);
      if (result === -Errno.EEXIST) {
        // linkat(2) replaces nothing, and rename(2) does.
        temporary = temporaryName(target);
        unwrap(await temporary.link(file.fd), "link", target.path);
      } else unwrap(result, "link", target.path);
    }
    if (temporary) await replace(temporary, target);
  } catch (error) {
    target.release();
    throw error;
  } finally {
    temporary?.release();
  }
  file.name = target;
  await file.syncName();
}

async function replace(temporary: FileName, target: FileName): Promise<void> {
  try {
    await temporary.rename(target);
  } catch (error) {
    await temporary.unlink().catch(() => {});
    throw error;
  }
}

/** Removes the temporary name of an atomic file, which is not published any more. Failures are ignored. */
export async function discardName(file: OpenFile): Promise<void> {
  const { publication } = file;
  if (!publication) return;
  file.publication = undefined;
  const { target, temporary } = publication;
  await temporary?.unlink().catch(() => {});
  temporary?.release();
  target.release();
}
