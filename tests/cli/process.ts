// Runs the command line as a separate process, like a shell.

import { fileURLToPath } from "node:url";
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { type CommandResult, type Ended, endOf, pause, run } from "../setup/command.ts";
import { eventually } from "../support/descriptors.ts";
import { testInOneDirectory } from "../support/dirs.ts";

export const CLI: string = fileURLToPath(new URL("../../cli.ts", import.meta.url));

/** The command that starts it. */
export const DMA: readonly string[] = [Deno.execPath(), "run", "-A", "--no-check", CLI];

export interface Surroundings {
  env?: Record<string, string>;
  flags?: readonly string[];
  cwd?: string;
}

/** A run of the command line whose standard input the test feeds. */
export class Running implements AsyncDisposable {
  readonly ended: Promise<Ended>;
  readonly #child: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;

  constructor(args: readonly string[], surroundings: Surroundings = {}) {
    const { env = {}, flags = ["-A"], cwd = "." } = surroundings;
    this.#child = new Deno.Command(Deno.execPath(), {
      cwd,
      args: ["run", "--no-prompt", "--no-check", ...flags, CLI, ...args],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
      env: { NO_COLOR: "1", ...env },
    }).spawn();
    this.ended = endOf(this.#child);
    this.#stdin = this.#child.stdin.getWriter();
  }

  /** Starts `dma write` with these options, and waits until it has opened a file in the directory of `path`. */
  static async writing(path: string, options: string[] = [], engine = ""): Promise<Running> {
    const running = new Running(["write", ...options, path], { env: { DMA_ENGINE: engine } });
    const directory = path.slice(0, path.lastIndexOf("/"));
    await eventually(() => running.filesIn(directory).length > 0, "The file was not opened");
    return running;
  }

  /** Paths in /proc of its descriptors that lead into a directory, also to files that have no name yet. */
  filesIn(directory: string): string[] {
    const folder = `/proc/${this.#child.pid}/fd`;
    return [...Deno.readDirSync(folder)].map(({ name }) => `${folder}/${name}`).filter((path) => {
      try {
        return Deno.readLinkSync(path).startsWith(`${directory}/`);
      } catch {
        return false;
      }
    });
  }

  /** Bytes that it has read ("rchar") or written ("wchar") so far, pipes included. */
  async moved(counter: "rchar" | "wchar"): Promise<number> {
    const io = await Deno.readTextFile(`/proc/${this.#child.pid}/io`);
    return Number(new RegExp(`^${counter}: (\\d+)`, "m").exec(io)?.[1]);
  }

  /** Resolves when the process has read the bytes from the pipe and accepted them. */
  async send(input: string | Uint8Array<ArrayBuffer>): Promise<void> {
    const bytes = typeof input === "string" ? new TextEncoder().encode(input) : input;
    const before = await this.moved("rchar");
    await this.#stdin.write(bytes);
    const isRead = async () => await this.moved("rchar") >= before + bytes.length;
    await eventually(isRead, "The input was not read");
    await pause(100);
  }

  /** Whether one of its threads waits for the other end of a FIFO. */
  async waitsForFifo(): Promise<boolean> {
    const tasks = `/proc/${this.#child.pid}/task`;
    const places = [...Deno.readDirSync(tasks)].map(({ name }) =>
      Deno.readTextFile(`${tasks}/${name}/wchan`).catch(() => "")
    );
    return (await Promise.all(places)).includes("wait_for_partner");
  }

  /** Ends standard input after these bytes. */
  async finish(input = new Uint8Array()): Promise<Ended> {
    // A command that ends early closes its end of the pipe.
    await this.#stdin.write(input).then(() => this.#stdin.close()).catch(() => {});
    return await this.ended;
  }

  async stop(...signals: Deno.Signal[]): Promise<Ended> {
    for (const signal of signals) this.#child.kill(signal);
    return await this.ended;
  }

  /** Ends it, however it is. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#stdin.abort().catch(() => {});
    await this.ended;
  }
}

/** Runs the command line to its end with `input` as standard input. */
export async function dma(
  args: readonly string[],
  input?: Uint8Array<ArrayBuffer>,
  surroundings?: Surroundings,
): Promise<Ended> {
  return await new Running(args, surroundings).finish(input);
}

/** Like {@linkcode dma}. Throws unless the command ends with 0. */
export async function succeeds(...args: Parameters<typeof dma>): Promise<Ended> {
  const ran = await dma(...args);
  assertEquals(ran.code, 0, ran.stderr);
  return ran;
}

/** Throws unless a command has ended with `code`, and its only output is one line of error with `says`. */
export function assertRefused(ran: Ended, code: number, says: string | RegExp): void {
  assertEquals([ran.code, ran.stdout], [code, ""], `${says}: ${ran.stderr}`);
  assertMatch(ran.stderr, /^dma: [^\n]*\n$/);
  if (typeof says === "string") assertStringIncludes(ran.stderr, says);
  else assertMatch(ran.stderr, says);
}

/** Runs a bash command in `dir`, in which `dma` is the command line with `flags`, also for further shells. */
export function shell(dir: string, command: string, flags = "-A"): Promise<CommandResult> {
  const script = `dma() { "$deno" run --no-check --no-prompt $flags "$cli" "$@"; }
    export -f dma; cd "$dir"
    ${command}`;
  return run("bash", ["-c", script], { env: { dir, deno: Deno.execPath(), cli: CLI, flags } });
}

/**
 * Registers a test with a directory of its own. By default it runs on one engine, because the command line behaves alike
 * on both.
 */
export function testDma(
  name: string,
  fn: (dir: string) => Promise<void>,
  options: { bothEngines?: boolean; ignore?: boolean } = {},
): void {
  testInOneDirectory(name, ({ path }) => fn(path), { bothEngines: false, ...options });
}
