// Runs an example of the checkout by the command that its head comment names, with these flags and no others.

import { assertEquals } from "@std/assert";
import { type Ended, endOf, root, start, within } from "../setup/command.ts";
import { testInOneDirectory } from "../support/dirs.ts";

type Command = Record<"source" | "text", string> & Record<"flags" | "args", string[]>;

/** The source of `examples/<name>.ts`, and the command in its head comment: `deno run <flags> examples/<name>.ts <args>`. */
export function commandOf(name: string): Command {
  const source = Deno.readTextFileSync(`${root}/examples/${name}.ts`);
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
  spawn(args = this.command.args, flags = this.command.flags): Deno.ChildProcess {
    const path = `${root}/examples/${this.name}.ts`;
    const command = ["run", "--no-prompt", ...flags, path, ...args];
    return start(Deno.execPath(), command, { cwd: this.folder });
  }

  async run(args?: string[], flags?: string[]): Promise<Ended> {
    return await ended(this.spawn(args, flags));
  }

  async succeeds(args?: string[]): Promise<Ended> {
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
export function testExample(name: string, claim: string, fn: (example: Example) => Promise<void>) {
  const options = { bothEngines: false };
  testInOneDirectory(`${name} ${claim}`, ({ path }) => fn(new Example(name, path)), options);
}

/** An example that is a server. */
export class Server implements AsyncDisposable {
  /** What it said on standard error, up to now. */
  said = "";
  /** The port that it listens on; undefined where it ended before it did. */
  port: number | undefined;
  readonly #listening = Promise.withResolvers<number | undefined>();
  readonly #read: Promise<unknown>;

  private constructor(readonly child: Deno.ChildProcess) {
    this.#read = Promise.all([this.#listen(), child.stdout.pipeTo(new WritableStream())]);
  }

  /** Starts an example on a free port, and waits until it listens or has ended. */
  static async start(example: Example, args: string[] = [], flags?: string[]): Promise<Server> {
    const server = new Server(example.spawn(["--port", "0", ...args], flags));
    server.port = await server.#listening.promise;
    return server;
  }

  async #listen(): Promise<void> {
    for await (const text of this.child.stderr.pipeThrough(new TextDecoderStream())) {
      this.said += text;
      const [, port] = /Listening on http:\/\/127\.0\.0\.1:(\d+)\//.exec(this.said) ?? [];
      if (port) this.#listening.resolve(Number(port));
    }
    this.#listening.resolve(undefined);
  }

  url(path: string): string {
    return `http://127.0.0.1:${this.port}${path}`;
  }

  /** A connection for what no HTTP client would do. */
  async connect(): Promise<Connection> {
    return new Connection(await Deno.connect({ hostname: "127.0.0.1", port: this.port! }));
  }

  /** Throws unless it ends, with 0. */
  async ended(): Promise<void> {
    const { code } = await within(60, "The server", this.child.status);
    assertEquals(code, 0, this.said);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.child.status;
    await this.#read;
  }
}

/** A TCP connection that speaks HTTP/1 by hand. */
export class Connection implements Disposable {
  constructor(readonly tcp: Deno.TcpConn) {}

  async send(data: string | Uint8Array): Promise<void> {
    const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
    for (let done = 0; done < bytes.length;) done += await this.tcp.write(bytes.subarray(done));
  }

  async beginPut(path: string, length: number): Promise<void> {
    await this.send(`PUT ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\n`);
  }

  async status(): Promise<number> {
    const buffer = new Uint8Array(4096);
    const count = await this.tcp.read(buffer) ?? 0;
    const answer = new TextDecoder().decode(buffer.subarray(0, count));
    return Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]);
  }

  [Symbol.dispose](): void {
    this.tcp.close();
  }
}

type Init = RequestInit & { client?: Deno.HttpClient };

export async function statusOf(url: string, init: Init = {}): Promise<number> {
  const response = await within(60, url, fetch(url, init));
  await response.body?.cancel();
  return response.status;
}
