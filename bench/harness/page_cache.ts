// Asks how much of a file is in the page cache, and drops a file from it.

import { tryCommand } from "./measured_process.ts";

/** Bytes of a file that are in the page cache; undefined if fincore is not installed. */
export async function cachedBytes(path: string): Promise<number | undefined> {
  const shown = await tryCommand(["fincore", "--bytes", "--noheadings", "--output", "RES", path]);
  return shown === undefined ? undefined : Number(shown);
}

/** Drops a file from the page cache, so that the next reader has to go to the disk. */
export async function dropFromCache(path: string): Promise<void> {
  // dd with these options calls posix_fadvise(POSIX_FADV_DONTNEED) on the whole file.
  await tryCommand(["dd", `of=${path}`, "oflag=nocache", "conv=notrunc,fdatasync", "count=0"]);
  const left = await cachedBytes(path);
  // A file on tmpfs is always in the page cache.
  if (left && await fileSystemOf(path) === "tmpfs") return;
  if (left) throw new Error(`Cannot drop ${path} from the page cache: ${left} bytes stay`);
}

async function fileSystemOf(path: string): Promise<string | undefined> {
  return await tryCommand(["stat", "--file-system", "--format=%T", path]);
}

/** Removes the file of a run, and waits until its space is freed, so that the next run does not pay for it. */
export async function removeWritten(path: string, directory: string): Promise<void> {
  await Deno.remove(path, { recursive: true }).catch(() => {});
  await tryCommand(["sync", "--file-system", directory]);
}
