// Runs an example of the checkout by the command that its head comment names, with these flags and no others.

import { fileURLToPath } from "node:url";
import { assertEquals } from "@std/assert";
import { type Ended, endOf } from "../../setup/command.ts";
import { testInOneDirectory } from "../../support/dirs.ts";

const root = new URL("../../../", import.meta.url);

type Command = Record<"source" | "text", string> & Record<"flags" | "args", string[]>;

/** The source of `examples/<name>.ts`, and the command in its head comment: `deno run <flags> examples/<name>.ts <args>`. */
export function commandOf(name: string): Command {
  const source = Deno.readTextFileSync(new URL(`examples/${name}.ts`, root));
  const text = /^ \* (deno run .*)$/m.exec(source)?.[1];
  if (text === undefined) throw new Error(`The head of '${name}.ts' names no command`);
  const words = text.split(" ").slice(2);
  const file = words.findIndex((word) => !word.startsWith("--"));
  assertEquals(words[file], `examples/${name}.ts`);
  return { source, text, flags: words.slice(0, file), args: words.slice(file + 1) };
}

export class Example {
  readonly command: Command;

  constructor(readonly name: string, readonly folder: string) {
    this.command = commandOf(name);
  }

  file(name: string): string {
    return `${this.folder}/${name}`;
  }

  /** Starts it, with the arguments and the flags of its one command unless others are given. */
  spawn(
    args: readonly string[] = this.command.args,
    flags: readonly string[] = this.command.flags,
  ): Deno.ChildProcess {
    const path = fileURLToPath(new URL(`examples/${this.name}.ts`, root));
    return new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", ...flags, path, ...args],
      cwd: this.folder,
      env: { NO_COLOR: "1" },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  }

  async run(args?: readonly string[], flags?: readonly string[]): Promise<Ended> {
    return await ended(this.spawn(args, flags));
  }

  /** Runs it. Throws unless it ends with 0. */
  async succeeds(args?: readonly string[]): Promise<Ended> {
    const ran = await this.run(args);
    assertEquals(ran.code, 0, ran.stderr);
    return ran;
  }
}

/** How an example ended. What Deno says of modules that it fetches is left out: with a flag servers would be quiet, too. */
export async function ended(child: Deno.ChildProcess): Promise<Ended> {
  const { stderr, ...rest } = await endOf(child);
  return { ...rest, stderr: stderr.replace(/^(Download|Initialize) .*\n/gm, "") };
}

/** Registers a test of an example. Once for both engines: no example may look at DMA_ENGINE, which takes a permission. */
export function testExample(
  name: string,
  sentence: string,
  fn: (example: Example) => Promise<void>,
  { ignore = false }: { ignore?: boolean } = {},
): void {
  const run = ({ path }: { path: string }) => fn(new Example(name, path));
  testInOneDirectory(`${name} ${sentence}`, run, { bothEngines: false, ignore });
}
