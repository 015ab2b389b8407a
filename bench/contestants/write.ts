// Writes one large file in chunks of 64 KiB, which is durable before the clock stops.

import type { Contestant } from "../harness/contestant.ts";
import { KIB, MIB } from "../harness/units.ts";
import { fio, fioAtBest } from "./fio.ts";
import { glommio, glommioAtBest } from "./glommio.ts";
import { programContestant } from "./programs.ts";

const group = "write";

/** dd's own clock stops before the sync, so the whole process is timed. It starts in a millisecond. */
const dd: Contestant = {
  id: "write-dd",
  group,
  label: "dd",
  settings: "if=/dev/zero oflag=direct bs=1M conv=fsync",
  command({ tools, path, size }) {
    if (!tools.dd) return undefined;
    const count = Math.ceil(size / MIB);
    return [
      tools.dd,
      "if=/dev/zero",
      `of=${path}`,
      "oflag=direct",
      "bs=1M",
      `count=${count}`,
      "conv=fsync",
    ];
  },
  outcome: (_stdout, { size }) => ({ bytes: size }),
};

export const WRITERS: readonly Contestant[] = [
  programContestant({
    id: "write-dma-pipe",
    group,
    label: "this module, pipeTo",
    settings: "defaults (1 MiB × 4)",
    runtime: "dma",
    job: "pipe",
  }),
  programContestant({
    id: "write-dma-calls",
    group,
    label: "this module, write()",
    settings: "defaults (1 MiB × 4)",
    runtime: "dma",
    job: "write",
  }),
  programContestant({
    id: "write-dma-128k",
    group,
    label: "this module, pipeTo",
    settings: "128 KiB × 4",
    runtime: "dma",
    job: "pipe",
    pairs: { bufferSize: 128 * KIB, depth: 4 },
  }),
  programContestant({
    id: "write-deno",
    group,
    label: "Deno FsFile.writable, pipeTo",
    settings: "+ syncData",
    runtime: "deno",
    job: "pipe",
  }),
  programContestant({
    id: "write-node",
    group,
    label: "Node createWriteStream, pipeline",
    settings: "defaults, flush: true",
    runtime: "node",
    job: "pipe",
  }),
  programContestant({
    id: "write-node-1m",
    group,
    label: "Node createWriteStream, pipeline",
    settings: "highWaterMark 1 MiB, flush: true",
    runtime: "node",
    job: "pipe",
    pairs: { highWaterMark: MIB },
  }),
  programContestant({
    id: "write-node-4m",
    group,
    label: "Node createWriteStream, pipeline",
    settings: "highWaterMark 4 MiB, flush: true",
    runtime: "node",
    job: "pipe",
    pairs: { highWaterMark: 4 * MIB },
  }),
  programContestant({
    id: "write-bun",
    group,
    label: "Bun FileSink",
    settings: "defaults, + fsync",
    runtime: "bun",
    job: "write",
  }),
  programContestant({
    id: "write-bun-1m",
    group,
    label: "Bun FileSink",
    settings: "highWaterMark 1 MiB, + fsync",
    runtime: "bun",
    job: "write",
    pairs: { highWaterMark: MIB },
  }),
  dd,
  fio("write-fio-1m", "write", { blockSize: "1m", depth: 4 }),
  fio("write-fio-1m-allocated", "write", { blockSize: "1m", depth: 4, allocated: true }),
  fio("write-fio-128k", "write", { blockSize: "128k", depth: 4 }),
  fio("write-fio-128k-allocated", "write", { blockSize: "128k", depth: 4, allocated: true }),
  fioAtBest("write-fio-best", "write"),
  glommio("write-glommio", "write", { bufferSize: 128 * KIB, depth: 4 }),
  glommio("write-glommio-allocated", "write", {
    bufferSize: 128 * KIB,
    depth: 4,
    allocated: true,
  }),
  glommio("write-glommio-1m", "write", { bufferSize: MIB, depth: 4 }),
  glommioAtBest("write-glommio-best", "write"),
];
