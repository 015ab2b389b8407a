// The ways a file ends: closed with its name made durable, published, or given up.

import { run } from "../engine/engine.ts";
import { AT_FDCWD, Errno } from "../engine/linux.ts";
import { unwrap } from "../errors.ts";
import type { Handle } from "./handle.ts";
import { syncDirectory } from "./directory.ts";
import { statHandle } from "./random_access.ts";
import { parseStat } from "./stat.ts";

/**
 * Makes the name of a file durable: an atomic file gets its name here, a created one has its directory synced.
 * The file's bytes are durable already.
 */
export async function settleName(handle: Handle, durable: boolean): Promise<void> {
  const { publication } = handle;
  if (publication) {
    if (handle.spoiled) throw handle.spoiled.error;
    handle.publication = undefined;
    await publication.publish(handle);
    handle.nameVolatile = false;
    handle.named = true;
  } else if (syncsDirectory(handle, durable)) {
    await syncName(handle);
  }
}

/** Makes the name of a file durable that has one, unless it gets another one meanwhile. */
export async function syncName(handle: Handle): Promise<void> {
  const { renames } = handle;
  await syncParent(handle);
  if (handle.renames === renames) handle.nameVolatile = false;
}

/** Whether {@linkcode settleName} would sync the directory, so that this can begin early. */
export function syncsDirectory(handle: Handle, durable: boolean): boolean {
  return durable && handle.nameVolatile && handle.publication === undefined;
}

/** Syncs the directory in which a file stands now, wherever it was renamed to. */
async function syncParent(handle: Handle): Promise<void> {
  // A writer's last step may have closed it: the number may be another file's.
  const real = handle.closed ? undefined : handle.engine.realPath(handle.fd);
  // A file that was removed meanwhile has no name to keep; but one may be called so.
  if (real?.endsWith(" (deleted)") && (await statHandle(handle, parseStat)).links === 0) return;
  await syncDirectory(handle.engine, real ?? handle.path);
}

/** Closes a file that has no writer: syncs and publishes it where it is atomic. */
export function closeFile(handle: Handle): Promise<void> {
  return handle.close(() => publishWhole(handle));
}

/** Publishes what is atomic, unless it was dropped or may have holes. */
async function publishWhole(handle: Handle): Promise<void> {
  const { engine, fd, path, publication, spoiled, dropped } = handle;
  if (!publication) return;
  try {
    if (spoiled) throw spoiled.error;
    if (dropped) return await discardName(handle);
    unwrap(await run(engine, { op: "sync", fd, dataOnly: false }), "sync", path);
    await settleName(handle, true);
  } catch (error) {
    await discardName(handle);
    throw error;
  }
}

/** Closes a file whose bytes are not worth a name. Its failures matter no more. */
export async function giveUpFile(handle: Handle): Promise<void> {
  await discardName(handle);
  await handle.close().catch(() => {});
}

/** Leaves no name of an atomic file behind. */
export async function discardName(handle: Handle): Promise<void> {
  const { publication } = handle;
  handle.publication = undefined;
  await publication?.discard(handle).catch(() => {});
}

/** Removes a name, which may be gone already. */
export async function removeName(handle: Handle, path: string): Promise<void> {
  const result = await run(handle.engine, { op: "unlink", directory: AT_FDCWD, name: path });
  if (result !== -Errno.ENOENT) unwrap(result, "remove", path);
}
