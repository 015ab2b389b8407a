// A file system in which the operation that a test chooses fails, is shortened, or is delayed.

import { lines, start } from "../setup/command.ts";
import { tool } from "./tools.ts";

/** A directory, mounted as a separate file system by tests/tools/faultfs.c. */
export class FaultFileSystem implements AsyncDisposable {
  readonly #commands: WritableStreamDefaultWriter<Uint8Array>;
  readonly #answers: AsyncIterableIterator<string>;

  private constructor(
    readonly child: Deno.ChildProcess,
    /** The mount point. */
    readonly path: string,
    /** The same files without faults. */
    readonly backing: string,
  ) {
    this.#commands = child.stdin.getWriter();
    this.#answers = lines(child.stdout);
  }

  /** Mounts one below `directory`. Its files are in the folder `backing`, which may be there. */
  static async open(directory: string, flags: readonly string[] = []): Promise<FaultFileSystem> {
    const [path, backing] = [`${directory}/faulty`, `${directory}/backing`];
    for (const each of [path, backing]) await Deno.mkdir(each, { recursive: true });
    const pipes = { stdin: "piped", stderr: "inherit" } as const;
    const child = start(await tool("faultfs"), [path, backing, ...flags], pipes);
    const server = new FaultFileSystem(child, path, backing);
    await server.#answer();
    return server;
  }

  async #answer(): Promise<string> {
    const { done, value } = await this.#answers.next();
    if (done) throw new Error("The server ended instead of answering");
    return value;
  }

  /** Sends a command. Resolves when it is answered, and rejects if the answer is an error. */
  async command(line: string): Promise<void> {
    await this.#commands.write(new TextEncoder().encode(`${line}\n`));
    const text = await this.#answer();
    if (text.startsWith("error")) throw new Error(`${line}: ${text}`);
  }

  /** The end of its input is the end of the server. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#commands.close().catch(() => {});
    await this.#answers.return?.();
    await this.child.status;
    await Deno.remove(this.path);
  }
}
