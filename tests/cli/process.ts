// Runs the command line as a separate process, like a shell.

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { type Ended, endOf, eventually, pause, root, run, start } from "../setup/command.ts";
import { testInOneDirectory } from "../support/dirs.ts";

export const CLI: string = `${root}/cli.ts`;

export const COMMANDS = ["write", "copy", "read", "doctor", "bench", "completion"];

export const DMA: readonly string[] = [Deno.execPath(), "run", "-A", "--no-check", CLI];

export interface Surroundings {
  flags?: readonly string[];
  cwd?: string;
}

/** A run of the command line whose standard input the test feeds. */
export class Running implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  #ended: Promise<Ended> | undefined;

  constructor(args: readonly string[], surroundings: Surroundings = {}) {
    const { flags = ["-A"], cwd = "." } = surroundings;
    const command = ["run", "--no-prompt", "--no-check", ...flags, CLI, ...args];
    this.#child = start(Deno.execPath(), command, { cwd, stdin: "piped" });
    this.#stdin = this.#child.stdin.getWriter();
  }

  /** Starts `dma write` with these options, and waits until it has opened a file in the directory of `path`. */
  static async writing(path: string, options: string[] = []): Promise<Running> {
    const running = new Running(["write", ...options, path]);
    const directory = path.slice(0, path.lastIndexOf("/"));
    await eventually(() => running.filesIn(directory).length > 0, "The file was not opened");
    return running;
  }

  /** Its end. Nobody reads its output before this is asked for. */
  get ended(): Promise<Ended> {
    return this.#ended ??= endOf(this.#child);
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

  /** Gives it input. Resolves when it has accepted the bytes, and waits for more. */
  async send(input: string | Uint8Array<ArrayBuffer>): Promise<void> {
    const bytes = typeof input === "string" ? new TextEncoder().encode(input) : input;
    const read = async () => {
      const io = await Deno.readTextFile(`/proc/${this.#child.pid}/io`);
      return Number(/^rchar: (\d+)/m.exec(io)?.[1]);
    };
    const before = await read();
    await this.#stdin.write(bytes);
    // It can also sleep because the disk is slow and all buffers are full.
    await eventually(async () => await read() >= before + bytes.length, "The input was not read");
    await this.waits();
  }

  /** Resolves when all its threads sleep, and none has run for a moment. So it has done all that it can. */
  async waits(): Promise<void> {
    const tasks = `/proc/${this.#child.pid}/task`;
    const states = async () => {
      const reads = [...Deno.readDirSync(tasks)].map(({ name }) =>
        Deno.readTextFile(`${tasks}/${name}/status`).catch(() => "")
      );
      const counts = /^(State|\w+_ctxt_switches):.*/gm;
      return (await Promise.all(reads)).map((status) => status.match(counts)).join();
    };
    await eventually(async () => {
      const before = await states();
      await pause(30);
      return await states() === before && !/State:\s[^S]/.test(before);
    }, "It does not wait");
  }

  /** Ends standard input after these bytes. */
  async finish(input = new Uint8Array()): Promise<Ended> {
    const { ended } = this;
    // A command that ends early closes its end of the pipe.
    await this.#stdin.write(input).then(() => this.#stdin.close()).catch(() => {});
    return await ended;
  }

  /** Sends it a signal, unless it has ended. */
  async stop(signal: Deno.Signal): Promise<Ended> {
    try {
      this.#child.kill(signal);
    } catch {
      // It has ended.
    }
    return await this.ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const stopped = this.stop("SIGKILL");
    await this.#stdin.abort().catch(() => {});
    await stopped;
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

/** Bytes that a file takes on the disk. */
export async function spaceOf(path: string): Promise<number> {
  return (await Deno.stat(path)).blocks! * 512;
}

/** Throws unless a command has ended with `code`, and its only output is one line of error with `says`. */
export function assertRefused(ran: Ended, code: number, says: string | RegExp): void {
  assertEquals([ran.code, ran.stdout], [code, ""], `${says}: ${ran.stderr}`);
  assertMatch(ran.stderr, /^dma: [^\n]*\n$/);
  if (typeof says === "string") assertStringIncludes(ran.stderr, says);
  else assertMatch(ran.stderr, says);
}

/** Runs a bash command in `dir`, in which `dma` is the command line with `flags`, also for further shells. */
export function shell(dir: string, command: string, flags = "-A"): Promise<Ended> {
  const script = `dma() { "$deno" run --no-check --no-prompt $flags "$cli" "$@"; }
    export -f dma; cd "$dir"
    ${command}`;
  return run("bash", ["-c", script], { env: { dir, deno: Deno.execPath(), cli: CLI, flags } });
}

/** Registers a test with a directory of its own, by default on one engine: the command line is alike on both. */
export function testDma(
  name: string,
  fn: (dir: string) => Promise<void>,
  options: { bothEngines?: boolean; ignore?: boolean; needs?: string[] } = {},
): void {
  testInOneDirectory(name, ({ path }) => fn(path), { bothEngines: false, ...options });
}
