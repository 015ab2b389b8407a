// Writes records of 100 bytes, one call each, which are durable before the clock stops.

import type { Contestant, Run } from "../harness/contestant.ts";
import { KIB, MIB } from "../harness/units.ts";
import { glommio } from "./glommio.ts";
import { type Pairs, programContestant } from "./programs.ts";

const group = "records";
const RECORD = 100;

const pairs: Pairs = { chunk: RECORD, count: (run: Run) => Math.floor(run.size / RECORD) };

export const RECORD_WRITERS: readonly Contestant[] = [
  programContestant({
    id: "records-dma",
    group,
    label: "this module, await writer.write()",
    settings: "defaults (1 MiB × 4)",
    runtime: "dma",
    job: "records",
    pairs,
  }),
  programContestant({
    id: "records-deno",
    group,
    label: "Deno FsFile.writable, await writer.write()",
    settings: "+ syncData",
    runtime: "deno",
    job: "records",
    pairs,
  }),
  programContestant({
    id: "records-node",
    group,
    label: "Node createWriteStream, write() and drain",
    settings: "defaults, flush: true",
    runtime: "node",
    job: "records",
    pairs,
  }),
  programContestant({
    id: "records-node-1m",
    group,
    label: "Node createWriteStream, write() and drain",
    settings: "highWaterMark 1 MiB, flush: true",
    runtime: "node",
    job: "records",
    pairs: { ...pairs, highWaterMark: MIB },
  }),
  programContestant({
    id: "records-bun",
    group,
    label: "Bun FileSink, write()",
    settings: "defaults, + fsync",
    runtime: "bun",
    job: "records",
    pairs,
  }),
  programContestant({
    id: "records-bun-1m",
    group,
    label: "Bun FileSink, write()",
    settings: "highWaterMark 1 MiB, + fsync",
    runtime: "bun",
    job: "records",
    pairs: { ...pairs, highWaterMark: MIB },
  }),
  glommio("records-glommio", "records", { bufferSize: 128 * KIB, depth: 4 }),
  glommio("records-glommio-1m", "records", { bufferSize: MIB, depth: 4 }),
];
