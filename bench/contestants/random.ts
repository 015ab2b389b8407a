// Reads or writes blocks of 4 KiB at random positions of a file, past the page cache, 1, 32 and 128 at once.

import type { Contestant } from "../harness/contestant.ts";
import { KIB } from "../harness/units.ts";
import { fioRandom } from "./fio.ts";
import { programContestant } from "./programs.ts";

const group = "random";
const BLOCK = 4 * KIB;

/** Operations of one run, which take a few seconds. */
const countOf = (atOnce: number) => atOnce === 1 ? 30_000 : 200_000;

const plural = (atOnce: number) => atOnce === 1 ? "one by one" : `${atOnce} at once`;

/** This module, or another runtime, with one of its calls. */
function caller(
  name: string,
  runtime: "dma" | "deno" | "node" | "bunAsNode",
  job: string,
  label: string,
) {
  return (atOnce: number) =>
    programContestant({
      id: `random-${name}-${atOnce}`,
      group,
      label,
      settings: plural(atOnce),
      runtime,
      job,
      pairs: { chunk: BLOCK, count: countOf(atOnce), atOnce },
    });
}

/** fio: the rate of the device for a program without a runtime. */
function fio(job: "read" | "write") {
  return (atOnce: number): Contestant => ({
    id: `random-${job}-fio-${atOnce}`,
    group,
    label: `fio io_uring direct=1 rw=rand${job}`,
    settings: plural(atOnce),
    ...fioRandom(job, { bs: BLOCK, io_size: countOf(atOnce) * BLOCK, iodepth: atOnce }),
  });
}

const DEPTHS = [1, 32, 128];

export const RANDOM: readonly Contestant[] = [
  ...DEPTHS.flatMap((atOnce) => [
    caller("read-dma", "dma", "randomRead", "this module, readAt")(atOnce),
    caller("read-dma-into", "dma", "randomReadInto", "this module, readInto")(atOnce),
    ...atOnce > 1
      ? []
      : [caller("read-deno", "deno", "randomRead", "Deno seek + read, page cache")(1)],
    caller("read-node", "node", "randomRead", "Node fs.read, O_DIRECT")(atOnce),
    caller("read-bun", "bunAsNode", "randomRead", "Bun fs.read, O_DIRECT")(atOnce),
    fio("read")(atOnce),
  ]),
  ...DEPTHS.flatMap((atOnce) => [
    caller("write-dma", "dma", "randomWrite", "this module, writeAt")(atOnce),
    caller("write-node", "node", "randomWrite", "Node fs.write, O_DIRECT")(atOnce),
    caller("write-bun", "bunAsNode", "randomWrite", "Bun fs.write, O_DIRECT")(atOnce),
    fio("write")(atOnce),
  ]),
];
