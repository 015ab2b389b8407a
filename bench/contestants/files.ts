// Opens, writes, makes durable and closes 1,000 files of 4 KiB.

import type { Contestant } from "../harness/contestant.ts";
import { KIB } from "../harness/units.ts";
import { programContestant } from "./programs.ts";

const group = "files";

const SIDES = [
  ["dma", "this module", "files", "the name is durable too"],
  ["deno", "Deno open, write, syncData, close", "files", "the name is not"],
  ["deno", "Deno open, write, syncData, close", "filesAndNames", "+ sync of the directory"],
] as const;

const COUNT = 1000;
const LENGTH = 4 * KIB;
/** The number of threads that Deno has for its file operations. */
const MOST_THREADS = 32;

/** The system calls alone: the lower limit of the cost for any runtime. */
function systemCallsAlone(atOnce: number, names: boolean): Contestant {
  const threads = Math.min(atOnce, MOST_THREADS);
  return {
    id: `files-c${names ? "-names" : ""}-${atOnce}`,
    group,
    label: "C, the system calls alone",
    settings: `${threads === 1 ? "one by one" : `${threads} threads`}; ${
      names ? "+ fsync of the directory" : "the name is not"
    }`,
    command({ tools, path }) {
      if (!tools.files) return undefined;
      return [tools.files, path, ...[COUNT, LENGTH, threads, Number(names)].map(String)];
    },
  };
}

export const FILE_WRITERS: readonly Contestant[] = [1, 50].flatMap((atOnce) => [
  ...SIDES.map(([runtime, label, job, settings]) =>
    programContestant({
      id: `files-${runtime}${job === "files" ? "" : "-names"}-${atOnce}`,
      group,
      label,
      settings: `${atOnce === 1 ? "one by one" : `${atOnce} at once`}; ${settings}`,
      runtime,
      job,
      pairs: { chunk: LENGTH, count: COUNT, atOnce },
    })
  ),
  systemCallsAlone(atOnce, false),
  systemCallsAlone(atOnce, true),
]);
