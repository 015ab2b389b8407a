// Runs one process to its end and measures it: seconds, CPU time of the process and its children, peak memory.

import { hasProgram, run } from "../../tests/setup/command.ts";

const RUSAGE_CHILDREN = -1;

const libc = Deno.dlopen("libc.so.6", {
  getrusage: { parameters: ["i32", "buffer"], result: "i32" }, // who, usage
});

/** CPU seconds of every child that has ended so far, io_uring's workers included. */
function childrenCpu(): { user: number; system: number } {
  // struct rusage begins with two struct timeval: seconds and microseconds, user and system.
  const usage = new BigInt64Array(18);
  if (libc.symbols.getrusage(RUSAGE_CHILDREN, usage) !== 0) {
    throw new Error("Cannot read the CPU time of children: getrusage failed");
  }
  const at = (index: number) => Number(usage[index]!);
  return { user: at(0) + at(1) / 1e6, system: at(2) + at(3) / 1e6 };
}

/** The output and the cost of a process. */
export interface ProcessCost {
  readonly stdout: string;
  readonly stderr: string;
  /** Seconds from start to end. */
  readonly wall: number;
  readonly user: number;
  readonly system: number;
  /** Peak resident memory in bytes; undefined if GNU time is not installed. */
  readonly peakMemory: number | undefined;
}

/** GNU time, which reports the peak memory of any process, if it is installed. */
const gnuTime = ["/usr/bin/time"].find(hasProgram);

/** Runs a command. Only one may run at a time, because getrusage counts all children together. */
export async function runMeasured(command: readonly string[]): Promise<ProcessCost> {
  const memoryFile = gnuTime && await Deno.makeTempFile();
  const whole = memoryFile
    ? [gnuTime!, "--format=%M", `--output=${memoryFile}`, ...command]
    : command;
  const before = childrenCpu();
  const started = performance.now();
  const output = await new Deno.Command(whole[0]!, {
    args: whole.slice(1),
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1" },
  }).output();
  const wall = (performance.now() - started) / 1000;
  const after = childrenCpu();
  const stdout = new TextDecoder().decode(output.stdout);
  const stderr = new TextDecoder().decode(output.stderr);
  let peakMemory: number | undefined;
  if (memoryFile) {
    // GNU time writes its figures into the last line, behind a possible note about a failed command.
    const kibibytes = Number((await Deno.readTextFile(memoryFile)).trim().split("\n").at(-1));
    if (kibibytes > 0) peakMemory = kibibytes * 1024;
    await Deno.remove(memoryFile);
  }
  if (!output.success) {
    throw new Error(`Command failed with code ${output.code}: ${command.join(" ")}\n${stderr}`);
  }
  const user = after.user - before.user;
  const system = after.system - before.system;
  return { stdout, stderr, wall, user, system, peakMemory };
}

/** The output of a command; undefined if it is missing or fails. */
export async function tryCommand(
  [program = "", ...args]: readonly string[],
): Promise<string | undefined> {
  const { success, stdout } = await run(program, args);
  return success ? stdout.trim() : undefined;
}
