// Where the project is, and what runs programs, checks whether they are installed, and waits for what they do.

import { fileURLToPath, pathToFileURL } from "node:url";
import { TextLineStream } from "../support/std_streams.ts";

export const root: string = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "");

/** The URL of one of the project's files, for a program that imports it. */
export function urlOf(path: string): string {
  return pathToFileURL(`${root}/${path}`).href;
}

export interface Ended {
  readonly success: boolean;
  /** The exit code; -1 if the program could not be started. */
  readonly code: number;
  readonly signal: Deno.Signal | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Both outputs. */
  readonly output: string;
  /** Standard output. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

function decoded({ stdout: bytes, stderr: errors, ...rest }: Deno.CommandOutput): Ended {
  const [stdout, stderr] = [bytes, errors].map((each) => new TextDecoder().decode(each));
  return { ...rest, stdout: stdout!, stderr: stderr!, output: stdout! + stderr!, bytes };
}

/** The PATH of many accounts, such as root's under `su`, lacks the folders of administration programs. */
export const searchPath = `${Deno.env.get("PATH") ?? "/usr/bin:/bin"}:/usr/sbin:/sbin`;

/** Saved, because programs under test replace the global function. */
const { setTimeout } = globalThis;

export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Waits until `condition` holds, at most a minute. */
export async function eventually(
  condition: () => boolean | Promise<boolean>,
  otherwise: string = String(condition),
): Promise<void> {
  // Programs under test replace other clocks.
  const deadline = Date.now() + 60_000;
  while (!await condition()) {
    if (Date.now() > deadline) throw new Error(`Not within a minute: ${otherwise}`);
    await pause(5);
  }
}

/** Whether the event loop turns in the first half of the time that some work takes. */
export async function turnsSoon(begin: () => Promise<unknown>): Promise<boolean> {
  const began = performance.now();
  const work = begin();
  await pause(1);
  const turned = performance.now();
  await work;
  return turned - began < performance.now() - turned;
}

/** Rejects if `work` takes longer: whatever goes wrong, nothing hangs. */
export async function within<T>(seconds: number, what: string | (() => string), work: Promise<T>) {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    const fail = () => reject(new Error(`${typeof what === "string" ? what : what()} hangs`));
    timer = setTimeout(fail, seconds * 1000);
  });
  return await Promise.race([work, late]).finally(() => clearTimeout(timer));
}

/** Prints a line that is marked as one of the setup, because other programs print too. */
export function say(line: string): void {
  console.log(`# ${line}`);
}

export interface RunOptions {
  readonly env?: Record<string, string> | undefined;
  /** Whether the variables of this process are left out. */
  readonly clearEnv?: boolean;
  readonly cwd?: string | URL;
  readonly signal?: AbortSignal;
}

export type StartOptions = RunOptions & Pick<Deno.CommandOptions, "stdin" | "stdout" | "stderr">;

/** Starts a program without a terminal. By default its outputs are pipes, and it has no input. */
export function start(
  program: string,
  args: readonly string[],
  { env, ...options }: StartOptions = {},
): Deno.ChildProcess {
  return new Deno.Command(program, {
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    ...options,
    args: [...args],
    env: { PATH: searchPath, LC_ALL: "C", NO_COLOR: "1", ...env },
  }).spawn();
}

/** Runs a program to its end. A missing program counts as failed. */
export async function run(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Ended> {
  try {
    return decoded(await start(program, args, options).output());
  } catch (error) {
    const none = { success: false, code: -1, signal: null, stdout: "", bytes: new Uint8Array() };
    return { ...none, stderr: String(error), output: String(error) };
  }
}

/** Runs a program and resolves to its output. If the program fails, throws an error with its last line. */
export async function runOrThrow(program: string, args: readonly string[], options?: RunOptions) {
  const { success, output } = await run(program, args, options);
  if (!success) throw new Error(`${program} failed: ${lastLine(output)}`);
  return output.trim();
}

/** The lines that a process prints. */
export function lines(output: ReadableStream<Uint8Array>): AsyncIterableIterator<string> {
  const text = output.pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>);
  return text.pipeThrough(new TextLineStream()).values();
}

/** Waits for the end of a process with pipes. It is killed after so many seconds, because no test may hang. */
export async function endOf(child: Deno.ChildProcess, seconds = 200): Promise<Ended> {
  const deadline = setTimeout(() => child.kill("SIGKILL"), seconds * 1000);
  const output = await child.output();
  clearTimeout(deadline);
  return decoded(output);
}

/** Runs a program to its end, shows its output, and resolves to it. Used for the console of an emulated machine. */
export async function runAndShow(program: string, args: readonly string[], signal: AbortSignal) {
  const child = start(program, args, { stderr: "inherit", signal });
  const [shown, kept] = child.stdout.tee();
  const showing = shown.pipeTo(Deno.stdout.writable, { preventClose: true });
  const output = await new Response(kept).text();
  await Promise.all([showing, child.status]);
  return output.replaceAll("\r", "");
}

/** Whether there is something at a path, of whatever kind. */
export function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

export function hasProgram(name: string): boolean {
  return (name.startsWith("/") ? [""] : searchPath.split(":")).some((directory) => {
    try {
      return Deno.statSync(`${directory}/${name}`).isFile;
    } catch {
      return false;
    }
  });
}

/** The last line of an output, in which most programs give the reason of a failure. */
export function lastLine(output: string): string {
  return output.trim().split("\n").at(-1) ?? "";
}

/** How many bytes of a file are in the page cache; undefined without fincore(1). */
export async function cachedBytes(path: string): Promise<number | undefined> {
  const { success, output } = await run("fincore", ["-nbro", "RES", path]);
  return success ? Number(output) : undefined;
}
