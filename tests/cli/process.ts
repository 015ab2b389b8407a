// Runs the command line as a process of its own, as a shell does, for the tests of it.
import { engineIsOfNoConcern } from "../support/once.ts";

/** The command line's entry. */
export const CLI: string = new URL("../../cli.ts", import.meta.url).pathname;

/** How a run ended, and what it said. */
export interface Ran {
  code: number;
  stdout: string;
  stderr: string;
}

/** Starts the command line with pipes on all three ends. */
export function spawn(...args: string[]): Deno.ChildProcess {
  return spawnWith({}, args);
}

/** As {@linkcode spawn}, with variables of the environment. */
export function spawnWith(env: Record<string, string>, args: string[]): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", CLI, ...args],
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
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** Runs the command line to its end with `input` as standard input. */
export async function dma(
  args: string[],
  input: Uint8Array = new Uint8Array(),
  env: Record<string, string> = {},
): Promise<Ran> {
  const child = spawnWith(env, args);
  const ran = output(child);
  const stdin = child.stdin.getWriter();
  // A command that ends early closes its end of the pipe; that is not what is tested.
  await stdin.write(input as Uint8Array<ArrayBuffer>).then(() => stdin.close()).catch(() => {});
  return await ran;
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
