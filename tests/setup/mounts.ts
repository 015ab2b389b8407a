// The kernel's list of mounts, for the names of test directories and for unmounting.

import { findMount, type Mount, mountsIn } from "../../cli/system_facts.ts";

const mountinfo = () => Deno.readTextFileSync("/proc/self/mountinfo");

/** Every mount of this process, in the order of mounting. */
export function listMounts(): Mount[] {
  return mountsIn(mountinfo());
}

export function isMounted(path: string): boolean {
  return listMounts().some(({ mountPoint }) => mountPoint === path);
}

/** The mount of `path`, which is absolute and has no symbolic links. */
export function mountOf(path: string): Mount {
  return findMount(mountinfo(), path)!;
}
