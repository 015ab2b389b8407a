// The example of resumable transfers: killed and interrupted in the middle, and resumed to the last byte.

import { assert, assertEquals } from "@std/assert";
import { eventually, pause } from "../setup/command.ts";
import { assertFile, assertNoFile, MIB, namesIn, pattern } from "../support/bytes.ts";
import { type Example, Server, statusOf, testExample } from "./example.ts";

const SIZE = 60 * MIB + 12_345;

/** The durable position that a transfer of this file has saved. */
async function noted(example: Example, name: string): Promise<number> {
  const path = example.file(`shared/.${name}.progress`);
  return JSON.parse(await Deno.readTextFile(path).catch(() => '{"position":0}')).position;
}

/** A server of one file, which sends a part of it and then waits, or breaks off. */
class Source implements AsyncDisposable {
  /** The end of the bytes that it sends to the next client. */
  until = SIZE;
  waits = true;
  version = '"one"';
  readonly starts: number[] = [];
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  constructor(public bytes: Uint8Array<ArrayBuffer>) {
    const options = { hostname: "127.0.0.1", port: 0, onListen() {} };
    this.#server = Deno.serve(options, (request) => this.#respond(request));
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}/data`;
  }

  #respond({ headers }: Request): Response {
    const { bytes, until, waits, version } = this;
    const range = headers.get("if-range") === version ? headers.get("range") : null;
    const start = Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1] ?? 0);
    this.starts.push(start);
    let at = start;
    const body = new ReadableStream({
      pull(controller) {
        if (at === bytes.length || at === until && !waits) return controller.close();
        if (at === until) return new Promise(() => {});
        const end = Math.min(at + 50_000, until, bytes.length);
        controller.enqueue(bytes.subarray(at, end));
        at = end;
      },
    });
    return new Response(body, {
      status: start === 0 ? 200 : 206,
      headers: {
        etag: version,
        "content-length": String(bytes.length - start),
        "content-range": `bytes ${start}-${bytes.length - 1}/${bytes.length}`,
      },
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

/** Registers a test of the example, whose folder exists. */
function testTransfer(sentence: string, fn: (example: Example) => Promise<void>): void {
  testExample("resumable_transfer", sentence, async (example) => {
    await Deno.mkdir(example.file("shared"));
    await fn(example);
  });
}

/** What an example prints of a file that is whole. */
async function sumOf(bytes: Uint8Array<ArrayBuffer>, name: string): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return `${digest.toHex()}  shared/${name}\n`;
}

/** The names in the folder. A kill while the progress is saved may leave the hidden name of an atomic file. */
async function namesLeft(example: Example): Promise<string[]> {
  return (await namesIn(example.file("shared"))).filter((name) => !name.endsWith(".tmp"));
}

testTransfer("resumes a download after each SIGKILL, unless the file changes", async (example) => {
  const bytes = pattern(SIZE);
  await using source = new Source(bytes);
  const args = ["download", source.url, "shared/data"];
  const [file, part] = [example.file("shared/data"), example.file("shared/.data.part")];
  for (source.until = 10 * MIB; source.until < 50 * MIB; source.until += 11 * MIB + 3000) {
    const before = await noted(example, "data");
    const child = example.spawn(args);
    await eventually(async () => await noted(example, "data") > before);
    // At any moment: while bytes arrive, in a sync, or while it waits for more.
    await pause(Math.random() * 50);
    child.kill("SIGKILL");
    await child.output();
    const position = await noted(example, "data");
    const left = await Deno.readFile(part);
    assertEquals(left.subarray(0, position), bytes.subarray(0, position));
  }
  source.waits = false;
  const breakOff = async (until: number) => {
    source.until = until;
    const { code, stderr } = await example.run(args);
    const kept = `Kept ${until} of ${SIZE} bytes: run it again to go on\n`;
    assertEquals([code, stderr], [1, kept]);
    await assertFile(part, bytes.subarray(0, until));
    source.until = SIZE;
  };
  await breakOff(55 * MIB);
  await assertNoFile(file);
  assertEquals((await example.succeeds(args)).stdout, await sumOf(bytes, "data"));
  await assertFile(file, bytes);
  assertEquals(await namesLeft(example), ["data"]);
  assertEquals(source.starts.lastIndexOf(0), 0, "It began anew");
  await breakOff(700_000);
  Object.assign(source, { version: '"two"', bytes: pattern(1_500_000, 77) });
  await example.succeeds(args);
  assertEquals(source.starts.slice(-2), [0, 0]);
  await assertFile(file, pattern(1_500_000, 77));
});

testTransfer("resumes an upload after its client, or the server, went away", async (example) => {
  const bytes = pattern(SIZE);
  await Deno.writeFile(example.file("shared/large.img"), bytes);
  /** Begins an upload by hand: so many bytes of the body. */
  const begin = async (server: Server, sent: number): Promise<Disposable> => {
    const connection = await server.connect();
    const headers = `Upload-Offset: 0\r\nUpload-Length: ${SIZE}\r\nContent-Length: ${SIZE}`;
    await connection.send(`PATCH /data HTTP/1.1\r\nHost: x\r\n${headers}\r\n\r\n`);
    await connection.send(bytes.subarray(0, sent));
    return connection;
  };
  const offset = async (server: Server) => {
    const { headers } = await fetch(server.url("/data"), { method: "HEAD" });
    return Number(headers.get("upload-offset"));
  };
  {
    await using server = await Server.start(example, ["serve"]);
    (await begin(server, 700_000))[Symbol.dispose]();
    await eventually(async () => await offset(server) === 700_000);
    const refused: [path: string, offset: string, length: string, status: number][] = [
      ["/data", "", "", 411],
      ["/data", "699999", String(SIZE), 409],
      ["/data", "0", "0", 413],
      ["/.data.part", "700000", String(SIZE), 400],
      ["/a%2fb", "0", "1", 400],
    ];
    for (const [path, offset, length, expected] of refused) {
      const headers = { "upload-offset": offset, "upload-length": length };
      const init = { method: "PATCH", headers, body: pattern(1) };
      assertEquals(await statusOf(server.url(path), init), expected, `${path} ${offset}`);
    }
    assertEquals(await statusOf(server.url("/none")), 404);
    // An upload that starts anew replaces the one before it.
    using _connection = await begin(server, 20 * MIB);
    await eventually(async () => await offset(server) > 700_000);
    await assertNoFile(example.file("shared/data"));
    server.child.kill("SIGKILL");
  }
  await using server = await Server.start(example, ["serve"]);
  assert(await offset(server) > 700_000);
  const upload = ["upload", "shared/large.img", server.url("/data")];
  assertEquals((await example.succeeds(upload)).stdout, await sumOf(bytes, "large.img"));
  await assertFile(example.file("shared/data"), bytes);
  assertEquals(await namesLeft(example), ["data", "large.img"]);
});
