// Opens, writes, makes durable and closes 1,000 files of 4 KiB.

import type { Contestant } from "../harness/contestant.ts";
import { KIB } from "../harness/units.ts";
import { programsOf } from "./programs.ts";

const { dma, deno } = programsOf("files");

const COUNT = 1000;
const LENGTH = 4 * KIB;
/** The number of threads that Deno has for its file operations. */
const MOST_THREADS = 32;

/** The system calls alone: the lower limit of the cost for any runtime. */
function systemCallsAlone(atOnce: number, names: boolean): Contestant {
  const threads = Math.min(atOnce, MOST_THREADS);
  const how = threads === 1 ? "one by one" : `${threads} threads`;
  return {
    id: `files-c${names ? "-names" : ""}-${atOnce}`,
    group: "files",
    label: "C, the system calls alone",
    settings: `${how}; ${names ? "+ fsync of the directory" : "the name is not"}`,
    command({ tools, path }) {
      if (!tools.files) return undefined;
      return [tools.files, path, ...[COUNT, LENGTH, threads, Number(names)].map(String)];
    },
  };
}

export const FILE_WRITERS: readonly Contestant[] = [1, 50].flatMap((atOnce) => {
  const how = atOnce === 1 ? "one by one" : `${atOnce} at once`;
  const pairs = { chunk: LENGTH, count: COUNT, atOnce };
  const theirs = "Deno open, write, syncData, close";
  const synced = `${how}; + sync of the directory`;
  return [
    dma(`files-dma-${atOnce}`, "files", "this module", `${how}; the name is durable too`, pairs),
    deno(`files-deno-${atOnce}`, "files", theirs, `${how}; the name is not`, pairs),
    deno(`files-deno-names-${atOnce}`, "filesAndNames", theirs, synced, pairs),
    systemCallsAlone(atOnce, false),
    systemCallsAlone(atOnce, true),
  ];
});
