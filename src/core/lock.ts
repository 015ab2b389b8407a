// Advisory locks on a whole file, as flock(2) has them.

import { run } from "../engine/engine.ts";
import { Errno, LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN } from "../engine/linux.ts";
import { unwrap } from "../errors.ts";
import type { Handle } from "./handle.ts";

/** Milliseconds between two tries for a lock: at first, and at most. */
const RETRY_MS = [1, 50] as const;

/** Resolves to whether the lock was given. */
export async function tryLock(handle: Handle, exclusive: boolean): Promise<boolean> {
  const operation = (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB;
  const { engine, fd } = handle;
  const result = await handle.during(
    "lock",
    () => run(engine, { op: "lock", fd, operation }),
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
  await handle.run("unlock", { op: "lock", fd: handle.fd, operation: LOCK_UN });
}
