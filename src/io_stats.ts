// ioStats: what this isolate's engine has done.

import { engineAtWork } from "./configure.ts";
import { type IoStats, newCounters } from "./engine/counters.ts";

export type { IoStats };

/**
 * A snapshot of the counters. Cheap: no system call is made.
 *
 * @example Count the writes of a file
 * ```ts
 * import { DmaFile, ioStats } from "@denodma/dma";
 *
 * const before = ioStats();
 * const file = await DmaFile.create("counted.bin");
 * await new Blob([new Uint8Array(5_000_000)]).stream().pipeTo(file.writable);
 * console.log(ioStats().writes - before.writes, ioStats().bytesWritten - before.bytesWritten);
 * ```
 */
export function ioStats(): IoStats {
  const engine = engineAtWork();
  const { mapped, used, blocks } = engine?.pool ?? { mapped: 0, used: 0, blocks: 0 };
  const counters = engine?.counters ?? newCounters();
  return { ...counters, poolBytes: mapped, poolBytesUsed: used, poolBuffers: blocks };
}
