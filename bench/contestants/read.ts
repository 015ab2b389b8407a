// Reads one large file that is not in the page cache, to its end.

import type { Contestant } from "../harness/contestant.ts";
import { KIB, MIB } from "../harness/units.ts";
import { fio, fioAtBest } from "./fio.ts";
import { glommio, glommioAtBest } from "./glommio.ts";
import { programContestant } from "./programs.ts";

const group = "read";

export const READERS: readonly Contestant[] = [
  programContestant({
    id: "read-dma",
    group,
    label: "this module, for await",
    settings: "defaults (1 MiB × 4)",
    runtime: "dma",
    job: "forAwait",
  }),
  programContestant({
    id: "read-dma-byob",
    group,
    label: "this module, BYOB",
    settings: "defaults (1 MiB × 4), views of 1 MiB",
    runtime: "dma",
    job: "byob",
  }),
  programContestant({
    id: "read-dma-into",
    group,
    label: "this module, readInto",
    settings: "1 MiB × 4",
    runtime: "dma",
    job: "readInto",
  }),
  programContestant({
    id: "read-dma-128k",
    group,
    label: "this module, for await",
    settings: "128 KiB × 4",
    runtime: "dma",
    job: "forAwait",
    pairs: { bufferSize: 128 * KIB, depth: 4 },
  }),
  programContestant({
    id: "read-deno",
    group,
    label: "Deno FsFile.readable, for await",
    settings: "defaults",
    runtime: "deno",
    job: "read",
  }),
  programContestant({
    id: "read-node",
    group,
    label: "Node createReadStream, for await",
    settings: "defaults",
    runtime: "node",
    job: "read",
  }),
  programContestant({
    id: "read-node-1m",
    group,
    label: "Node createReadStream, for await",
    settings: "highWaterMark 1 MiB",
    runtime: "node",
    job: "read",
    pairs: { highWaterMark: MIB },
  }),
  programContestant({
    id: "read-bun",
    group,
    label: "Bun file.stream, for await",
    settings: "chunks of 1 MiB",
    runtime: "bun",
    job: "read",
  }),
  fio("read-fio-1m", "read", { blockSize: "1m", depth: 4 }),
  fio("read-fio-128k", "read", { blockSize: "128k", depth: 4 }),
  fioAtBest("read-fio-best", "read"),
  glommio("read-glommio", "read", { bufferSize: 128 * KIB, depth: 4 }),
  glommio("read-glommio-1m", "read", { bufferSize: MIB, depth: 4 }),
  glommioAtBest("read-glommio-best", "read"),
];
