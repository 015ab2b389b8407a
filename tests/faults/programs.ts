// Runs programs of tests/faults/programs as processes that a test restricts or kills, or whose machine fails.

import { type Ended, endOf, root, start } from "../setup/command.ts";
import { standInArguments } from "../setup/import_map.ts";
import type { jobs } from "./programs/jobs.ts";

export interface ProgramOptions {
  args?: string[];
  env?: Record<string, string>;
  /** A command that starts Deno under a restriction. */
  wrapper?: readonly string[];
  /** The Deno that runs it; default the current one. */
  deno?: string;
  /** Runs this instead of a program of the folder. */
  script?: string;
  flags?: readonly string[];
  /** The folder of the module to test; default this checkout. */
  module?: string;
  /** Seconds after which the program is killed. @default {200} */
  seconds?: number;
}

/** Starts `tests/faults/programs/<name>.ts`. */
export function spawn(name: string, options: ProgramOptions = {}): Deno.ChildProcess {
  const { args: own = [], wrapper = [], deno = Deno.execPath(), flags = ["-A"] } = options;
  const { module = root, script = `${module}/tests/faults/programs/${name}.ts` } = options;
  const run = ["run", ...flags, "--no-check", ...standInArguments(module), script];
  const [program = "", ...args] = [...wrapper, deno, ...run, ...own];
  return start(program, args, { env: options.env, stdin: "piped" });
}

export async function runProgram(name: string, options: ProgramOptions = {}): Promise<Ended> {
  const child = spawn(name, options);
  child.stdin.close().catch(() => {});
  return await endOf(child, options.seconds);
}

type Jobs = typeof jobs;

/** Runs one of the {@linkcode jobs} in a process, which must be successful. Resolves to its result. */
export async function resultOf<Name extends keyof Jobs>(
  job: Name,
  args: Parameters<Jobs[Name]>,
  options: ProgramOptions = {},
): Promise<Awaited<ReturnType<Jobs[Name]>>> {
  const ended = await runProgram("jobs", { ...options, args: [job, ...args as string[]] });
  const { code, signal, stdout, stderr } = ended;
  if (code !== 0) throw new Error(`${job} ended with ${signal ?? code}: ${stderr}${stdout}`);
  return JSON.parse(stdout);
}
