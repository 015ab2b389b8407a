// The reference: glommio's stream writer and reader, in the Rust program of ../glommio.

import { formatSize } from "../../cli/units.ts";
import type { Contestant } from "../harness/contestant.ts";
import { KIB, MIB } from "../harness/units.ts";

/** The settings of the writer or the reader. */
export interface GlommioGeometry {
  readonly bufferSize: number;
  readonly depth: number;
  /** Writing: `pre_allocate` of the whole file by the caller, which is timed. */
  readonly allocated?: boolean;
}

/** glommio at one geometry. */
export function glommio(
  id: string,
  job: "write" | "read" | "records",
  geometry: GlommioGeometry,
  label = "glommio",
): Contestant {
  const { bufferSize, depth, allocated = false } = geometry;
  const isDefault = bufferSize === 128 * KIB && depth === 4;
  const chunk = job === "records" ? 100 : 64 * KIB;
  return {
    id,
    group: job,
    label: job === "read" ? `${label} DmaStreamReader` : `${label} DmaStreamWriter`,
    settings: [
      `${formatSize(bufferSize)} × ${depth}${isDefault ? " (its defaults)" : ""}`,
      allocated && "all pre-allocated by the caller",
    ].filter(Boolean).join(", "),
    command({ tools, path, source, size }) {
      if (!tools.glommio) return undefined;
      const sizes = [bufferSize, depth];
      const args = job === "read"
        ? ["read", source, size, ...sizes]
        : ["write", path, size, chunk, ...sizes, ...(allocated ? ["allocate"] : [])];
      return [tools.glommio, ...args.map(String)];
    },
    outcome(stdout) {
      const { seconds, bytes } = JSON.parse(stdout);
      return { seconds, bytes, ...(job === "records" ? { count: bytes / chunk } : {}) };
    },
  };
}

/** glommio at the best of several geometries. */
export function glommioAtBest(id: string, job: "write" | "read"): Contestant {
  const variants: Contestant[] = [];
  for (const bufferSize of [512 * KIB, MIB, 2 * MIB]) {
    for (const depth of [4, 8]) {
      for (const allocated of job === "write" ? [false, true] : [false]) {
        variants.push(glommio(id, job, { bufferSize, depth, allocated }, "glommio, at its best,"));
      }
    }
  }
  return { ...variants[0]!, variants };
}
