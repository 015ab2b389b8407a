// Checks whether a file may replace the one at a name. rename(2) would fail only after the last write, or replace a device.

import {
  Attribute,
  Errno,
  O_CLOEXEC,
  O_PATH,
  RESOLVE_NO_MAGICLINKS,
  S_ISVTX,
} from "../engine/linux.ts";
import { ioError, throwIfLacking } from "../errors.ts";
import type { FileName } from "./file_name.ts";
import { actsAsOwner, isSwapFile } from "./proc.ts";
import { cachedStat, type Handle } from "./stat.ts";

/** The smallest swap file: ten pages. */
const SMALLEST_SWAP = 40 * 1024;

/**
 * A symbolic link itself is replaced, unless it leads to a device or another special file, or through /proc as
 * /dev/stdout does. Errors name `op`.
 */
export async function assertReplaceable(name: FileName, file: Handle, op: string): Promise<void> {
  const refuse = (errno: number, why = "") => {
    throw ioError(errno, op, file.path, why, op === "open" ? undefined : name.path);
  };
  const found = await name.look(op, false).catch((error) => {
    throw "errno" in error ? refuse(error.errno) : error;
  });
  if (!found) return;
  if (found.kind === "directory") refuse(Errno.EISDIR);
  // A dangling or circular link is replaced.
  const led = found.kind === "symbolic link" ? await name.look(op).catch(throwIfLacking) : found;
  if (led && led.kind !== "file" && led.kind !== "directory") {
    refuse(Errno.EOPNOTSUPP, `a ${led.kind} is not a regular file`);
  }
  if (led && led !== found) {
    const fd = await name.openExisting(O_PATH | O_CLOEXEC, RESOLVE_NO_MAGICLINKS);
    if (fd === -Errno.ELOOP) refuse(Errno.EOPNOTSUPP, "a link into /proc is not a regular file");
    if (fd < 0) refuse(-fd);
    name.engine.runNow({ op: "close", fd });
  }
  if (found.attributes & Attribute.MOUNT_ROOT) refuse(Errno.EBUSY, "it is a mount point");
  if (found.attributes & (Attribute.IMMUTABLE | Attribute.APPEND)) {
    refuse(Errno.EPERM, "it is immutable or append-only");
  }
  const directory = await cachedStat(name.handle(name.directory.fd));
  if (directory.attributes & Attribute.APPEND) refuse(Errno.EPERM, "its directory is append-only");
  if (directory.mode & S_ISVTX) {
    // A server may map root to another user.
    const { uid } = await cachedStat(file);
    const may = uid === found.uid || uid === directory.uid ||
      (uid === 0 && await actsAsOwner(file));
    if (!may) refuse(Errno.EPERM, "it belongs to another user, and its directory is sticky");
  }
  if (found.size >= SMALLEST_SWAP && await isSwapFile(file, name.realPath)) {
    refuse(Errno.EPERM, "the system swaps to it");
  }
}
