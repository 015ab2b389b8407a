// Files that appear whole or not at all: written without a name where the file system has such files, else under
// a temporary name beside their own, and given their name in one step when they are durable.

import { type Engine, run } from "../engine/engine.ts";
import { AT_FDCWD, Errno, O_CLOEXEC, O_NOFOLLOW, O_PATH } from "../engine/linux.ts";
import { ioError, renameError, unwrap } from "../errors.ts";
import { demand } from "../permissions.ts";
import { removeName } from "./end_of_life.ts";
import type { Handle, Publication } from "./handle.ts";
import { syncDirectory } from "./directory.ts";
import { describe, openHandle, type OpenRequest, splitPath } from "./open.ts";

/** Opens a file that will be published at `path`. */
export async function openAtomic(
  engine: Engine,
  path: string,
  request: OpenRequest,
): Promise<Handle> {
  if (path === "" || path.endsWith("/")) {
    throw ioError(path === "" ? Errno.ENOENT : Errno.EISDIR, "open", path);
  }
  await demand("write", path);
  await assertReplaceable(engine, path);
  const { directory } = splitPath(path);
  const handle = await openUnnamed(engine, directory, request) ??
    await openTemporary(engine, path, request);
  handle.path = path;
  handle.named = false;
  return handle;
}

/**
 * Rejects where the name has something that no file may take the place of: rename(2) replaces a device as readily as a
 * file, and finds a directory only when all is written. A symbolic link is replaced itself, unless it leads to a device
 * or the like.
 */
export async function assertReplaceable(engine: Engine, path: string): Promise<void> {
  for (const follow of [O_NOFOLLOW, 0]) {
    const flags = O_PATH | O_CLOEXEC | follow;
    const fd = await run(engine, { op: "open", directory: AT_FDCWD, name: path, flags, mode: 0 });
    // Mostly nothing is there; whatever else it is, the file's own open will meet it.
    if (fd < 0) return;
    try {
      const { isDirectory, isFile, kind } = describe(engine, fd, path);
      if (isFile) return;
      if (isDirectory) {
        if (follow === 0) return;
        throw ioError(Errno.EISDIR, "open", path);
      }
      if (kind !== "symbolic link") {
        throw ioError(Errno.EOPNOTSUPP, "open", path, `a ${kind} is not a regular file`);
      }
    } finally {
      engine.closeNow(fd);
    }
  }
}

/** Undefined where the file system has no files without a name. */
async function openUnnamed(
  engine: Engine,
  directory: string,
  request: OpenRequest,
): Promise<Handle | undefined> {
  try {
    const handle = await openHandle(engine, directory, {
      ...request,
      create: false,
      truncate: false,
      unnamed: true,
    });
    handle.publication = new Unnamed();
    return handle;
  } catch (error) {
    // EISDIR is how kernels and file systems say that they do not know O_TMPFILE (open(2)).
    const { code } = error as { code?: string };
    if (code === "EOPNOTSUPP" || code === "EISDIR" || code === "EINVAL") return undefined;
    throw error;
  }
}

async function openTemporary(
  engine: Engine,
  path: string,
  request: OpenRequest,
): Promise<Handle> {
  const temporary = temporaryName(path);
  const handle = await openHandle(engine, temporary, { ...request, createNew: true });
  handle.publication = new Temporary(temporary);
  return handle;
}

/** A hidden name beside `path` that no program takes for a file of its own. */
function temporaryName(path: string): string {
  const { directory, name } = splitPath(path);
  // 255 bytes are the longest name; the random part must fit behind what is kept of a long one.
  const kept = name.slice(0, 40);
  const random = crypto.randomUUID().slice(0, 13);
  return `${directory === "/" ? "" : directory}/.${kept}.${random}.tmp`;
}

/** A file without a name is linked. Only a name that is taken needs a second one, to be renamed over it. */
class Unnamed implements Publication {
  async publish(handle: Handle): Promise<void> {
    const { engine, fd, path } = handle;
    const result = await run(engine, { op: "link", fd, directory: AT_FDCWD, name: path });
    if (result === -Errno.EEXIST) {
      const temporary = temporaryName(path);
      unwrap(
        await run(engine, { op: "link", fd, directory: AT_FDCWD, name: temporary }),
        "link",
        temporary,
      );
      await replace(handle, temporary);
    } else {
      unwrap(result, "link", path);
    }
    await syncDirectory(engine, path);
  }

  async discard(): Promise<void> {
    // Gone with its descriptor.
  }
}

class Temporary implements Publication {
  constructor(readonly path: string) {}

  async publish(handle: Handle): Promise<void> {
    await replace(handle, this.path);
    await syncDirectory(handle.engine, handle.path);
  }

  async discard(handle: Handle): Promise<void> {
    await removeName(handle, this.path);
  }
}

async function replace(handle: Handle, temporary: string): Promise<void> {
  const { engine, path } = handle;
  const result = await run(engine, {
    op: "rename",
    directory: AT_FDCWD,
    name: temporary,
    targetDirectory: AT_FDCWD,
    targetName: path,
  });
  if (result >= 0) return;
  await removeName(handle, temporary).catch(() => {});
  throw renameError(-result, temporary, path);
}
