// Whether a file may replace what is at a name. rename(2) would say so only after everything is written, and it replaces a
// device as readily as a file.

import {
  Errno,
  S_ISVTX,
  STATX_ATTR_APPEND,
  STATX_ATTR_IMMUTABLE,
  STATX_ATTR_MOUNT_ROOT,
} from "../engine/linux.ts";
import { type DmaError, ioError } from "../errors.ts";
import type { FileName } from "./file_name.ts";
import { isSwapFile } from "./proc.ts";
import { factsOf, type StatFacts } from "./stat.ts";

/** The smallest swap file: ten pages. */
const SMALLEST_SWAP = 40 * 1024;

function refusal(name: FileName, errno: number, why: string): DmaError {
  return ioError(errno, "open", name.path, why);
}

/**
 * Rejects if what is at the name must not be replaced. Resolves to what is there, or undefined. A symbolic link is replaced
 * itself, unless it leads to a device or another special file.
 */
export async function assertReplaceable(name: FileName): Promise<StatFacts | undefined> {
  const found = await name.look(true);
  if (!found) return undefined;
  if (found.kind === "directory") throw refusal(name, Errno.EISDIR, "");
  // A link that leads nowhere, or around in a circle, is replaced.
  const led = found.kind === "symbolic link" ? await name.look().catch(() => undefined) : found;
  if (led && led.kind !== "file" && led.kind !== "directory") {
    throw refusal(name, Errno.EOPNOTSUPP, `a ${led.kind} is not a regular file`);
  }
  if (found.attributes & STATX_ATTR_MOUNT_ROOT) {
    throw refusal(name, Errno.EBUSY, "it is a mount point");
  }
  if (found.attributes & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND)) {
    throw refusal(name, Errno.EPERM, "it is immutable or append-only");
  }
  const directory = await factsOf(name.handle(name.directory.fd));
  if (directory.attributes & STATX_ATTR_APPEND) {
    throw refusal(name, Errno.EPERM, "its directory is append-only");
  }
  if (found.size >= SMALLEST_SWAP && await isSwapFile(name.engine, name.realPath)) {
    throw refusal(name, Errno.EPERM, "the system swaps to it");
  }
  return found;
}

/**
 * Throws if the open file of a descriptor may not replace another user's file, whose facts are `replaced`: in a sticky
 * directory only the owners and root may.
 */
export async function assertMayReplace(
  fileFd: number,
  name: FileName,
  replaced: StatFacts | undefined,
): Promise<void> {
  if (!replaced) return;
  const directory = await factsOf(name.handle(name.directory.fd));
  const own = (await factsOf(name.handle(fileFd))).uid;
  if (directory.mode & S_ISVTX && ![0, replaced.uid, directory.uid].includes(own)) {
    throw refusal(name, Errno.EPERM, "it belongs to another user, and its directory is sticky");
  }
}
