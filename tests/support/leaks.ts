// Counts what a process holds of the kernel's, which Deno's own sanitizers cannot see when native
// code took it.

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** What this process holds at one moment. */
export interface Holdings {
  /** Open descriptors. */
  readonly descriptors: number;
  /** What they lead to, and how many lead there. */
  readonly targets: ReadonlyMap<string, number>;
  /** Mapped ranges of memory. */
  readonly mappings: number;
  /** Bytes of physical memory (VmRSS). */
  readonly resident: number;
  /** Bytes pinned for the kernel's use, as registered buffers are (VmPin). */
  readonly pinned: number;
}

/** Bytes that the pool keeps for reuse. */
const KEPT = 32 << 20;

/** By how much each count may grow without being called a leak. */
export interface LeakTolerance {
  /** @default {0} */
  descriptors?: number;
  /** V8 maps and unmaps as it likes. @default {64} */
  mappings?: number;
  /** Bytes. @default {33554432} */
  resident?: number;
  /** What the pool keeps for reuse is pinned for the ring once it was used enough. @default {33554432} */
  pinned?: number;
}

/** Takes stock. Compare only after a first round of the same work: much is made once and kept. */
export function takeStock(): Holdings {
  const targets = openTargets();
  const status = Deno.readTextFileSync("/proc/self/status");
  return {
    descriptors: [...targets.values()].reduce((sum, count) => sum + count, 0),
    targets,
    mappings: Deno.readTextFileSync("/proc/self/maps").trimEnd().split("\n").length,
    resident: kibibytes(status, "VmRSS") * 1024,
    pinned: kibibytes(status, "VmPin") * 1024,
  };
}

/** Throws where `after` holds more than `before` by more than the tolerance, and says what. */
export function assertNoLeak(
  before: Holdings,
  after: Holdings,
  tolerance: LeakTolerance = {},
): void {
  const { descriptors = 0, mappings = 64, resident = KEPT, pinned = KEPT } = tolerance;
  const leaks: string[] = [];
  const compare = (what: string, was: number, is: number, allowed: number) => {
    if (is - was > allowed) leaks.push(`${what}: ${was}, then ${is}, and ${allowed} more allowed`);
  };
  compare("descriptors", before.descriptors, after.descriptors, descriptors);
  if (leaks.length > 0) {
    for (const [target, count] of after.targets) {
      const added = count - (before.targets.get(target) ?? 0);
      if (added > 0) leaks.push(`  ${added} more to ${target}`);
    }
  }
  compare("mappings", before.mappings, after.mappings, mappings);
  compare("resident bytes", before.resident, after.resident, resident);
  compare("pinned bytes", before.pinned, after.pinned, pinned);
  if (leaks.length > 0) throw new Error(`Something leaked:\n${leaks.join("\n")}`);
}

/**
 * Has V8 collect everything that is out of reach, and lets finalizers run. What they start may take
 * longer still: wait for its effect.
 */
export async function collectGarbage(): Promise<void> {
  setFlagsFromString("--expose-gc");
  const collect: () => void = runInNewContext("gc");
  // What an object's finalizer lets go of can be collected only the next time.
  for (let round = 0; round < 3; round++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
}

function openTargets(): Map<string, number> {
  const targets = new Map<string, number>();
  // All names first: the listing has a descriptor of its own, closed by the time the links are
  // read.
  for (const { name } of [...Deno.readDirSync("/proc/self/fd")]) {
    let target: string;
    try {
      target = Deno.readLinkSync(`/proc/self/fd/${name}`);
    } catch {
      continue;
    }
    // Sockets and pipes have numbers, which say nothing to a reader.
    target = target.replace(/:\[\d+\]$/, "");
    targets.set(target, (targets.get(target) ?? 0) + 1);
  }
  return targets;
}

function kibibytes(status: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s*(\\d+) kB$`, "m").exec(status)?.[1] ?? 0);
}
