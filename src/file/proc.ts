// Finds servers, swap files and capabilities in /proc. The reads do not block: the kernel may take long to list them.

import { run } from "../engine/engine.ts";
import { AT_FDCWD, O_CLOEXEC, O_RDONLY } from "../engine/linux.ts";
import { ioError, throwIfLacking } from "../errors.ts";
import type { Handle, StatFacts } from "./stat.ts";

const READ_BYTES = 4096;

/** A FUSE server: "sshfs" for the type fuse.sshfs, "mfs" for the source mfs#host:port. "9p" for a mount of 9p. */
export async function findServer(handle: Handle, facts: StatFacts): Promise<string | undefined> {
  const { deviceMajor, deviceMinor } = facts;
  return serverIn(await readText(handle, "/proc/self/mountinfo"), `${deviceMajor}:${deviceMinor}`);
}

/** As {@linkcode findServer}, in the text of /proc/self/mountinfo (proc_pid_mountinfo(5)). */
export function serverIn(mounts: string, device: string): string | undefined {
  for (const line of mounts.split("\n")) {
    // Id, parent, major:minor, root, mount point, options, optional fields, "-", type, source, options.
    const [left = "", right = ""] = line.split(" - ");
    if (left.split(" ")[2] !== device) continue;
    const [type = "", source = ""] = right.split(" ");
    if (type === "9p") return type;
    const [, subtype] = type.split(".");
    return subtype ?? source.split("\\043")[0]; // A number sign.
  }
  return undefined;
}

/** Whether the system swaps to the file with this real path (proc_swaps(5)). */
export async function isSwapFile(handle: Handle, path: string | undefined): Promise<boolean> {
  // The kernel escapes these characters there.
  const escape = (char: string) => `\\${char.charCodeAt(0).toString(8).padStart(3, "0")}`;
  const shown = path?.replace(/[ \t\n\\]/g, escape);
  const swaps = await readText(handle, "/proc/swaps");
  return swaps.split("\n").some((line) => line.split(/\s/, 1)[0] === shown);
}

/** Whether this process acts as a file's owner: CAP_FOWNER, bit 3 in capabilities(7). True if it is not known. */
export async function actsAsOwner(handle: Handle): Promise<boolean> {
  const status = await readText(handle, "/proc/self/status");
  const [, effective = "8"] = /^CapEff:\s*([0-9a-f]+)$/m.exec(status) ?? [];
  return (parseInt(effective.slice(-1), 16) & 8) !== 0;
}

/** The text of a kernel file; empty if it cannot be read. Throws if memory or descriptors are lacking. */
async function readText({ engine, path }: Handle, name: string): Promise<string> {
  const memory = engine.acquire(READ_BYTES);
  try {
    const how = { flags: O_RDONLY | O_CLOEXEC, mode: 0, resolve: 0 };
    const fd = await run(engine, { op: "open", directory: AT_FDCWD, name, ...how });
    const decoder = new TextDecoder();
    let text = "";
    let result = fd;
    for (let position = 0; fd >= 0; position += result) {
      // At once on a kernel thread: a file that can be polled, as /proc/swaps, is always ready, and its read in the
      // submission fails 128 times before io_uring uses one.
      const range = { memory, offset: 0, length: READ_BYTES, position, waits: true };
      result = await run(engine, { op: "read", fd, ...range });
      // `unload` unmaps the memory before the promise is settled.
      if (result <= 0 || memory.bytes.length === 0) break;
      // Copied: TextDecoder may keep its argument, and the memory is released.
      text += decoder.decode(memory.bytes.slice(0, result), { stream: true });
    }
    if (fd >= 0) engine.runNow({ op: "close", fd });
    if (result < 0) throwIfLacking(ioError(-result, "open", path, `${name} cannot be read`));
    return text;
  } finally {
    engine.release(memory);
  }
}
