// Runs the command line as a separate process, like a shell.

import { fileURLToPath } from "node:url";
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { type CommandResult, type Ended, endOf, run } from "../setup/command.ts";
import { eventually } from "../support/descriptors.ts";
import { engineIsOfNoConcern } from "../support/once.ts";

export const CLI: string = fileURLToPath(new URL("../../cli.ts", import.meta.url));

/** The command that starts it. */
export const DMA: readonly string[] = [Deno.execPath(), "run", "-A", "--no-check", CLI];

export interface Surroundings {
  env?: Record<string, string>;
  flags?: readonly string[];
}

/** Starts the command line with pipes on all three ends. */
export function spawn(
  args: readonly string[],
  { env = {}, flags = ["-A"] }: Surroundings = {},
): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--no-check", ...flags, CLI, ...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1", ...env },
  }).spawn();
}

/** Runs the command line to its end with `input` as standard input. */
export async function dma(
  args: readonly string[],
  input: Uint8Array = new Uint8Array(),
  surroundings: Surroundings = {},
): Promise<Ended> {
  const child = spawn(args, surroundings);
  const ran = endOf(child);
  const stdin = child.stdin.getWriter();
  // A command that ends early closes its end of the pipe, which is not tested here.
  await stdin.write(input as Uint8Array<ArrayBuffer>).then(() => stdin.close()).catch(() => {});
  return await ran;
}

/** Like {@linkcode dma}. Throws unless the command ends with 0. */
export async function succeeds(...args: Parameters<typeof dma>): Promise<Ended> {
  const ran = await dma(...args);
  assertEquals(ran.code, 0, ran.stderr);
  return ran;
}

/**
 * Like {@linkcode dma}. Throws unless the command ends with `code`, and its only output is one line of error with
 * `says`.
 */
export async function fails(
  code: number,
  args: readonly string[],
  says: string | RegExp,
  ...more: [input?: Uint8Array, surroundings?: Surroundings]
): Promise<void> {
  const { code: ended, stdout, stderr } = await dma(args, ...more);
  assertEquals([ended, stdout], [code, ""], `${args.join(" ")}: ${stderr}`);
  assertMatch(stderr, /^dma: [^\n]*\n$/);
  if (typeof says === "string") assertStringIncludes(stderr, says);
  else assertMatch(stderr, says);
}

/** How a run is stopped. */
export interface Stopping {
  /** Standard input, which stays open to the end; else it is closed. */
  input?: Uint8Array<ArrayBuffer>;
  signal?: Deno.Signal;
  /** Whether it is time. Gets the identifier of the process. */
  begun?: (pid: number) => Promise<boolean>;
}

/** Runs the command line until it is time for a signal. */
export async function interrupt(
  args: readonly string[],
  { input, signal = "SIGINT", begun = () => Promise.resolve(true) }: Stopping,
): Promise<Ended> {
  const child = spawn(args);
  const ran = endOf(child);
  const stdin = child.stdin.getWriter();
  try {
    // A write resolves only when all but a pipe's capacity was read, so the transfer is running.
    await (input ? stdin.write(input) : stdin.close());
    await eventually(() => begun(child.pid), "it has begun");
    child.kill(signal);
  } catch (error) {
    child.kill("SIGKILL");
    throw new Error((await ran).stderr, { cause: error });
  }
  const result = await ran;
  await stdin.abort().catch(() => {});
  return result;
}

/** Paths in /proc of a process's descriptors that lead into a directory, also to files that have no name yet. */
export async function openIn(pid: number, directory: string): Promise<string[]> {
  const paths = [...Deno.readDirSync(`/proc/${pid}/fd`)].map(({ name }) =>
    `/proc/${pid}/fd/${name}`
  );
  const targets = await Promise.all(paths.map((path) => Deno.readLink(path).catch(() => "")));
  return paths.filter((_, index) => targets[index]!.startsWith(`${directory}/`));
}

/** Runs a bash command in `dir`, in which `dma` is the command line with `flags`, also for further shells. */
export function shell(dir: string, command: string, flags = "-A"): Promise<CommandResult> {
  const script = `dma() { "$deno" run --no-check --no-prompt $flags "$cli" "$@"; }
    export -f dma; cd "$dir"
    ${command}`;
  return run("bash", ["-c", script], { env: { dir, deno: Deno.execPath(), cli: CLI, flags } });
}

/**
 * Registers a test with a separate directory. By default it runs on one engine, because the command line behaves alike
 * on both.
 */
export function testInDirectory(
  name: string,
  fn: (dir: string) => Promise<void>,
  { bothEngines = false, ignore = false }: { bothEngines?: boolean; ignore?: boolean } = {},
): void {
  if (!bothEngines && !engineIsOfNoConcern) return;
  Deno.test(name, { ignore }, async () => {
    const dir = await Deno.makeTempDir({ prefix: "dma-cli-" });
    try {
      await fn(dir);
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  });
}
