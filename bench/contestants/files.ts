// Writing 1,000 files of 4 KiB, each opened, written, made durable and closed.

import type { Contestant } from "../harness/contestant.ts";
import { KIB } from "../harness/units.ts";
import { programContestant } from "./programs.ts";

const group = "files";

const SIDES = [
  ["dma", "this module", "files", "the name is durable too"],
  ["deno", "Deno open, write, syncData, close", "files", "the name is not"],
  ["deno", "Deno open, write, syncData, close", "filesAndNames", "+ sync of the directory"],
] as const;

export const FILE_WRITERS: readonly Contestant[] = [1, 50].flatMap((atOnce) =>
  SIDES.map(([runtime, label, job, settings]) =>
    programContestant({
      id: `files-${runtime}${job === "files" ? "" : "-names"}-${atOnce}`,
      group,
      label,
      settings: `${atOnce === 1 ? "one by one" : `${atOnce} at once`}; ${settings}`,
      runtime,
      job,
      pairs: { chunk: 4 * KIB, count: 1000, atOnce },
    })
  )
);
