// Reads many ranges of different lengths of a file, past the page cache.

import type { Contestant, Outcome, Run } from "../harness/contestant.ts";
import { KIB } from "../harness/units.ts";
import { fioRandom } from "./fio.ts";
import { programContestant } from "./programs.ts";

const group = "ranges";
const COUNT = 20_000;
const AT_ONCE = 32;

type Order = "sorted" | "random";

const settings = (order: Order) => order === "sorted" ? "sorted by position" : "in random order";

function ours(order: Order): Contestant {
  return programContestant({
    id: `ranges-dma-${order}`,
    group,
    label: "this module, readMany",
    settings: settings(order),
    runtime: "dma",
    job: "readMany",
    pairs: { count: COUNT, atOnce: AT_ONCE, order },
  });
}

/** The reference, which merges ranges that touch each other, as this module does. */
function glommio(order: Order): Contestant {
  return {
    id: `ranges-glommio-${order}`,
    group,
    label: "glommio read_many",
    settings: settings(order),
    command({ tools, source, size }: Run) {
      if (!tools.glommio) return undefined;
      return [tools.glommio, "ranges", source, ...[size, COUNT, AT_ONCE].map(String), order];
    },
    outcome: (stdout: string): Outcome => ({ ...JSON.parse(stdout), count: COUNT }),
  };
}

export const RANGES: readonly Contestant[] = [
  ours("sorted"),
  glommio("sorted"),
  ours("random"),
  glommio("random"),
  {
    id: "ranges-fio-random",
    group,
    label: "fio io_uring direct=1 rw=randread",
    settings: settings("random"),
    ...fioRandom("read", {
      bsrange: `${4 * KIB}-${64 * KIB}`,
      number_ios: COUNT,
      iodepth: AT_ONCE,
    }),
  },
];
