// The same work at growing scale: more writers at once, and larger files.

import type { Contestant, Run } from "../harness/contestant.ts";
import { MIB } from "../harness/units.ts";
import { programContestant } from "./programs.ts";

/** The least bytes for each of many writers: fewer would measure the opening of files. */
const LEAST_EACH = 4 * MIB;

const sides = [["dma", "this module"], ["deno", "Deno FsFile.writable"]] as const;

/** Writers of one process that write at once, and share the size of the run. */
export function writersAtOnce(count: number): Contestant[] {
  const size = (run: Run) => Math.max(run.size, count * LEAST_EACH);
  return sides.map(([runtime, label]) =>
    programContestant({
      id: `writers-${runtime}-${count}`,
      group: "writers",
      label,
      settings: `${count} at once, defaults`,
      runtime,
      job: "writers",
      pairs: { count, size },
    })
  );
}

/** Writes one file of any size. */
export const FILE_WRITERS: readonly Contestant[] = sides.map(([runtime, label]) =>
  programContestant({
    id: `size-write-${runtime}`,
    group: "write",
    label,
    settings: "pipeTo, defaults",
    runtime,
    job: "pipe",
  })
);

/** Reads one cold file of any size. */
export const FILE_READERS: readonly Contestant[] = [
  programContestant({
    id: "size-read-dma",
    group: "read",
    label: "this module",
    settings: "for await, defaults",
    runtime: "dma",
    job: "forAwait",
  }),
  programContestant({
    id: "size-read-deno",
    group: "read",
    label: "Deno FsFile.readable",
    settings: "for await, defaults",
    runtime: "deno",
    job: "read",
  }),
];
