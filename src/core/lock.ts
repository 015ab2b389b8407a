// Advisory locks on a whole file, as flock(2) has them.

import { outcome } from "../engine/engine.ts";
import { Errno, unwrap } from "../errors.ts";
import type { Handle } from "./handle.ts";

const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;
const LOCK_UN = 8;
/** Milliseconds between two tries for a lock: at first, and at most. */
const RETRY_MS = [1, 50] as const;

/** Resolves to whether the lock was given. */
export async function tryLock(handle: Handle, exclusive: boolean): Promise<boolean> {
  const operation = (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB;
  const { engine, fd } = handle;
  const result = await handle.during(
    "lock",
    () => outcome((done) => engine.lock(fd, operation, done)),
  );
  if (result === -Errno.EAGAIN) return false;
  unwrap(result, "lock", handle.path);
  return true;
}

/** Waits for the lock. No thread is parked in flock: there are only a few, and the holder may need one to let go. */
export async function lock(handle: Handle, exclusive: boolean): Promise<void> {
  const [first, longest] = RETRY_MS;
  let wait: number = first;
  while (!await tryLock(handle, exclusive)) {
    await new Promise((resolve) => setTimeout(resolve, wait));
    wait = Math.min(wait * 2, longest);
  }
}

/** Gives it back. */
export async function unlock(handle: Handle): Promise<void> {
  await handle.run("unlock", (done) => handle.engine.lock(handle.fd, LOCK_UN, done));
}
