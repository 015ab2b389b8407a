// Files that appear whole or not at all: written without a name where the file system has such files, else under a
// temporary name beside their own, and given their name in one step when they are durable.

import type { Engine } from "../engine/engine.ts";
import { Errno } from "../engine/linux.ts";
import { ioError, unwrap } from "../errors.ts";
import { FileName } from "./file_name.ts";
import { fileSystemOf } from "./file_system.ts";
import { assertMayReplace, assertReplaceable } from "./replaceable.ts";
import { type StatFacts, statNow } from "./stat.ts";
import type { OpenFile, Publication } from "./open_file.ts";
import { accessOf, openName, type OpenRequest } from "./open.ts";
import { assertStillPermitted, findPermitted } from "./permitted.ts";

/** Opens a file that will be published at `path`, as `path` is to be understood when this is called. */
export async function openAtomic(
  engine: Engine,
  path: string,
  request: OpenRequest,
): Promise<OpenFile> {
  if (path === "" || path.endsWith("/")) {
    throw ioError(path === "" ? Errno.ENOENT : Errno.EISDIR, "open", path);
  }
  const target = await findPermitted(engine, path, accessOf(request), FileName.lookUp);
  let replaced: StatFacts | undefined;
  let file: OpenFile;
  try {
    replaced = await assertReplaceable(target);
    await target.directory.prepareSync(path);
    const unnamed = await keepsUnnamed(target) ? await openUnnamed(target, request) : undefined;
    file = unnamed ?? await openTemporary(target, request);
  } catch (error) {
    target.release();
    throw error;
  }
  // From here on the file has the name, and releases it.
  file.descriptor.path = path;
  if (replaced) await assertOwn(file, target, replaced);
  return file;
}

/** Gives the new file up where it could not take the place of somebody else's. */
async function assertOwn(file: OpenFile, target: FileName, replaced: StatFacts): Promise<void> {
  try {
    assertMayReplace(file, target, replaced);
  } catch (error) {
    await discardName(file);
    await file.descriptor.close().catch(() => {});
    throw error;
  }
}

/** Whether a file without a name may be trusted to keep the one that it is given. */
async function keepsUnnamed({ directory: { engine, fd }, path }: FileName): Promise<boolean> {
  const fileSystem = await fileSystemOf(engine, fd, statNow(engine, fd, path), path);
  engine.setThreaded(fd, fileSystem.onThreads);
  return fileSystem.keepsUnnamed;
}

/** Undefined where the file system has no files without a name. */
async function openUnnamed(
  target: FileName,
  request: OpenRequest,
): Promise<OpenFile | undefined> {
  try {
    const unnamed = { ...request, create: false, truncate: false, unnamed: true };
    const file = await openName(target, unnamed);
    if (await target.canLink(file.fd)) {
      file.publication = { target, temporary: undefined };
      return file;
    }
    await file.descriptor.close();
    return undefined;
  } catch (error) {
    // EISDIR is how kernels and file systems say that they do not know O_TMPFILE (open(2)).
    const { code } = error as { code?: string };
    if (code === "EOPNOTSUPP" || code === "EISDIR" || code === "EINVAL") return undefined;
    throw error;
  }
}

async function openTemporary(target: FileName, request: OpenRequest): Promise<OpenFile> {
  const temporary = target.sibling(temporaryComponent(target.component));
  try {
    const file = await openName(temporary, { ...request, createNew: true });
    file.name = undefined;
    file.publication = { target, temporary };
    return file;
  } catch (error) {
    temporary.release();
    throw error;
  }
}

/** A hidden name that no program takes for a file of its own. */
function temporaryComponent(component: string): string {
  // 255 bytes are the longest name; the random part must fit behind what is kept of a long one.
  const kept = component.slice(0, 40);
  return `.${kept}.${crypto.randomUUID().slice(0, 13)}.tmp`;
}

/** The file gets another name than it was opened for. */
export function retarget(file: OpenFile, publication: Publication, target: FileName): void {
  publication.target.release();
  publication.target = target;
  file.descriptor.path = target.path;
}

/** Gives an atomic file its name, durably. The file itself is durable already. */
export async function publish(file: OpenFile, publication: Publication): Promise<void> {
  const { target, temporary } = publication;
  assertStillPermitted(target, ["write"]);
  file.publication = undefined;
  try {
    if (temporary) await replace(temporary, target);
    else await link(file, target);
  } catch (error) {
    target.release();
    throw error;
  } finally {
    temporary?.release();
  }
  file.name = target;
  await file.syncName();
}

/** Links a file without a name. Where the name is taken it is linked beside it, and renamed over it. */
async function link(file: OpenFile, target: FileName): Promise<void> {
  const result = await target.link(file.fd);
  if (result !== -Errno.EEXIST) {
    unwrap(result, "link", target.path);
    return;
  }
  const temporary = target.sibling(temporaryComponent(target.component));
  try {
    unwrap(await temporary.link(file.fd), "link", target.path);
    await replace(temporary, target);
  } finally {
    temporary.release();
  }
}

async function replace(temporary: FileName, target: FileName): Promise<void> {
  try {
    await temporary.rename(target);
  } catch (error) {
    await temporary.unlink().catch(() => {});
    throw error;
  }
}

/** Leaves no name of an atomic file behind. Its failures matter no more. */
export async function discardName(file: OpenFile): Promise<void> {
  const { publication } = file;
  if (!publication) return;
  file.publication = undefined;
  const { target, temporary } = publication;
  await temporary?.unlink().catch(() => {});
  temporary?.release();
  target.release();
}
