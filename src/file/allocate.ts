// Reserves and frees the space of a file.

import { errnos, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE } from "../engine/linux.ts";
import type { DmaError } from "../errors.ts";
import { cutReserved } from "./cut.ts";
import type { OpenFile } from "./open_file.ts";

/** After these errors fallocate(2) may have reserved a part. Seen on ext4: other programs then have no space. */
export const FULL: ReadonlySet<number> = errnos("ENOSPC", "EDQUOT");

export async function freeSpace(file: OpenFile, position: number, length: number): Promise<void> {
  const { descriptor, fd } = file;
  const mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  const operation = { op: "allocate", fd, mode, position, length } as const;
  const free = () => descriptor.call("allocate", operation);
  await descriptor.use("allocate", () => file.change(0, 0, free));
}

/** Reserves the first `length` bytes. Without enough room nothing stays reserved past the end of the file. */
export function reserveSpace(file: OpenFile, length: number, keepSize: boolean): Promise<void> {
  const { descriptor, fd } = file;
  const mode = keepSize ? FALLOC_FL_KEEP_SIZE : 0;
  const operation = { op: "allocate", fd, mode, position: 0, length } as const;
  return descriptor.use("allocate", async () => {
    let cut: Promise<void> | undefined;
    await file.change(0, keepSize ? 0 : length, async () => {
      const before = file.length.sizeNow;
      try {
        await descriptor.call("allocate", operation);
      } catch (error) {
        const mayHaveReserved = FULL.has((error as DmaError).errno) && before !== undefined;
        // Within the change: a writer that opens after it would take the reserved space for content.
        if (mayHaveReserved) cut = cutReserved(file, before).catch(() => {});
        throw error;
      }
    }).finally(() => cut);
  });
}
