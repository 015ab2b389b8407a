// Makes names durable: the sync of a directory, shared by all who need the same one.

import { type Engine, run } from "../engine/engine.ts";
import { AT_FDCWD, Errno, O_CLOEXEC, O_DIRECTORY, O_RDONLY } from "../engine/linux.ts";
import { unwrap } from "../errors.ts";
import { splitPath } from "./open.ts";

/** A sync under way, and the one that starts after it. */
interface Syncing {
  now: Promise<void>;
  next: Promise<void> | undefined;
}

const underWay = new WeakMap<Engine, Map<string, Syncing>>();

/**
 * Makes the directory that holds `path` durable. A sync that has not begun yet serves all who ask meanwhile: many
 * files made at once in one directory need only a few.
 */
export function syncDirectory(engine: Engine, path: string): Promise<void> {
  const { directory } = splitPath(path);
  let all = underWay.get(engine);
  if (!all) underWay.set(engine, all = new Map());
  const syncing = all.get(directory);
  if (!syncing) {
    const first: Syncing = { now: syncOnce(engine, directory), next: undefined };
    all.set(directory, first);
    follow(all, directory, first);
    return first.now;
  }
  return syncing.next ??= syncing.now.catch(() => {}).then(() => syncOnce(engine, directory));
}

/** When a sync is over the next one becomes the current one, until nobody asked for another. */
async function follow(
  all: Map<string, Syncing>,
  directory: string,
  syncing: Syncing,
): Promise<void> {
  while (true) {
    await syncing.now.catch(() => {});
    if (!syncing.next) break;
    syncing.now = syncing.next;
    syncing.next = undefined;
  }
  all.delete(directory);
}

/** Opens a directory, makes it durable, and closes it. */
async function syncOnce(engine: Engine, directory: string): Promise<void> {
  const flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  const fd = await run(engine, {
    op: "open",
    directory: AT_FDCWD,
    name: directory,
    flags,
    mode: 0,
  });
  // A directory that may be written to but not read cannot be opened to be synced.
  if (fd === -Errno.EACCES) return;
  unwrap(fd, "open", directory);
  try {
    const result = await run(engine, { op: "sync", fd, dataOnly: false });
    // Some file systems have no sync for directories, as fsync(2) says: EINVAL.
    if (result !== -Errno.EINVAL) unwrap(result, "sync", directory);
  } finally {
    engine.closeNow(fd);
  }
}
