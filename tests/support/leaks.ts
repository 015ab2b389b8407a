// Counts the kernel resources of this process. Deno's own sanitizers do not see those of native code.

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { openTargets } from "./descriptors.ts";

export interface Holdings {
  readonly descriptors: number;
  /** The targets of the descriptors, and the number of descriptors for each. */
  readonly targets: ReadonlyMap<string, number>;
  readonly mappings: number;
  /** Bytes of physical memory (VmRSS). */
  readonly resident: number;
  /** Bytes pinned for the kernel's use, as registered buffers are (VmPin). */
  readonly pinned: number;
}

/** Bytes that the pool keeps for reuse. */
const KEPT = 32 << 20;

/** The growth of each count that is not reported as a leak. */
export interface LeakTolerance {
  /** @default {0} */
  descriptors?: number;
  /** V8 maps and unmaps memory at any time. @default {64} */
  mappings?: number;
  /** Bytes. @default {33554432} */
  resident?: number;
  /** Bytes. The pool's buffers are pinned for the ring after enough use. @default {33554432} */
  pinned?: number;
}

/** Counts the resources. Compare only after a first round of the same work, because many are made once and kept. */
export function takeStock(): Holdings {
  // The numbers of sockets and pipes would make all targets different.
  const names = openTargets().map((target) => target.replace(/:\[\d+\]$/, ""));
  const targets = new Map(
    Object.entries(Object.groupBy(names, (name) => name)).map(([name, all]) => [name, all!.length]),
  );
  const status = Deno.readTextFileSync("/proc/self/status");
  return {
    descriptors: names.length,
    targets,
    mappings: Deno.readTextFileSync("/proc/self/maps").trimEnd().split("\n").length,
    resident: kibibytes(status, "VmRSS") * 1024,
    pinned: kibibytes(status, "VmPin") * 1024,
  };
}

/** Throws if a count of `after` exceeds that of `before` by more than the tolerance. The error names the leaks. */
export function assertNoLeak(
  before: Holdings,
  after: Holdings,
  tolerance: LeakTolerance = {},
): void {
  const { descriptors = 0, mappings = 64, resident = KEPT, pinned = KEPT } = tolerance;
  const leaks: string[] = [];
  const compare = (what: string, was: number, is: number, allowed: number) => {
    if (is - was > allowed) leaks.push(`${what}: ${was}, then ${is}; ${allowed} more are allowed`);
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
  if (leaks.length > 0) throw new Error(`Leaked:\n${leaks.join("\n")}`);
}

/**
 * Makes V8 collect all unreachable objects, and lets finalizers run. Their operations may take longer: wait for the
 * effect.
 */
export async function collectGarbage(): Promise<void> {
  setFlagsFromString("--expose-gc");
  const collect: () => void = runInNewContext("gc");
  // Objects that a finalizer releases can be collected only in the next round.
  for (let round = 0; round < 3; round++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
}

function kibibytes(status: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s*(\\d+) kB$`, "m").exec(status)?.[1] ?? 0);
}
