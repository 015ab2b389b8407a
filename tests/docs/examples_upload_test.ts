// The example upload servers, with well-behaved and with misbehaving clients.

import { assert, assertEquals } from "@std/assert";
import { assertFile, assertNoFile, MIB, namesIn, pattern } from "../support/bytes.ts";
import { eventually } from "../setup/command.ts";
import { Server, statusOf, testExample } from "./example.ts";

/** The differences between the two servers. */
const servers = [
  { name: "upload_server", base: "/", folder: "uploads" },
  { name: "hono_upload", base: "/files/", folder: "files" },
] as const;

const LIMIT = 5_000_000;

const put = (url: string, body: BodyInit = "") => statusOf(url, { method: "PUT", body });

/** Over HTTP/2, with a body of unknown length. */
async function stream(url: string, ...chunks: Uint8Array[]): Promise<number> {
  using client = Deno.createHttpClient({ http1: false, http2: true });
  return await statusOf(url, { method: "PUT", body: ReadableStream.from(chunks), client });
}

for (const { name, base, folder } of servers) {
  testExample(name, "takes 512 MiB in constant memory", async (example) => {
    await using server = await Server.start(example);
    using connection = await server.connect();
    await connection.beginPut(`${base}large`, 512 * MIB);
    const part = pattern(MIB);
    for (let sent = 0; sent < 512; sent++) await connection.send(part);
    assertEquals(await connection.status(), 201);
    assertEquals((await Deno.stat(example.file(`${folder}/large`))).size, 512 * MIB);
    const status = await Deno.readTextFile(`/proc/${server.child.pid}/status`);
    const [, most] = /VmHWM:\s+(\d+) kB/.exec(status)!;
    assert(Number(most) < 400 * 1024, most);
  });

  testExample(name, "stores, replaces and returns over HTTP/1 and HTTP/2", async (example) => {
    await using server = await Server.start(example);
    const url = server.url(`${base}data`);
    assertEquals(await put(url, pattern(2_000_000)), 201);
    await assertFile(example.file(`${folder}/data`), pattern(2_000_000));
    assertEquals(await stream(url, pattern(1_000_000), pattern(5, 1_000_000)), 201);
    const response = await fetch(url);
    assertEquals(response.headers.get("content-length"), "1000005");
    assertEquals(await response.bytes(), pattern(1_000_005));
    assertEquals(await statusOf(url, { method: "HEAD" }), 200);
    assertEquals(await statusOf(server.url(`${base}missing`)), 404);
    assertEquals(await put(server.url(`${base}empty`)), 201);
    await assertFile(example.file(`${folder}/empty`), new Uint8Array(0));
    assertEquals(await namesIn(example.file(folder)), ["data", "empty"]);
    server.child.kill("SIGINT");
    await server.ended();
  });

  testExample(name, "refuses lengths too great or unknown, and other folders", async (example) => {
    await using server = await Server.start(example, ["--limit", String(LIMIT)]);
    const url = server.url(`${base}data`);
    assertEquals(await put(url, new Uint8Array(LIMIT)), 201);
    await Deno.remove(example.file(`${folder}/data`));
    const before = await namesIn(example.folder);
    const request = async (path: string, header: string) => {
      using connection = await server.connect();
      await connection.send(`PUT ${base}${path} HTTP/1.1\r\nHost: x\r\n${header}\r\n\r\n`);
      return await connection.status();
    };
    assertEquals(await request("data", `Content-Length: ${LIMIT + 1}`), 413);
    assertEquals(await request("data", "Transfer-Encoding: chunked"), 411);
    assertEquals(await stream(url, new Uint8Array(LIMIT), new Uint8Array(LIMIT)), 413);
    const up = ["../x", "%2e%2e/x", "%2e%2e%2fx", "..%2Fx", "a/../../x"];
    for (const path of [...up, "a/b", "a%2fb", "a%00b", "a%0Ab", ".hidden", "..", ""]) {
      const status = await request(path, "Content-Length: 0");
      // A URL parser turns these dots into an ordinary name.
      if (status === 201) await Deno.remove(example.file(`${folder}/x`));
      else assert(status === 400 || status === 404, `${path}: ${status}`);
    }
    assertEquals(await namesIn(example.folder), before);
    assertEquals(await namesIn(example.file(folder)), []);
  });

  testExample(name, "keeps nothing of a client that goes away", async (example) => {
    await using server = await Server.start(example);
    assertEquals(await put(server.url(`${base}old`), pattern(5000)), 201);
    for (const file of ["old", "new"]) {
      const connection = await server.connect();
      await connection.beginPut(`${base}${file}`, 50_000_000);
      await connection.send(new Uint8Array(20_000_000));
      connection.tcp.close();
      await eventually(() => new RegExp(`PUT .*${base}${file}: `).test(server.said));
    }
    assertEquals(await namesIn(example.file(folder)), ["old"]);
    await assertFile(example.file(`${folder}/old`), pattern(5000));
  });

  testExample(name, "needs every flag of its one command", async (example) => {
    const { flags } = example.command;
    for (const left of flags) {
      await using server = await Server.start(example, [], flags.filter((flag) => flag !== left));
      if (server.port === undefined) continue;
      const url = server.url(`${base}data`);
      const statuses = [await put(url, pattern(5000)), await statusOf(url)];
      assert(statuses.join() !== "201,200", `It does without ${left}`);
    }
  });

  testExample(name, "breaks uploads off when it is stopped", async (example) => {
    await using server = await Server.start(example);
    using connection = await server.connect();
    await connection.beginPut(`${base}data`, 3_000_000);
    await connection.send(pattern(2_000_000));
    // A response on another connection shows that the first request has arrived.
    assertEquals(await statusOf(server.url(`${base}missing`)), 404);
    server.child.kill("SIGINT");
    if (name === "upload_server") {
      // At the first signal it finishes running uploads.
      await eventually(async () => await put(server.url(`${base}x`)) === 503);
      server.child.kill("SIGINT");
    }
    await server.ended();
    await assertNoFile(example.file(`${folder}/data`));
  });
}

testExample("upload_server", "lets an upload finish on SIGINT", async (example) => {
  await using server = await Server.start(example);
  using connection = await server.connect();
  using late = await server.connect();
  await connection.beginPut("/data", 3_000_000);
  await connection.send(pattern(1_000_000));
  // The server has accepted both connections before it stops listening.
  await late.beginPut("/before", 0);
  assertEquals(await late.status(), 201);
  server.child.kill("SIGINT");
  await eventually(async () => {
    await late.beginPut("/late", 0);
    return await late.status() === 503;
  });
  await connection.send(pattern(2_000_000, 1_000_000));
  assertEquals(await connection.status(), 201);
  await server.ended();
  await assertFile(example.file("uploads/data"), pattern(3_000_000));
});
