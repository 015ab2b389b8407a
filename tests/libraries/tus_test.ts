// Resumable uploads by @tus/server with a custom store under Deno.serve: an upload appears when it is complete, and an
// interrupted one resumes from the bytes on the disk.

import "../support/engine.ts";
import { assert, assertEquals } from "@std/assert";
import { assertFile, namesIn, pattern } from "../support/bytes.ts";
import { descriptorsIn, eventually } from "../support/descriptors.ts";
import { type TestDirectory, testInOneDirectory } from "../support/dirs.ts";
import { isAvailable } from "./packages.ts";

const MiB = 1 << 20;
const available = await isAvailable("npm:@tus/server@2.4.5");

class Client {
  readonly #origin: string;
  /** The number of requests. */
  sent = 0;

  constructor(readonly port: number) {
    this.#origin = `http://127.0.0.1:${port}`;
  }

  async #request(method: string, path: string, init: RequestInit = {}): Promise<Response> {
    this.sent++;
    const headers = { "Tus-Resumable": "1.0.0", ...init.headers };
    const response = await fetch(this.#origin + path, { ...init, method, headers });
    await response.body?.cancel();
    return response;
  }

  /** Announces an upload. Resolves to its path. */
  async create(length: number): Promise<string> {
    const headers = { "Upload-Length": `${length}` };
    const response = await this.#request("POST", "/files", { headers });
    return new URL(response.headers.get("location")!, this.#origin).pathname;
  }

  /** The offset of an upload on the server. */
  async offset(path: string): Promise<number> {
    return Number((await this.#request("HEAD", path)).headers.get("upload-offset"));
  }

  async patch(path: string, offset: number, body: Uint8Array<ArrayBuffer>): Promise<number> {
    const { status } = await this.#request("PATCH", path, { headers: patchHeaders(offset), body });
    return status;
  }

  /** Sends the first `length` bytes of a body, and closes the connection. */
  async breakOff(path: string, offset: number, body: Uint8Array, length: number): Promise<void> {
    this.sent++;
    using connection = await Deno.connect({ hostname: "127.0.0.1", port: this.port });
    const headers = {
      Host: "127.0.0.1",
      "Tus-Resumable": "1.0.0",
      "Content-Length": `${body.length}`,
      ...patchHeaders(offset),
    };
    const lines = Object.entries(headers).map((header) => header.join(": "));
    const head = [`PATCH ${path} HTTP/1.1`, ...lines, "\r\n"].join("\r\n");
    for (const bytes of [new TextEncoder().encode(head), body.subarray(0, length)]) {
      for (let sent = 0; sent < bytes.length;) sent += await connection.write(bytes.subarray(sent));
    }
  }
}

function patchHeaders(offset: number): Record<string, string> {
  return { "Content-Type": "application/offset+octet-stream", "Upload-Offset": `${offset}` };
}

/** `idle` resolves when the server has finished every request of the client, interrupted ones included. */
type Test = (dir: TestDirectory, client: Client, idle: () => Promise<void>) => Promise<void>;

function test(title: string, fn: Test): void {
  testInOneDirectory(`@tus/server: ${title}`, async (dir) => {
    const { Server } = await import("npm:@tus/server@2.4.5");
    const { DmaStore } = await import("./tus/store.ts");
    const datastore = new DmaStore(dir.path);
    const tus = new Server({ path: "/files", datastore });
    let handled = 0;
    const handle = (request: Request) => tus.handleWeb(request).finally(() => handled++);
    await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, handle);
    const client = new Client(server.addr.port);
    await fn(dir, client, () => eventually(() => handled === client.sent));
  }, {
    ignore: !available,
    bothEngines: false,
    // The server uses timers for interrupted connections, and does not clear them.
    sanitizeOps: false,
    sanitizeResources: false,
  });
}

const stored = (dir: TestDirectory, path: string) =>
  dir.file(path.slice(path.lastIndexOf("/") + 1));

test("an upload in one piece arrives, and an empty one at once", async (dir, client) => {
  const empty = await client.create(0);
  await assertFile(stored(dir, empty), new Uint8Array());
  await Deno.remove(stored(dir, empty));
  const bytes = pattern(5 * MiB + 1);
  const path = await client.create(bytes.length);
  assertEquals(await client.patch(path, 0, bytes), 204);
  assertEquals(await client.offset(path), bytes.length);
  await assertFile(stored(dir, path), bytes);
  assertEquals((await namesIn(dir.path)).length, 1);
});

test("an upload in pieces appears with the last one", async (dir, client) => {
  const bytes = pattern(3 * MiB);
  const path = await client.create(bytes.length);
  let at = 0;
  for (const length of [1, 4095, 70_000, MiB, bytes.length - MiB - 74_096]) {
    assert(!(await namesIn(dir.path)).includes(path.slice("/files/".length)));
    assertEquals(await client.patch(path, at, bytes.slice(at, at + length)), 204);
    at += length;
    assertEquals(await client.offset(path), at);
  }
  await assertFile(stored(dir, path), bytes);
  assertEquals((await namesIn(dir.path)).length, 1);
});

test("an interrupted upload is not published, and can be resumed", async (dir, client, idle) => {
  const bytes = pattern(6 * MiB + 5);
  const path = await client.create(bytes.length);
  let offset = 0;
  for (const length of [100, 300_001, 2 * MiB, 1]) {
    await client.breakOff(path, offset, bytes.subarray(offset), length);
    await idle();
    await eventually(() => descriptorsIn(dir.path) === 0);
    const now = await client.offset(path);
    assert(now >= offset && now <= offset + length, `${offset} + ${length}: ${now}`);
    offset = now;
    const [name] = await namesIn(dir.path);
    assert(name!.endsWith(".partial"), name);
    await assertFile(dir.file(name!), bytes.subarray(0, offset));
  }
  assert(offset > 0, "Nothing arrived");
  assertEquals(await client.patch(path, offset, bytes.slice(offset)), 204);
  await assertFile(stored(dir, path), bytes);
});
