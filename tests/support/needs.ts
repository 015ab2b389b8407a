// What tests need of the machine. A test whose need is missing is registered as ignored, and a line names it.

import { exists, hasProgram, say } from "../setup/command.ts";

/** Needs beside programs. */
const checks: Readonly<Record<string, () => boolean>> = {
  root: () => Deno.uid() === 0,
  loop: () => hasProgram("losetup") && exists("/dev/loop-control"),
  fuse: () => exists("/dev/fuse"),
  io_uring: ringIsAllowed,
};

/** Whether a ring can be created, without the module under test. */
function ringIsAllowed(): boolean {
  try {
    const { symbols } = Deno.dlopen("liburing.so.2", {
      io_uring_queue_init: { parameters: ["u32", "buffer", "u32"], result: "i32" },
      io_uring_queue_exit: { parameters: ["buffer"], result: "void" },
    });
    const ring = new Uint8Array(4096);
    const isAllowed = symbols.io_uring_queue_init(8, ring, 0) >= 0;
    if (isAllowed) symbols.io_uring_queue_exit(ring);
    return isAllowed;
  } catch {
    return false;
  }
}

const told = new Set<string>();

/** Whether this machine lacks one of these programs and {@linkcode checks}. A line names what it lacks. */
export function lacks(...needs: string[]): boolean {
  const missing = needs.filter((need) => !(checks[need] ?? (() => hasProgram(need)))());
  const line = `Skipped for want of ${missing.join(", ")}: tests of what needs it`;
  if (missing.length > 0 && !told.has(line)) say(line);
  told.add(line);
  return missing.length > 0;
}
