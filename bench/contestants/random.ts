// Reads or writes blocks of 4 KiB at random positions of a file, past the page cache, 1, 32 and 128 at once.

import type { Contestant } from "../harness/contestant.ts";
import { KIB } from "../harness/units.ts";
import { fioRandom } from "./fio.ts";
import { programsOf, type Runtime } from "./programs.ts";

const BLOCK = 4 * KIB;
const programs = programsOf("random");

/** The calls of this module and of other runtimes. */
const CALLS: readonly [name: string, runtime: Runtime, job: string, label: string][] = [
  ["read-dma", "dma", "randomRead", "this module, readAt"],
  ["read-dma-into", "dma", "randomReadInto", "this module, readInto"],
  ["read-deno", "deno", "randomRead", "Deno seek + read, page cache"],
  ["read-node", "node", "randomRead", "Node fs.read, O_DIRECT"],
  ["read-bun", "bunAsNode", "randomRead", "Bun fs.read, O_DIRECT"],
  ["write-dma", "dma", "randomWrite", "this module, writeAt"],
  ["write-node", "node", "randomWrite", "Node fs.write, O_DIRECT"],
  ["write-bun", "bunAsNode", "randomWrite", "Bun fs.write, O_DIRECT"],
];

/** All contestants at one depth, and fio last: the rate of the device for a program without a runtime. */
function atDepth(job: "read" | "write", atOnce: number): Contestant[] {
  // A run takes a few seconds.
  const count = atOnce === 1 ? 30_000 : 200_000;
  const settings = atOnce === 1 ? "one by one" : `${atOnce} at once`;
  const pairs = { chunk: BLOCK, count, atOnce };
  // A file of Deno's own has one position.
  const able = CALLS.filter(([name, runtime]) =>
    name.startsWith(job) && (atOnce === 1 || runtime !== "deno")
  );
  return [
    ...able.map(([name, runtime, job, label]) =>
      programs[runtime](`random-${name}-${atOnce}`, job, label, settings, pairs)
    ),
    {
      id: `random-${job}-fio-${atOnce}`,
      group: "random",
      label: `fio io_uring direct=1 rw=rand${job}`,
      settings,
      ...fioRandom(job, { bs: BLOCK, io_size: count * BLOCK, iodepth: atOnce }),
    },
  ];
}

export const RANDOM: readonly Contestant[] = (["read", "write"] as const)
  .flatMap((job) => [1, 32, 128].flatMap((atOnce) => atDepth(job, atOnce)));
