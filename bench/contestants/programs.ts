// Command lines of the programs in ../programs, one for each runtime.

import { fileURLToPath } from "node:url";
import type { Contestant, Group, Run } from "../harness/contestant.ts";
import type { Tools } from "../harness/tools.ts";

/** Arguments of a program, by name; a function if they depend on the run. */
export type Pairs = Readonly<Record<string, string | number | ((run: Run) => string | number)>>;

const program = (name: string) => fileURLToPath(new URL(`../programs/${name}`, import.meta.url));

const RUNTIMES = {
  dma: (tools: Tools) => [tools.deno, "run", "-A", "--no-config", program("dma.ts")],
  deno: (tools: Tools) => [tools.deno, "run", "-A", "--no-config", program("deno.ts")],
  node: (tools: Tools) => tools.node && [tools.node, program("node.mjs")],
  bun: (tools: Tools) => tools.bun && [tools.bun, program("bun.mjs")],
  /** Bun has Node's calls for files too. */
  bunAsNode: (tools: Tools) => tools.bun && [tools.bun, program("node.mjs")],
} as const;

/** A contestant that is one of the programs. */
export function programContestant(facts: {
  id: string;
  group: Group;
  label: string;
  settings: string;
  runtime: keyof typeof RUNTIMES;
  job: string;
  pairs?: Pairs;
}): Contestant {
  const { runtime, job, pairs = {}, ...rest } = facts;
  return {
    ...rest,
    command(run) {
      const start = RUNTIMES[runtime](run.tools);
      if (!start) return undefined;
      const all: Pairs = { path: run.path, source: run.source, size: run.size, ...pairs };
      const shown = Object.entries(all).map(([name, value]) =>
        `${name}=${typeof value === "function" ? value(run) : value}`
      );
      return [...start, job, ...shown];
    },
  };
}
