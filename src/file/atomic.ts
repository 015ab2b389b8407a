// Opens files that appear complete or not at all. They are written without a name if the file system supports that, and
// otherwise under a temporary name in the same directory. They get their name in one step, when they are durable.

import type { Engine } from "../engine/engine.ts";
import { Errno, errnos } from "../engine/linux.ts";
import { type DmaError, ioError } from "../errors.ts";
import type { FileName } from "./file_name.ts";
import { fileSystemOf } from "./file_system.ts";
import { assertReplaceable } from "./replaceable.ts";
import { temporaryName } from "./naming.ts";
import type { OpenFile, OpenRequest } from "./open_file.ts";
import { openName } from "./open.ts";
import { findPermitted } from "./permissions.ts";

/** Opens a file that will be published at `path`, as resolved at the time of the call. */
export async function openAtomic(
  engine: Engine,
  path: string,
  request: OpenRequest,
): Promise<OpenFile> {
  if (path.endsWith("/")) throw ioError(Errno.EISDIR, "open", path);
  const target = await findPermitted(engine, path, request.limited);
  let file: OpenFile | undefined;
  try {
    await target.directory.prepareSync(path);
    file = await openUnnamed(target, request) ??
      await openName(temporaryName(target), { ...request, createNew: true });
    file.naming.publishAs(target);
    await assertReplaceable(target, file.descriptor, "open");
    return file;
  } catch (error) {
    // An opened file owns the name, and releases it.
    if (file) await file.giveUp();
    else target.release();
    throw error;
  }
}

/** Kernels and file systems without O_TMPFILE return EISDIR, among other errors (open(2)). */
const NO_UNNAMED = errnos("EOPNOTSUPP", "EISDIR", "EINVAL");

/** Undefined if the file system has no files without a name, or loses the name that such a file gets later. */
async function openUnnamed(target: FileName, request: OpenRequest): Promise<OpenFile | undefined> {
  const { fd, facts } = target.directory;
  const { isLocal } = await fileSystemOf(target.handle(fd), facts);
  if (!isLocal || !await target.canLink()) return undefined;
  const unnamed = { ...request, create: false, truncate: false, unnamed: true };
  try {
    return await openName(target.sibling(target.component), unnamed);
  } catch (error) {
    if (NO_UNNAMED.has((error as DmaError).errno)) return undefined;
    throw error;
  }
}
