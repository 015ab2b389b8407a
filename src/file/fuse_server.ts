// Which program serves a FUSE file system. The kernel's list of mounts tells.

import type { Engine } from "../engine/engine.ts";
import { readKernelText } from "./kernel_text.ts";
import type { StatFacts } from "./stat.ts";

/**
 * What the server of a file calls itself: "sshfs" of the type fuse.sshfs, and "mfs" of the type fuse with the source
 * mfs#host:port. Undefined if it is not known.
 */
export async function findServer(engine: Engine, facts: StatFacts): Promise<string | undefined> {
  return serverIn(await readKernelText(engine, "/proc/self/mountinfo"), facts);
}

/** As {@linkcode findServer}, in the text of /proc/self/mountinfo. */
export function serverIn(
  mounts: string,
  { deviceMajor, deviceMinor }: Pick<StatFacts, "deviceMajor" | "deviceMinor">,
): string | undefined {
  for (const line of mounts.split("\n")) {
    // proc_pid_mountinfo(5): id, parent, major:minor, root, mount point, options, optional fields, "-", type, source, options.
    const [left = "", right = ""] = line.split(" - ");
    if (left.split(" ")[2] !== `${deviceMajor}:${deviceMinor}`) continue;
    const [type = "", source = ""] = right.split(" ");
    const [, subtype] = type.split(".");
    return subtype ?? source.split("\\043")[0]; // A number sign.
  }
  return undefined;
}
