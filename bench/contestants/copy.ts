// Copies one large file that is not in the page cache into a new one, which is durable before the clock stops.

import type { Contestant } from "../harness/contestant.ts";
import { programContestant } from "./programs.ts";

const group = "copy";

const dd: Contestant = {
  id: "copy-dd",
  group,
  label: "dd",
  settings: "iflag=direct oflag=direct bs=1M conv=fsync",
  command({ tools, path, source }) {
    if (!tools.dd) return undefined;
    return [
      tools.dd,
      `if=${source}`,
      `of=${path}`,
      "iflag=direct",
      "oflag=direct",
      "bs=1M",
      "conv=fsync",
    ];
  },
  outcome: (_stdout, { size }) => ({ bytes: size }),
};

export const COPIERS: readonly Contestant[] = [
  programContestant({
    id: "copy-dma",
    group,
    label: "this module, reader.pipeTo(writer)",
    settings: "defaults (1 MiB × 4 each)",
    runtime: "dma",
    job: "copy",
  }),
  programContestant({
    id: "copy-deno",
    group,
    label: "Deno readable.pipeTo(writable)",
    settings: "+ syncData; the pipe runs in Rust",
    runtime: "deno",
    job: "copy",
  }),
  dd,
];
