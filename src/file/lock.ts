// Advisory locks on a whole file (flock(2)).

import { inTurn, run } from "../engine/engine.ts";
import { pauseFor } from "../engine/event_loop.ts";
import { Errno, LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN } from "../engine/linux.ts";
import { ioError } from "../errors.ts";
import type { OpenFile } from "./open_file.ts";

const FIRST_PAUSE_MS = 1;
const LONGEST_PAUSE_MS = 50;

/** Resolves to whether the lock was taken. If so, `owner` is kept from being collected. */
export async function tryLock(
  file: OpenFile,
  owner: object,
  exclusive: boolean,
  signal?: AbortSignal,
): Promise<boolean> {
  const operation = (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB;
  const { descriptor, engine, fd, fileSystem } = file;
  const take = () => {
    signal?.throwIfAborted();
    return run(engine, { op: "lock", fd, operation });
  };
  // Two threads could swap the calls of a program that does not wait for the first one.
  const result = await descriptor.use("lock", () => inTurn(descriptor, take));
  const isHeld = result === -Errno.EAGAIN ||
    (result === -Errno.EACCES && fileSystem.deniesHeldLock);
  if (result < 0 && !isHeld) {
    // NFS 4 emulates an exclusive lock by a byte-range lock, which requires a file that is open for writing (flock(2)).
    const lacksWrite = result === -Errno.EBADF && exclusive && !file.writable;
    const why = lacksWrite ? "an exclusive lock on this file system needs write: true" : "";
    throw ioError(-result, "lock", file.path, why);
  }
  // An attempt to make a shared lock exclusive has released it first (flock(2)).
  file.lockHolder = isHeld ? undefined : owner;
  return !isHeld;
}

/** Waits for the lock. It polls, because threads are few, and the holder may need one to release the lock. */
export async function lock(
  file: OpenFile,
  owner: object,
  exclusive: boolean,
  signal: AbortSignal | undefined,
): Promise<void> {
  for (let pause = FIRST_PAUSE_MS;; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
    if (await tryLock(file, owner, exclusive, signal)) return;
    await pauseFor(pause, signal);
  }
}

export async function unlock(file: OpenFile): Promise<void> {
  const { descriptor, fd } = file;
  const release = () => descriptor.call("unlock", { op: "lock", fd, operation: LOCK_UN });
  await descriptor.use("unlock", () => inTurn(descriptor, release));
  file.lockHolder = undefined;
}
