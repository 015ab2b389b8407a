// An example that is a server, started and stopped by a test.

import { assertEquals } from "@std/assert";
import { within } from "../../setup/command.ts";
import type { Example } from "./example.ts";

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
  static async start(
    example: Example,
    args: readonly string[] = [],
    flags?: readonly string[],
  ): Promise<Server> {
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

  /** The most memory that was ever resident, in bytes. */
  mostResident(): number {
    const status = Deno.readTextFileSync(`/proc/${this.child.pid}/status`);
    return Number(/VmHWM:\s+(\d+)/.exec(status)![1]) * 1024;
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

/** The status of a response. */
export async function statusOf(
  url: string,
  init: RequestInit & { client?: Deno.HttpClient } = {},
): Promise<number> {
  const response = await within(60, url, fetch(url, init));
  await response.body?.cancel();
  return response.status;
}
