// Facts that the kernel returns at once, without a server or a disk.

import { addressOf } from "../../ffi/address.ts";
import type { Shim } from "../../ffi/shim.ts";
import { AT_FDCWD, O_CLOEXEC, O_RDONLY, Opcode } from "./linux.ts";

/** The kernel's release, as "6.1.0-18-amd64". */
export function kernelRelease(shim: Shim): string {
  const bytes = new Uint8Array(4096);
  shim.dma_call(Opcode.UNAME, -1, addressOf(bytes), 0, 0, 0);
  // struct utsname: fields of 65 bytes, the release is the third.
  const release = bytes.subarray(2 * 65, 3 * 65);
  return new TextDecoder().decode(release.subarray(0, release.indexOf(0)));
}

/** The arguments with which Deno restarts a program: `deno watch`, or an option of another command. */
const STARTS_ANEW = /^(watch$|--watch|--hmr|--unstable-hmr)/;

function isMainThread(shim: Shim): boolean {
  return shim.dma_call(Opcode.IS_MAIN_THREAD, -1, 0, 0, 0, 0) === 1;
}

/** Whether this is an isolate of `deno test` or `deno bench`. */
export function isTest(shim: Shim): boolean {
  return !isMainThread(shim) && !("DedicatedWorkerGlobalScope" in globalThis);
}

/**
 * Whether this isolate ends only with the process. A read in flight at the end of any other isolate, such as a Worker,
 * those of `deno test` and `deno bench`, and a program that Deno restarts, would write to memory that has a new owner.
 */
export function endsWithProcess(shim: Shim): boolean {
  if (!isMainThread(shim)) return false;
  const words = readKernelFile(shim, "/proc/self/cmdline")?.split("\0");
  // A program that sets `process.title` overwrites the text by it and by NULs.
  if (!words?.[1]) return words !== undefined && !watchesFiles(shim);
  // The last parts are the program's own arguments, unless it has changed the list, and the text after the last NUL.
  const { args } = Deno;
  const areLast = args.every((arg, index) => arg === words.at(index - args.length - 1));
  const ofDeno = words.slice(0, areLast ? -args.length - 1 : -1);
  return !ofDeno.some((word) => STARTS_ANEW.test(word));
}

/** Whether the process uses inotify(7), by which Deno waits for changes of the files of a program. */
function watchesFiles(shim: Shim): boolean {
  const bytes = new Uint8Array(128);
  const address = addressOf(bytes);
  // Deno has a low number for it, because it begins to wait before the program runs.
  for (let fd = 0; fd < 256; fd++) {
    new TextEncoder().encodeInto(`/proc/self/fd/${fd}\0`, bytes);
    const length = shim.dma_call(Opcode.READLINK, AT_FDCWD, address, 64, address + 64, 0);
    const target = bytes.subarray(64, 64 + Math.max(0, length));
    if (new TextDecoder().decode(target) === "anon_inode:inotify") return true;
  }
  return false;
}

/** The text of a file that the kernel has in memory; undefined if it cannot be opened. */
export function readKernelFile(shim: Shim, path: string): string | undefined {
  // A larger buffer could fail for lack of memory.
  const bytes = new Uint8Array(4096);
  const address = addressOf(bytes);
  new TextEncoder().encodeInto(`${path}\0`, bytes);
  const fd = shim.dma_call(Opcode.OPENAT, AT_FDCWD, address, 0, 0, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return undefined;
  const decoder = new TextDecoder();
  let text = "";
  for (let position = 0;;) {
    const length = shim.dma_call(Opcode.READ, fd, address, bytes.length, position, 0);
    if (length <= 0) break;
    text += decoder.decode(bytes.subarray(0, length), { stream: true });
    position += length;
  }
  shim.dma_call(Opcode.CLOSE, fd, 0, 0, 0, 0);
  return text;
}
