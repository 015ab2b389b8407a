// One large file: written in chunks of 64 KiB, durable before the clock stops; read to its end, when it is not in the page
// cache; copied from one into the other. And the start of a process, without which none of it begins.

import type { Contestant } from "../harness/contestant.ts";
import { KIB, MIB } from "../harness/units.ts";
import { fio, fioAtBest } from "./fio.ts";
import { glommio, glommioAtBest } from "./glommio.ts";
import { dd, type Pairs, programsOf } from "./programs.ts";

const DEFAULTS = "defaults (1 MiB × 4)";
const SMALL: Pairs = { bufferSize: 128 * KIB, depth: 4 };
const WIDE: Pairs = { highWaterMark: MIB };
/** glommio's own defaults. */
const SMALL_BUFFERS = { bufferSize: 128 * KIB, depth: 4 };
const LARGE_BUFFERS = { bufferSize: MIB, depth: 4 };

const write = programsOf("write");
const PIPE = "this module, pipeTo";
const PIPELINE = "Node createWriteStream, pipeline";
const SINK = "Bun FileSink";

export const WRITERS: readonly Contestant[] = [
  write.dma("write-dma-pipe", "pipe", PIPE, DEFAULTS),
  write.dma("write-dma-calls", "write", "this module, write()", DEFAULTS),
  write.dma("write-dma-128k", "pipe", PIPE, "128 KiB × 4", SMALL),
  write.deno("write-deno", "pipe", "Deno FsFile.writable, pipeTo", "+ syncData"),
  write.node("write-node", "pipe", PIPELINE, "defaults, flush: true"),
  write.node("write-node-1m", "pipe", PIPELINE, "highWaterMark 1 MiB, flush: true", WIDE),
  write.node("write-node-4m", "pipe", PIPELINE, "highWaterMark 4 MiB, flush: true", {
    highWaterMark: 4 * MIB,
  }),
  write.bun("write-bun", "write", SINK, "defaults, + fsync"),
  write.bun("write-bun-1m", "write", SINK, "highWaterMark 1 MiB, + fsync", WIDE),
  dd("write", "if=/dev/zero oflag=direct bs=1M conv=fsync", ({ path, size }) => {
    const count = `count=${Math.ceil(size / MIB)}`;
    return ["if=/dev/zero", `of=${path}`, "oflag=direct", "bs=1M", count, "conv=fsync"];
  }),
  fio("write-fio-1m", "write", { blockSize: "1m", depth: 4 }),
  fio("write-fio-1m-allocated", "write", { blockSize: "1m", depth: 4, allocated: true }),
  fio("write-fio-128k", "write", { blockSize: "128k", depth: 4 }),
  fio("write-fio-128k-allocated", "write", { blockSize: "128k", depth: 4, allocated: true }),
  fioAtBest("write-fio-best", "write"),
  glommio("write-glommio", "write", SMALL_BUFFERS),
  glommio("write-glommio-allocated", "write", { ...SMALL_BUFFERS, allocated: true }),
  glommio("write-glommio-1m", "write", LARGE_BUFFERS),
  glommioAtBest("write-glommio-best", "write"),
];

const read = programsOf("read");
const BYOB = "defaults (1 MiB × 4), views of 1 MiB";
const READ_STREAM = "Node createReadStream, for await";

export const READERS: readonly Contestant[] = [
  read.dma("read-dma", "forAwait", "this module, for await", DEFAULTS),
  read.dma("read-dma-byob", "byob", "this module, BYOB", BYOB),
  read.dma("read-dma-into", "readInto", "this module, readInto", "1 MiB × 4"),
  read.dma("read-dma-128k", "forAwait", "this module, for await", "128 KiB × 4", SMALL),
  read.deno("read-deno", "read", "Deno FsFile.readable, for await", "defaults"),
  read.node("read-node", "read", READ_STREAM, "defaults"),
  read.node("read-node-1m", "read", READ_STREAM, "highWaterMark 1 MiB", WIDE),
  read.bun("read-bun", "read", "Bun file.stream, for await", "chunks of 1 MiB"),
  fio("read-fio-1m", "read", { blockSize: "1m", depth: 4 }),
  fio("read-fio-128k", "read", { blockSize: "128k", depth: 4 }),
  fioAtBest("read-fio-best", "read"),
  glommio("read-glommio", "read", SMALL_BUFFERS),
  glommio("read-glommio-1m", "read", LARGE_BUFFERS),
  glommioAtBest("read-glommio-best", "read"),
];

const copy = programsOf("copy");
const DENO_COPY = "Deno readable.pipeTo(writable)";

export const COPIERS: readonly Contestant[] = [
  copy.dma("copy-dma", "copy", "this module, reader.pipeTo(writer)", "defaults (1 MiB × 4 each)"),
  copy.deno("copy-deno", "copy", DENO_COPY, "+ syncData; the pipe runs in Rust"),
  dd("copy", "iflag=direct oflag=direct bs=1M conv=fsync", ({ path, source }) => [
    ...[`if=${source}`, `of=${path}`, "iflag=direct", "oflag=direct", "bs=1M", "conv=fsync"],
  ]),
];

const start = programsOf("start");
const TICKS = "what the 1 ms timer shows where nothing happens";
const OPENING = "this module, import and first open";

export const STARTERS: readonly Contestant[] = [
  start.dma("start-dma", "open", OPENING, "open and close of a file"),
  start.deno("start-deno", "nothing", "bare Deno", "a program that does nothing"),
  start.deno("start-deno-idle", "idle", "Deno, idle for a second", TICKS),
  start.node("start-node-idle", "idle", "Node, idle for a second", TICKS),
  start.bun("start-bun-idle", "idle", "Bun, idle for a second", TICKS),
];
