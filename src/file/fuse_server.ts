// Which program serves a FUSE file system. The kernel's list of mounts tells.

import { type Engine, run } from "../engine/engine.ts";
import { AT_FDCWD, O_CLOEXEC, O_RDONLY } from "../engine/linux.ts";
import type { StatFacts } from "./stat.ts";

const READ_BYTES = 4096;

/**
 * What the server of a file calls itself: "sshfs" of the type fuse.sshfs, and "mfs" of the type fuse with the source
 * mfs#host:port. Undefined if it is not known.
 */
export async function findServer(engine: Engine, facts: StatFacts): Promise<string | undefined> {
  const mounts = await readMounts(engine);
  return mounts === undefined ? undefined : serverIn(mounts, facts);
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

async function readMounts(engine: Engine): Promise<string | undefined> {
  const name = "/proc/self/mountinfo";
  const flags = O_RDONLY | O_CLOEXEC;
  const fd = await run(engine, { op: "open", directory: AT_FDCWD, name, flags, mode: 0 });
  if (fd < 0) return undefined;
  const memory = engine.acquire(READ_BYTES);
  const decoder = new TextDecoder();
  let text = "";
  try {
    for (let position = 0;;) {
      const range = { memory, offset: 0, length: READ_BYTES, position };
      const read = await run(engine, { op: "read", fd, ...range });
      if (read <= 0) return text;
      // Copied: TextDecoder may keep its argument, and the block is released.
      text += decoder.decode(memory.bytes.slice(0, read), { stream: true });
      position += read;
    }
  } finally {
    engine.release(memory);
    await run(engine, { op: "close", fd });
  }
}
