// Reserves space of a file, and frees it.

import { FALLOC_FL_KEEP_SIZE } from "../engine/linux.ts";
import type { OpenFile } from "./open_file.ts";

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
