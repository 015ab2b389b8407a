// Runs the command line as a process of its own, as a shell does, for the tests of it.
import { eventually } from "../support/descriptors.ts";
import { engineIsOfNoConcern } from "../support/once.ts";
import { type CommandResult, run } from "../setup/command.ts";

/** The command line's entry. */
export const CLI: string = new URL("../../cli.ts", import.meta.url).pathname;

/** How a run ended, and what it said. */
export interface Ran {
  code: number;
  stdout: string;
  stderr: string;
  /** Standard output. */
  bytes: Uint8Array<ArrayBuffer>;
}

/** What a run is given beside its arguments. */
export interface Surroundings {
  env?: Record<string, string>;
  flags?: readonly string[];
}

/** Starts the command line with pipes on all three ends. */
export function spawn(...args: string[]): Deno.ChildProcess {
  return spawnWith({}, args);
}

/** As {@linkcode spawn}, in these surroundings. */
export function spawnWith(
  { env = {}, flags = ["-A"] }: Surroundings,
  args: readonly string[],
): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--no-check", ...flags, CLI, ...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1", ...env },
  }).spawn();
}

/** Waits for the end, which must come within a minute. */
export async function output(child: Deno.ChildProcess): Promise<Ran> {
  const deadline = setTimeout(() => child.kill("SIGKILL"), 60_000);
  const { code, stdout, stderr } = await child.output();
  clearTimeout(deadline);
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr), bytes: stdout };
}

/** Runs the command line to its end with `input` as standard input. */
export async function dma(
  args: string[],
  input: Uint8Array = new Uint8Array(),
  surroundings: Surroundings = {},
): Promise<Ran> {
  const child = spawnWith(surroundings, args);
  const ran = output(child);
  const stdin = child.stdin.getWriter();
  // A command that ends early closes its end of the pipe; that is not what is tested.
  await stdin.write(input as Uint8Array<ArrayBuffer>).then(() => stdin.close()).catch(() => {});
  return await ran;
}

/** Sends `input`, waits until `begun`, and sends a signal. Standard input stays open to the end. */
export async function interrupt(
  args: string[],
  input: Uint8Array<ArrayBuffer>,
  signal: Deno.Signal,
  begun: () => Promise<boolean> = () => Promise.resolve(true),
): Promise<Ran> {
  const child = spawn(...args);
  const ran = output(child);
  const stdin = child.stdin.getWriter();
  try {
    // Resolves only when all but a pipe's capacity was read, so the transfer is under way.
    await stdin.write(input);
    await eventually(begun, "Nothing was written");
    child.kill(signal);
  } catch (error) {
    child.kill("SIGKILL");
    throw new Error((await ran).stderr, { cause: error });
  }
  const result = await ran;
  await stdin.abort().catch(() => {});
  return result;
}

/** Runs a shell command in `dir`, in which `dma` is the command line. */
export function shell(dir: string, command: string): Promise<CommandResult> {
  const script = `dma() { "$deno" run -A --no-check "$cli" "$@"; }; cd "$dir"; ${command}`;
  return run("bash", ["-c", script], { env: { dir, deno: Deno.execPath(), cli: CLI } });
}

/** Registers a test that has a directory to itself. The command line does the same on both engines, unless told otherwise. */
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
