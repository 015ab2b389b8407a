// Measures the start of a process, and the delay of a timer in an idle process.

import type { Contestant } from "../harness/contestant.ts";
import { programContestant } from "./programs.ts";

const group = "start";

export const STARTERS: readonly Contestant[] = [
  programContestant({
    id: "start-dma",
    group,
    label: "this module, import and first open",
    settings: "open and close of a file",
    runtime: "dma",
    job: "open",
  }),
  programContestant({
    id: "start-deno",
    group,
    label: "bare Deno",
    settings: "a program that does nothing",
    runtime: "deno",
    job: "nothing",
  }),
  ...(["deno", "node", "bun"] as const).map((runtime) =>
    programContestant({
      id: `start-${runtime}-idle`,
      group,
      label: `${{ deno: "Deno", node: "Node", bun: "Bun" }[runtime]}, idle for a second`,
      settings: "what the 1 ms timer shows where nothing happens",
      runtime,
      job: "idle",
    })
  ),
];
