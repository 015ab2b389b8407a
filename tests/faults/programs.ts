// Runs programs of tests/faults/programs: processes of their own that a test restricts, kills, or takes the
// machine away from.

import { searchPath } from "../setup/command.ts";

const folder = new URL("programs/", import.meta.url).pathname;

/** How a program is started. */
export interface ProgramOptions {
  args?: string[];
  env?: Record<string, string>;
  /** A command that starts Deno under some restriction. */
  wrapper?: readonly string[];
  /** The Deno that runs it; default the current one. */
  deno?: string;
  /** Runs this instead of a program of the folder. */
  script?: string;
  flags?: readonly string[];
  /** The folder of the module to test; default this checkout. */
  module?: string;
  /** Seconds after which it is killed: nothing may hang. */
  seconds?: number;
}

/** How a program ended, and what it printed. */
export interface Ended {
  code: number;
  signal: Deno.Signal | null;
  stdout: string;
  stderr: string;
  /** Whether it had to be killed. */
  late: boolean;
}

/** Starts `tests/faults/programs/<name>.ts`. */
export function spawn(name: string, options: ProgramOptions = {}): Deno.ChildProcess {
  const { args: own = [], wrapper = [], deno = Deno.execPath(), flags = ["-A"], module } = options;
  const programs = module ? `${module}/tests/faults/programs/` : folder;
  const script = options.script ?? `${programs}${name}.ts`;
  const command = [...wrapper, deno, "run", ...flags, "--no-check", script, ...own];
  const [program = "", ...args] = command;
  return new Deno.Command(program, {
    args,
    env: { PATH: searchPath, NO_COLOR: "1", ...options.env },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

export async function runProgram(name: string, options: ProgramOptions = {}): Promise<Ended> {
  const child = spawn(name, options);
  const { seconds = 60 } = options;
  let late = false;
  const deadline = setTimeout(() => {
    late = true;
    child.kill("SIGKILL");
  }, seconds * 1000);
  child.stdin.close().catch(() => {});
  const { code, signal, stdout, stderr } = await child.output();
  clearTimeout(deadline);
  const decoder = new TextDecoder();
  return { code, signal, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr), late };
}

/** Runs a program to its end, which must be a good one, and parses the last line that it printed. */
export async function resultOf<T>(name: string, options: ProgramOptions = {}): Promise<T> {
  const { code, signal, stdout, stderr, late } = await runProgram(name, options);
  const how = `${signal ?? code}${late ? ", late" : ""}`;
  if (code !== 0) throw new Error(`${name} ended with ${how}: ${stderr}${stdout}`);
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "");
}
