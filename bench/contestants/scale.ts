// The same work at growing scale: more writers at once, and larger files.

import type { Contestant, Run } from "../harness/contestant.ts";
import { MIB } from "../harness/units.ts";
import { programsOf } from "./programs.ts";

/** The least bytes for each of many writers: fewer would measure the opening of files. */
const LEAST_EACH = 4 * MIB;

const DENO = "Deno FsFile.writable";
const [writers, write, read] = [programsOf("writers"), programsOf("write"), programsOf("read")];

/** Writers of one process that write at once, and share the size of the run. */
export function writersAtOnce(count: number): Contestant[] {
  const settings = `${count} at once, defaults`;
  const pairs = { count, size: (run: Run) => Math.max(run.size, count * LEAST_EACH) };
  return [
    writers.dma(`writers-dma-${count}`, "writers", "this module", settings, pairs),
    writers.deno(`writers-deno-${count}`, "writers", DENO, settings, pairs),
  ];
}

/** Writes one file of any size. */
export const FILE_WRITERS: readonly Contestant[] = [
  write.dma("size-write-dma", "pipe", "this module", "pipeTo, defaults"),
  write.deno("size-write-deno", "pipe", DENO, "pipeTo, defaults"),
];

/** Reads one cold file of any size. */
export const FILE_READERS: readonly Contestant[] = [
  read.dma("size-read-dma", "forAwait", "this module", "for await, defaults"),
  read.deno("size-read-deno", "read", "Deno FsFile.readable", "for await, defaults"),
];
