// Command lines of the programs in ../programs, one for each runtime, and of dd.

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

export type Runtime = keyof typeof RUNTIMES;

/** Makes a contestant that does a job of a runtime's program. */
export type MakeProgram = (
  id: string,
  job: string,
  label: string,
  settings: string,
  pairs?: Pairs,
) => Contestant;

/** Makers of the contestants of a group, by runtime. */
export function programsOf(group: Group): Readonly<Record<Runtime, MakeProgram>> {
  const maker =
    (start: typeof RUNTIMES[Runtime]): MakeProgram => (id, job, label, settings, pairs) => ({
      ...{ id, group, label, settings },
      command(run) {
        const command = start(run.tools);
        if (!command) return undefined;
        const all: Pairs = { path: run.path, source: run.source, size: run.size, ...pairs };
        const shown = Object.entries(all).map(([name, value]) =>
          `${name}=${typeof value === "function" ? value(run) : value}`
        );
        return [...command, job, ...shown];
      },
    });
  const makers = Object.entries(RUNTIMES).map(([name, start]) => [name, maker(start)]);
  return Object.fromEntries(makers);
}

/** dd's own clock stops before the sync, so the whole process is timed. It starts in a millisecond. */
export function dd(
  group: "write" | "copy",
  settings: string,
  operands: (run: Run) => string[],
): Contestant {
  return {
    ...{ id: `${group}-dd`, group, label: "dd", settings },
    command: (run) => run.tools.dd ? [run.tools.dd, ...operands(run)] : undefined,
    outcome: (_stdout, { size }) => ({ bytes: size }),
  };
}
