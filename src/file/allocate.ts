// Reserves space of a file, and frees it.

import { Errno, FALLOC_FL_KEEP_SIZE } from "../engine/linux.ts";
import type { DmaError } from "../errors.ts";
import { cutReserved } from "./cut.ts";
import type { OpenFile } from "./open_file.ts";

/**
 * With these errors fallocate(2) may have reserved a part. Seen on ext4: all that was left of the disk stays taken, and other
 * programs have no space.
 */
export const FULL: ReadonlySet<number> = new Set([Errno.ENOSPC, Errno.EDQUOT]);

/** fallocate(2) with a mode of `FALLOC_FL_*`. */
export function allocateSpace(
  file: OpenFile,
  mode: number,
  position: number,
  length: number,
): Promise<unknown> {
  const { descriptor, fd } = file;
  const end = mode & FALLOC_FL_KEEP_SIZE ? 0 : position + length;
  const operation = { op: "allocate", fd, mode, position, length } as const;
  return file.extend("allocate", end, () => descriptor.call("allocate", operation));
}

/** Reserves the first `length` bytes, or nothing behind the end of the file if there is no room for all of them. */
export function reserveSpace(file: OpenFile, length: number, keepSize: boolean): Promise<void> {
  return file.descriptor.use("allocate", async () => {
    const { sizeUpperBound } = file.length;
    try {
      await allocateSpace(file, keepSize ? FALLOC_FL_KEEP_SIZE : 0, 0, length);
    } catch (error) {
      if (FULL.has((error as DmaError).errno)) {
        await cutReserved(file, sizeUpperBound).catch(() => {});
      }
      throw error;
    }
  });
}
