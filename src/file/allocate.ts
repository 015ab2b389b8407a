// Reserves space of a file, and frees it.

import { FALLOC_FL_KEEP_SIZE } from "../engine/linux.ts";
import { keepAppended, limitBound } from "./cut.ts";
import type { OpenFile } from "./open_file.ts";

/** fallocate(2) with a mode of `FALLOC_FL_*`. */
export function allocateSpace(
  file: OpenFile,
  mode: number,
  position: number,
  length: number,
): Promise<void> {
  const { descriptor, fd } = file;
  const end = mode & FALLOC_FL_KEEP_SIZE ? 0 : position + length;
  const operation = { op: "allocate", fd, mode, position, length } as const;
  return descriptor.use("allocate", () => {
    if (end > 0) keepAppended(file);
    return file.length.withWrite(end, async () => {
      try {
        await descriptor.call("allocate", operation);
      } finally {
        file.durability.noteChange();
      }
    }).catch((error) => {
      // Space that was not reserved must not be cut.
      limitBound(file);
      throw error;
    });
  });
}
