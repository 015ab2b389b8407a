// The files of the benchmarks: the source is written once, out of the page cache before each run, and what a run has
// written is removed.

import { cachedBytes } from "../../tests/setup/command.ts";
import { warmChunk } from "../programs/measure.mjs";
import { tryCommand } from "./measured_process.ts";
import { MIB } from "./units.ts";

/** Writes a durable file of `size` bytes without zeros, for which a layer might take a shortcut. */
export async function writeSource(path: string, size: number): Promise<void> {
  using file = await Deno.open(path, { write: true, createNew: true });
  const chunk: Uint8Array = warmChunk(MIB);
  for (let left = size; left > 0;) {
    left -= await file.write(chunk.subarray(0, Math.min(left, chunk.length)));
  }
  await file.sync();
}

/** Drops a file from the page cache, so that the next reader has to go to the disk. */
export async function dropFromCache(path: string): Promise<void> {
  // dd with these options calls posix_fadvise(POSIX_FADV_DONTNEED) on the whole file.
  await tryCommand(["dd", `of=${path}`, "oflag=nocache", "conv=notrunc,fdatasync", "count=0"]);
  const left = await cachedBytes(path);
  if (!left) return;
  const fileSystem = await tryCommand(["stat", "--file-system", "--format=%T", path]);
  // A file on tmpfs is always in the page cache.
  if (fileSystem !== "tmpfs") {
    throw new Error(`Cannot drop ${path} from the page cache: ${left} bytes stay`);
  }
}

/** Removes the file of a run, and waits until its space is freed, so that the next run does not pay for it. */
export async function removeWritten(path: string, directory: string): Promise<void> {
  await Deno.remove(path, { recursive: true }).catch(() => {});
  await tryCommand(["sync", "--file-system", directory]);
}
