// Writes records of 100 bytes, one call each, which are durable before the clock stops.

import type { Contestant, Run } from "../harness/contestant.ts";
import { KIB, MIB } from "../harness/units.ts";
import { glommio } from "./glommio.ts";
import { type Pairs, programsOf } from "./programs.ts";

const RECORD = 100;
const RECORDS: Pairs = { chunk: RECORD, count: ({ size }: Run) => Math.floor(size / RECORD) };
const WIDE: Pairs = { ...RECORDS, highWaterMark: MIB };

const { dma, deno, node, bun } = programsOf("records");
const OURS = "this module, await writer.write()";
const DENO = "Deno FsFile.writable, await writer.write()";
const NODE = "Node createWriteStream, write() and drain";
const BUN = "Bun FileSink, write()";

export const RECORD_WRITERS: readonly Contestant[] = [
  dma("records-dma", "records", OURS, "defaults (1 MiB × 4)", RECORDS),
  deno("records-deno", "records", DENO, "+ syncData", RECORDS),
  node("records-node", "records", NODE, "defaults, flush: true", RECORDS),
  node("records-node-1m", "records", NODE, "highWaterMark 1 MiB, flush: true", WIDE),
  bun("records-bun", "records", BUN, "defaults, + fsync", RECORDS),
  bun("records-bun-1m", "records", BUN, "highWaterMark 1 MiB, + fsync", WIDE),
  glommio("records-glommio", "records", { bufferSize: 128 * KIB, depth: 4 }),
  glommio("records-glommio-1m", "records", { bufferSize: MIB, depth: 4 }),
];
