// Reads many ranges of different lengths of a file, past the page cache.

import type { Contestant } from "../harness/contestant.ts";
import { KIB } from "../harness/units.ts";
import { fioRandom } from "./fio.ts";
import { programsOf } from "./programs.ts";

const group = "ranges";
const COUNT = 20_000;
const AT_ONCE = 32;
const SETTINGS = { sorted: "sorted by position", random: "in random order" } as const;

/** This module, and the reference, which merges ranges that touch each other, as this module does. */
function inOrder(order: keyof typeof SETTINGS): Contestant[] {
  const settings = SETTINGS[order];
  const pairs = { count: COUNT, atOnce: AT_ONCE, order };
  return [
    programsOf(group).dma(
      `ranges-dma-${order}`,
      "readMany",
      "this module, readMany",
      settings,
      pairs,
    ),
    {
      id: `ranges-glommio-${order}`,
      group,
      label: "glommio read_many",
      settings,
      command({ tools, source, size }) {
        if (!tools.glommio) return undefined;
        return [tools.glommio, "ranges", source, ...[size, COUNT, AT_ONCE].map(String), order];
      },
      outcome: (stdout) => ({ ...JSON.parse(stdout), count: COUNT }),
    },
  ];
}

export const RANGES: readonly Contestant[] = [
  ...inOrder("sorted"),
  ...inOrder("random"),
  {
    id: "ranges-fio-random",
    group,
    label: "fio io_uring direct=1 rw=randread",
    settings: SETTINGS.random,
    ...fioRandom("read", {
      bsrange: `${4 * KIB}-${64 * KIB}`,
      number_ios: COUNT,
      iodepth: AT_ONCE,
    }),
  },
];
