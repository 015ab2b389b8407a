// Tests Direct I/O on a path, instead of guessing from the name of its file system.
import { DmaFile, engineInfo } from "../mod.ts";
import { isNoCow } from "./descriptor.ts";
import { describe } from "./output.ts";
import { type BrokenPromise, brokenPromises, content, isContent } from "./promise_probe.ts";
import { ScratchDirectory, scratchPath } from "./scratch_directory.ts";
import { isKernelView, isServed, type Mount, mountOf } from "./system_facts.ts";

const PROBE_BYTES = 1024 * 1024;

export interface DirectProbe {
  /** The path, as it was given. */
  path: string;
  /** The kind of the path. Only files and directories can be tested. */
  kind: "directory" | "file" | "other" | null;
  mount: Mount | null;
  /** The engine that reads and writes its files; null if no file could be opened. */
  engine: DmaFile["engine"] | null;
  /** Whether its files are read and written with Direct I/O; null if no file could be opened. */
  direct: boolean | null;
  /** The reason if there is no Direct I/O. */
  reason: string | null;
  /** The alignment that Direct I/O requires, in bytes. */
  alignment: { memory: number; offset: number } | null;
  /** The smallest and the largest atomic write in bytes; both 0 if there is none. */
  atomicWrite: { min: number; max: number } | null;
  /** Whether files are written in place (chattr +C); null except on btrfs. */
  noCow: boolean | null;
  /** The tests that were done, such as "wrote, synced and read back 1 MiB". */
  tried: string | null;
  /** The promises that this file system breaks. */
  broken: BrokenPromise[];
  /** The reason if the path could not be tested. */
  error: string | null;
}

/** Tests a directory with a temporary file, and a file by reading its beginning. */
export async function probe(path: string): Promise<DirectProbe> {
  const result: DirectProbe = {
    path,
    kind: null,
    mount: null,
    engine: null,
    direct: null,
    reason: null,
    alignment: null,
    atomicWrite: null,
    noCow: null,
    tried: null,
    broken: [],
    error: null,
  };
  try {
    const info = await Deno.stat(path);
    result.kind = info.isDirectory ? "directory" : info.isFile ? "file" : "other";
    result.mount = await mountOf(path);
    if (result.kind === "file") await tryFile(path, result);
    else if (result.kind !== "directory") {
      result.error = "It is neither a directory nor a regular file";
    } else if (!result.mount || !isKernelView(result.mount)) await tryDirectory(path, result);
    else result.error = `${result.mount.type} shows the state of the kernel, and stores no files`;
  } catch (error) {
    result.error = describe(error);
  }
  return result;
}

async function tryDirectory(path: string, result: DirectProbe): Promise<void> {
  // Some servers of files have no directories. The files are then made beside the others.
  await using scratch = await ScratchDirectory.in(path, "doctor").catch(() => undefined);
  const name = scratch ? `${scratch.path}/file` : scratchPath(path, "doctor");
  try {
    await using file = await DmaFile.create(name);
    await learn(file, name, result);
    const buffer = file.allocBuffer(file.alignUp(PROBE_BYTES));
    const { length } = buffer;
    buffer.bytes.set(content(length));
    await file.writeAt(buffer, 0);
    await file.sync();
    if (!isContent(await file.readAt(0, length), length)) {
      throw new Error("What was read back differs from what was written");
    }
    // Without io_uring threads perform the calls for disks too.
    const { mount } = result;
    const maybeServed = !mount || isServed(mount) || engineInfo().engine === "io_uring";
    result.broken = await brokenPromises(name, file.engine === "threads" && maybeServed);
    result.tried = "wrote, synced and read back 1 MiB, then files of odd length and an atomic one";
  } finally {
    await Deno.remove(name).catch(() => {});
  }
}

async function tryFile(path: string, result: DirectProbe): Promise<void> {
  await using file = await DmaFile.open(path);
  await learn(file, path, result);
  const bytes = await file.readAt(0, PROBE_BYTES);
  result.tried = `read ${bytes.length} bytes`;
}

async function learn(file: DmaFile, path: string, result: DirectProbe): Promise<void> {
  // It opens the path, and a FIFO would block it.
  if (result.mount?.type === "btrfs") result.noCow = isNoCow(path);
  result.engine = file.engine;
  result.direct = file.direct;
  result.alignment = { memory: file.alignment.memory, offset: file.alignment.offset };
  result.atomicWrite = { min: file.atomicWrite.min, max: file.atomicWrite.max };
  if (file.direct) return;
  try {
    await (await DmaFile.open(path, { direct: "require" })).close();
  } catch (error) {
    // The message must not name the test file, which is removed.
    result.reason = describe(error).replace(/: open '.*?'/s, "");
  }
}
