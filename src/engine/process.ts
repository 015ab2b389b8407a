// Facts that the kernel returns at once, without a server or a disk.

import { addressOf } from "../../ffi/address.ts";
import type { Shim } from "../../ffi/shim.ts";
import { attempt } from "./engine.ts";
import { AT_FDCWD, O_CLOEXEC, O_RDONLY, Opcode, PATH_MAX } from "./linux.ts";
import { placePath } from "./sqe.ts";

/** Memory for a path of a call on this thread, and for what the call writes. */
const memory = new Uint8Array(2 * PATH_MAX);

/** For paths: a lenient decoder would return the path of another file. */
const strictDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** It never changes. */
let memoryAddress = 0;

/** The address of a path for the next call on this thread. */
export function addressOfPath(path: string): number {
  placePath(memory, path, 0);
  return memoryAddress ||= addressOf(memory);
}

/** As `Engine.realPath`. */
export function realPathOf({ dma_call }: Shim, fd: number): string | undefined {
  const address = addressOfPath(`/proc/self/fd/${fd}`);
  const length = dma_call(Opcode.READLINK, AT_FDCWD, address, PATH_MAX, address + PATH_MAX, 0);
  const real = memory.subarray(PATH_MAX, PATH_MAX + Math.max(0, length));
  const path = attempt(() => strictDecoder.decode(real));
  return length > 0 && typeof path === "string" ? path : undefined;
}

/** The kernel's release, as "6.1.0-18-amd64". */
export function kernelRelease(shim: Shim): string {
  shim.dma_call(Opcode.UNAME, -1, addressOf(memory), 0, 0, 0);
  // struct utsname: fields of 65 bytes, the release is the third.
  const release = memory.subarray(2 * 65, 3 * 65);
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
  // A program that sets `process.title` overwrites the text with the title and NULs.
  if (!words?.[1]) return words !== undefined && !watchesFiles(shim);
  // Leaves out the empty word at the end and, unless the program has changed them, its own arguments before it.
  const { args } = Deno;
  const areLast = args.every((arg, index) => arg === words.at(index - args.length - 1));
  const ofDeno = words.slice(0, areLast ? -args.length - 1 : -1);
  return !ofDeno.some((word) => STARTS_ANEW.test(word));
}

/** Whether the process uses inotify(7), by which Deno waits for changes of the files of a program. */
function watchesFiles(shim: Shim): boolean {
  // The number is low, because Deno begins to watch before the program runs.
  for (let fd = 0; fd < 256; fd++) if (realPathOf(shim, fd) === "anon_inode:inotify") return true;
  return false;
}

/** The text of a file that the kernel has in memory; undefined if it cannot be opened. */
export function readKernelFile(shim: Shim, path: string): string | undefined {
  const address = addressOfPath(path);
  const fd = shim.dma_call(Opcode.OPENAT, AT_FDCWD, address, 0, 0, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return undefined;
  const decoder = new TextDecoder();
  let text = "";
  for (let position = 0;;) {
    const length = shim.dma_call(Opcode.READ, fd, address, memory.length, position, 0);
    if (length <= 0) break;
    text += decoder.decode(memory.subarray(0, length), { stream: true });
    position += length;
  }
  shim.dma_call(Opcode.CLOSE, fd, 0, 0, 0, 0);
  return text;
}
