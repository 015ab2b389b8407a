// Counts the kernel resources of this process, and finds its descriptors that lead to a file, to prove that they were closed.
// Deno's own sanitizers do not see those of native code.

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { eventually } from "../setup/command.ts";

export type Holdings = Readonly<ReturnType<typeof takeStock>>;

/** The growth of each count that is not reported as a leak. */
const DEFAULT_TOLERANCE = {
  descriptors: 0,
  // V8 maps and unmaps memory at any time.
  mappings: 64,
  // The pool keeps so many bytes for reuse, and pins them for the ring after enough use.
  resident: 32 << 20,
  pinned: 32 << 20,
};

/** Counts the resources. Compare only after a first round of the same work, because many are made once and kept. */
export function takeStock() {
  const targets = openTargets().sort();
  const status = Deno.readTextFileSync("/proc/self/status");
  return {
    descriptors: targets.length,
    targets,
    mappings: Deno.readTextFileSync("/proc/self/maps").trimEnd().split("\n").length,
    /** Bytes of physical memory. */
    resident: kibibytes(status, "VmRSS") * 1024,
    /** Bytes pinned for the kernel's use, as registered buffers are. */
    pinned: kibibytes(status, "VmPin") * 1024,
  };
}

/** Throws if a count of `after` exceeds that of `before` by more than the tolerance. */
export function assertNoLeak(
  before: Holdings,
  after: Holdings,
  tolerance: Partial<typeof DEFAULT_TOLERANCE> = {},
): void {
  const allowed = { ...DEFAULT_TOLERANCE, ...tolerance };
  const names = Object.keys(allowed) as (keyof typeof allowed)[];
  const leaks = names.filter((name) => after[name] - before[name] > allowed[name])
    .map((name) =>
      `${name}: ${before[name]}, then ${after[name]}; ${allowed[name]} more are allowed`
    );
  if (leaks.length === 0) return;
  const added = [...after.targets];
  for (const target of before.targets) {
    const at = added.indexOf(target);
    if (at >= 0) added.splice(at, 1);
  }
  throw new Error(`Leaked:\n${leaks.join("\n")}\nnew descriptors: ${added.join(", ")}`);
}

/** The number of descriptors that lead to `path`, which may have been removed. */
export function descriptorsOf(path: string): number {
  const slash = path.lastIndexOf("/");
  const real = Deno.realPathSync(path.slice(0, slash)) + path.slice(slash);
  return openTargets().filter((target) => target === real).length;
}

/** The targets of the descriptors that lead to `directory` or into it, files without a name included. */
export function descriptorTargets(directory: string): string[] {
  const real = Deno.realPathSync(directory);
  return openTargets().filter((target) => target === real || target.startsWith(`${real}/`));
}

/** The number of descriptors that lead into `directory`, files without a name included. */
export function descriptorsIn(directory: string): number {
  const real = Deno.realPathSync(directory);
  return descriptorTargets(directory).filter((target) => target !== real).length;
}

/** All descriptors: their paths in /proc, and their targets. Those of files without a name have the name that they had. */
export function openDescriptors(): { path: string; target: string }[] {
  return [...Deno.readDirSync("/proc/self/fd")].flatMap(({ name }) => {
    const path = `/proc/self/fd/${name}`;
    try {
      return [{ path, target: Deno.readLinkSync(path).replace(/ \(deleted\)$/, "") }];
    } catch {
      // The descriptor of the listing itself.
      return [];
    }
  });
}

export function openTargets(): string[] {
  return openDescriptors().map(({ target }) => target);
}

/** Collects all unreachable objects, and runs finalizers, whose operations may take longer: wait for the effect. */
export async function collectGarbage(): Promise<void> {
  setFlagsFromString("--expose-gc");
  const collect: () => void = runInNewContext("gc");
  // Objects that a finalizer releases can be collected only in the next round.
  for (let round = 0; round < 3; round++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
}

/** Collects garbage until `condition` holds. */
export async function untilCollected(condition: () => boolean | Promise<boolean>): Promise<void> {
  await eventually(async () => {
    await collectGarbage();
    return await condition();
  }, String(condition));
}

function kibibytes(status: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s*(\\d+) kB$`, "m").exec(status)?.[1] ?? 0);
}
