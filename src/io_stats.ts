// ioStats: what this isolate's engine has done.

import { engineAtWork } from "./configure.ts";
import { type IoStats, newCounters } from "./engine/counters.ts";

export type { IoStats };

/** A snapshot of the counters. Cheap: no system call is made. */
export function ioStats(): IoStats {
  const engine = engineAtWork();
  const { mapped, used, blocks } = engine?.pool ?? { mapped: 0, used: 0, blocks: 0 };
  const counters = engine?.counters ?? newCounters();
  return { ...counters, poolBytes: mapped, poolBytesUsed: used, poolBuffers: blocks };
}
