// Runs an example by the command that its head comment names, with these flags and no others: from the checkout, and
// as a stranger would, who has a copy of the file and the URL of mod.ts.

import { assertEquals } from "@std/assert";
import { testInOneDirectory } from "../../support/dirs.ts";
import { StaticServer } from "../../support/static_server.ts";

const root = new URL("../../../", import.meta.url);

/** Who runs an example. */
export type Runner = "checkout" | "stranger";

/** How a run ended, and what it said. */
export interface Ran {
  readonly code: number;
  readonly signal: Deno.Signal | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The one command of an example, taken apart. */
export interface Command {
  /** As in the head comment. */
  readonly text: string;
  readonly flags: readonly string[];
  /** What follows the name of the file. */
  readonly args: readonly string[];
}

/** The command in the head comment of `examples/<name>.ts`. */
export function commandOf(name: string): Command {
  const source = Deno.readTextFileSync(new URL(`examples/${name}.ts`, root));
  const text = /^ \* (deno run .*)$/m.exec(source)?.[1];
  if (text === undefined) throw new Error(`The head of '${name}.ts' names no command`);
  const words = text.split(" ").slice(2);
  const file = words.findIndex((word) => !word.startsWith("--"));
  assertEquals(words[file], `examples/${name}.ts`);
  return { text, flags: words.slice(0, file), args: words.slice(file + 1) };
}

/** An example in a folder of its own. */
export class Example {
  readonly command: Command;

  constructor(
    readonly name: string,
    /** Where it runs. */
    readonly folder: string,
    readonly runner: Runner,
    /** What the stranger's project needs beside the example's own flags. */
    readonly extraFlags: readonly string[],
    readonly env: Readonly<Record<string, string>>,
  ) {
    this.command = commandOf(name);
  }

  /** The path of a file of this name in the folder. */
  file(name: string): string {
    return `${this.folder}/${name}`;
  }

  /** Starts it, with the arguments and the flags of its one command unless others are given. */
  spawn(
    args: readonly string[] = this.command.args,
    flags: readonly string[] = this.command.flags,
  ): Deno.ChildProcess {
    const path = this.runner === "stranger"
      ? `examples/${this.name}.ts`
      : new URL(`examples/${this.name}.ts`, root).pathname;
    return new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", ...flags, ...this.extraFlags, path, ...args],
      cwd: this.folder,
      env: { NO_COLOR: "1", ...this.env },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  }

  async run(args?: readonly string[], flags?: readonly string[]): Promise<Ran> {
    return await ended(this.spawn(args, flags));
  }
}

/** Without what Deno says of modules that it fetches: it would be quiet with a flag, but then servers are too. */
export function ownWords(stderr: string): string {
  return stderr.replace(/^(Download|Initialize) .*\n/gm, "");
}

/** How a process ended. It has a minute. */
export async function ended(child: Deno.ChildProcess): Promise<Ran> {
  const deadline = setTimeout(() => child.kill("SIGKILL"), 60_000);
  const { code, signal, stdout, stderr } = await child.output();
  clearTimeout(deadline);
  const decoder = new TextDecoder();
  return { code, signal, stdout: decoder.decode(stdout), stderr: ownWords(decoder.decode(stderr)) };
}

/** Gives `fn` an example that runs in `folder`, which must be empty. */
async function withExample(
  name: string,
  runner: Runner,
  folder: string,
  fn: (example: Example) => Promise<void>,
): Promise<void> {
  if (runner === "checkout") return await fn(new Example(name, folder, runner, [], {}));
  await using published = new StaticServer();
  const { host } = published;
  const imports = {
    "@denodma/dma": `http://${host}/mod.ts`,
    "@denodma/dma/node": `http://${host}/node.ts`,
  };
  await Deno.writeTextFile(`${folder}/deno.json`, JSON.stringify({ imports }));
  await Deno.mkdir(`${folder}/examples`);
  const copy = `${folder}/examples/${name}.ts`;
  await Deno.copyFile(new URL(`examples/${name}.ts`, root), copy);
  const flags = [`--allow-import=${host}`];
  await fn(new Example(name, folder, runner, flags, { DENO_DIR: strangersCache() }));
}

let cache: string | undefined;

/** Modules that a stranger has: at first none. All share it, so that what comes from npm comes once. */
function strangersCache(): string {
  if (cache === undefined) {
    const path = cache = Deno.makeTempDirSync({ prefix: "dma-examples-" });
    globalThis.addEventListener("unload", () => Deno.removeSync(path, { recursive: true }));
  }
  return cache;
}

export interface TestExampleOptions {
  /** @default {["checkout", "stranger"]} */
  runners?: readonly Runner[];
  ignore?: boolean;
}

/**
 * Registers a test of an example for each runner. Once for both engines: no example may look at DMA_ENGINE, which takes a
 * permission.
 */
export function testExample(
  name: string,
  sentence: string,
  fn: (example: Example) => Promise<void>,
  { runners = ["checkout", "stranger"], ignore = false }: TestExampleOptions = {},
): void {
  for (const runner of runners) {
    testInOneDirectory(
      `${name} ${sentence} [${runner}]`,
      ({ path }) => withExample(name, runner, path, fn),
      { bothEngines: false, ignore },
    );
  }
}
