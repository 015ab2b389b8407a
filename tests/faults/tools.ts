// Compiles the C programs of tests/tools and talks to those that run beside a test.

import { fileURLToPath } from "node:url";
import { run, searchPath } from "../setup/command.ts";
import { workDirectory } from "./machine.ts";

const sources = fileURLToPath(new URL("../tools/", import.meta.url));

let built: Promise<string> | undefined;
const programs = new Map<string, Promise<string>>();

/** The path of a compiled program of tests/tools. Compiled once a test file. */
export function tool(name: string, flags: readonly string[] = []): Promise<string> {
  const key = [name, ...flags].join(" ");
  let program = programs.get(key);
  if (!program) programs.set(key, program = compile(name, flags));
  return program;
}

/** As {@linkcode tool}, of a library, with macros defined. */
export function library(name: string, ...macros: string[]): Promise<string> {
  return tool(name, ["-shared", "-fPIC", ...macros.map((macro) => `-D${macro}`)]);
}

async function compile(name: string, more: readonly string[]): Promise<string> {
  built ??= workDirectory();
  const directory = await built;
  addEventListener("unload", () => {
    try {
      Deno.removeSync(directory, { recursive: true });
    } catch {
      // Another listener was first.
    }
  });
  const path = `${directory}/${[name, ...more].join("")}`;
  const flags = ["-O2", "-Wall", "-Wextra", "-Werror", "-pthread", ...more];
  const { success, output } = await run("gcc", [...flags, "-o", path, `${sources}${name}.c`]);
  if (!success) throw new Error(`Cannot compile ${name}.c: ${output}`);
  return path;
}

/** A program that runs beside the test: each line of input is a command, each line of output an answer. */
export class Daemon implements AsyncDisposable {
  readonly #commands: WritableStreamDefaultWriter<Uint8Array>;
  readonly #answers: AsyncIterableIterator<string>;

  private constructor(readonly child: Deno.ChildProcess) {
    this.#commands = child.stdin.getWriter();
    this.#answers = lines(child.stdout);
  }

  /** Starts `tool`, and resolves when it reports that it is ready. */
  static async start(name: string, args: string[]): Promise<Daemon> {
    const child = new Deno.Command(await tool(name), {
      args,
      env: { PATH: searchPath },
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const daemon = new Daemon(child);
    await daemon.#answer();
    return daemon;
  }

  async #answer(): Promise<string> {
    const { done, value } = await this.#answers.next();
    if (done) throw new Error("The program ended instead of answering");
    return value;
  }

  /** Sends a command and resolves to the answer: answers come in the order of commands. Throws if it is an error. */
  async command(line: string): Promise<string> {
    await this.#commands.write(new TextEncoder().encode(`${line}\n`));
    const text = await this.#answer();
    if (text.startsWith("error")) throw new Error(`${line}: ${text}`);
    return text;
  }

  /** Adds a fault: what follows "fault" in the commands of tests/tools/fuse_wire.h. */
  async fault(rule: string): Promise<void> {
    await this.command(`fault ${rule}`);
  }

  /** The number of faults so far. */
  async fired(): Promise<number> {
    return Number(await this.command("fired"));
  }

  /** The end of its input is the end of the program. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#commands.close().catch(() => {});
    await this.#answers.return?.();
    await this.child.status;
  }
}

export async function* lines(
  output: ReadableStream<Uint8Array>,
): AsyncIterableIterator<string> {
  let rest = "";
  const text = output.pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>);
  for await (const part of text) {
    const parts = (rest + part).split("\n");
    rest = parts.pop()!;
    yield* parts;
  }
  if (rest) yield rest;
}
