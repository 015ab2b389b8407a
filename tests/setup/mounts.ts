// The kernel's list of mounts, for the names of test directories and for unmounting.

import { findMount, isWithin, type Mount, mountsIn } from "../../cli/system_facts.ts";
import { pause, run } from "./command.ts";

const mountinfo = () => Deno.readTextFileSync("/proc/self/mountinfo");

/** The mount points at or below a directory, the last one first. */
export function mountsBelow(directory: string): string[] {
  return mountsIn(mountinfo()).map(({ mountPoint }) => mountPoint)
    .filter((path) => isWithin(path, directory)).reverse();
}

export function isMounted(path: string): boolean {
  return mountsBelow(path).includes(path);
}

/** The mount of `path`, which is absolute and has no symbolic links. */
export function mountOf(path: string): Mount {
  return findMount(mountinfo(), path)!;
}

/**
 * Unmounts, as soon as nobody uses a file there any more: a process that was just killed may still hold one. Resolves to
 * whether nobody does within ten seconds. Else it is detached, and unmounted when its last user ends.
 */
export async function unmount(path: string): Promise<boolean> {
  for (let tried = 0; tried < 100; tried++) {
    if (!isMounted(path) || (await run("umount", [path])).success) return true;
    await pause(100);
  }
  await run("umount", ["--lazy", path]);
  return false;
}
