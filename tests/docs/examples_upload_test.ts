// The examples that are upload servers, with curl, with fetch, and with clients that no one would want.

import { eventually } from "../support/descriptors.ts";
import { assert, assertEquals, assertLess, assertNotEquals } from "@std/assert";
import { assertFile, assertNoFile, namesIn, pattern } from "../support/bytes.ts";
import { type Example, testExample } from "./examples/example.ts";
import { Server } from "./examples/server.ts";
import { hasProgram, run } from "../setup/command.ts";

/** Where the two differ. */
const servers = [
  { name: "upload_server", base: "/", folder: "uploads" },
  { name: "hono_upload", base: "/files/", folder: "files" },
] as const;

const hasCurl = hasProgram("curl");
if (!hasCurl) console.log("# There is no curl: what is tested with it is skipped");

const LIMIT = 5_000_000;
const limited = ["--limit", String(LIMIT)];

/** Uploads with curl. Resolves to the status. */
async function curl(
  example: Example,
  file: string,
  url: string,
  ...more: string[]
): Promise<number> {
  const status = ["--silent", "--output", "/dev/null", "--write-out", "%{http_code}"];
  const options = { cwd: example.folder, env: { no_proxy: "*" } };
  return Number((await run("curl", [...status, ...more, "-T", file, url], options)).stdout);
}

/** Makes a request, and resolves to the status. */
async function statusOf(
  url: string,
  init: RequestInit & { client?: Deno.HttpClient },
): Promise<number> {
  const response = await fetch(url, { signal: AbortSignal.timeout(20_000), ...init });
  await response.body?.cancel();
  return response.status;
}

for (const { name, base, folder } of servers) {
  testExample(name, "stores what curl uploads, and gives it back", async (example) => {
    await Deno.writeFile(example.file("data"), pattern(3_000_001));
    await using server = await Server.start(example);
    assertEquals(await curl(example, "data", server.url(base)), 201);
    await assertFile(example.file(`${folder}/data`), pattern(3_000_001));
    const response = await fetch(server.url(`${base}data`));
    assertEquals(response.headers.get("content-length"), "3000001");
    assertEquals(await response.bytes(), pattern(3_000_001));
    server.signal("SIGINT");
    await server.ended();
  }, { ignore: !hasCurl });

  testExample(
    name,
    "stores what fetch uploads, over HTTP/1 and HTTP/2, and replaces",
    async (example) => {
      await using server = await Server.start(example);
      const url = server.url(`${base}data`);
      assertEquals(await statusOf(url, { method: "PUT", body: pattern(2_000_000) }), 201);
      await assertFile(example.file(`${folder}/data`), pattern(2_000_000));
      using client = Deno.createHttpClient({ http1: false, http2: true });
      const body = ReadableStream.from([pattern(1_000_000), pattern(5, 1_000_000)]);
      assertEquals(await statusOf(url, { method: "PUT", body, client }), 201);
      await assertFile(example.file(`${folder}/data`), pattern(1_000_005));
      assertEquals(await statusOf(url, { method: "HEAD" }), 200);
      assertEquals(await statusOf(server.url(`${base}missing`), {}), 404);
      assertEquals(await statusOf(server.url(`${base}empty`), { method: "PUT" }), 201);
      await assertFile(example.file(`${folder}/empty`), new Uint8Array(0));
      assertEquals(await namesIn(example.file(folder)), ["data", "empty"]);
    },
  );

  testExample(name, "refuses what is too long, or does not say how long it is", async (example) => {
    await using server = await Server.start(example, limited);
    const url = server.url(`${base}data`);
    assertEquals(await statusOf(url, { method: "PUT", body: new Uint8Array(LIMIT) }), 201);
    await Deno.remove(example.file(`${folder}/data`));
    {
      using connection = await server.connect();
      await connection.beginPut(`${base}data`, LIMIT + 1);
      assertEquals(await connection.status(), 413);
    }
    {
      using connection = await server.connect();
      await connection.send(
        `PUT ${base}data HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`,
      );
      assertEquals(await connection.status(), 411);
    }
    // It says nothing beforehand, and goes on for long.
    using client = Deno.createHttpClient({ http1: false, http2: true });
    const long = ReadableStream.from(Array.from({ length: 400 }, () => new Uint8Array(65_536)));
    assertEquals(await statusOf(url, { method: "PUT", body: long, client }), 413);
    assertEquals(await namesIn(example.file(folder)), []);
  }, { runners: ["checkout"] });

  testExample(
    name,
    "keeps nothing of a client that goes away, and the old file as it was",
    async (example) => {
      await using server = await Server.start(example);
      assertEquals(
        await statusOf(server.url(`${base}old`), { method: "PUT", body: pattern(5000) }),
        201,
      );
      for (const file of ["old", "new"]) {
        const connection = await server.connect();
        await connection.beginPut(`${base}${file}`, 50_000_000);
        await connection.send(new Uint8Array(20_000_000));
        connection.tcp.close();
        await server.says(new RegExp(`PUT .*${base}${file}: `));
      }
      assertEquals(await namesIn(example.file(folder)), ["old"]);
      await assertFile(example.file(`${folder}/old`), pattern(5000));
    },
    { runners: ["checkout"] },
  );

  testExample(name, "writes nothing outside its folder, and no hidden file", async (example) => {
    await using server = await Server.start(example);
    const before = (await namesIn(example.folder)).join();
    for (
      const path of [
        "../outside",
        "%2e%2e/outside",
        "%2e%2e%2foutside",
        "..%2Foutside",
        "a/../../outside",
        "a/b",
        "a%2fb",
        "a%00b",
        "a%0Ab",
        ".hidden",
        "..",
        "",
      ]
    ) {
      using connection = await server.connect();
      await connection.beginPut(`${base}${path}`, 0);
      const status = await connection.status();
      // What a URL parser makes of dots is a name like any other.
      if (status === 201) await Deno.remove(example.file(`${folder}/outside`));
      else assert(status === 400 || status === 404, `${path}: ${status}`);
    }
    assertEquals((await namesIn(example.folder)).join(), before);
    assertEquals(await namesIn(example.file(folder)), []);
  }, { runners: ["checkout"] });

  testExample(name, "takes 512 MiB from curl in constant memory", async (example) => {
    const size = 512 * 1024 ** 2;
    await Deno.truncate(await made(example.file("large")), size);
    await using server = await Server.start(example);
    assertEquals(await curl(example, "large", server.url(base)), 201);
    assertEquals((await Deno.stat(example.file(`${folder}/large`))).size, size);
    assertLess(server.mostResident(), 400 * 1024 ** 2);
  }, { runners: ["checkout"], ignore: !hasCurl });

  testExample(name, "needs every flag of its one command", async (example) => {
    const { flags } = example.command;
    for (const left of flags) {
      await using server = await Server.start(example, [], flags.filter((flag) => flag !== left));
      if (server.port === undefined) continue;
      const url = server.url(`${base}data`);
      const stored = await statusOf(url, { method: "PUT", body: pattern(5000) });
      const read = await statusOf(url, {});
      assertNotEquals([stored, read], [201, 200], `It does without ${left}`);
    }
  }, { runners: ["checkout"] });
}

async function made(path: string): Promise<string> {
  await Deno.writeFile(path, new Uint8Array(0));
  return path;
}

testExample(
  "upload_server",
  "lets an upload finish on SIGINT, and takes no other",
  async (example) => {
    await using server = await Server.start(example);
    using connection = await server.connect();
    using late = await server.connect();
    await connection.beginPut("/data", 3_000_000);
    await connection.send(pattern(1_000_000));
    // Both connections are known to the server before it stops to listen.
    await late.beginPut("/before", 0);
    assertEquals(await late.status(), 201);
    server.signal("SIGINT");
    let status = 201;
    for (let tries = 0; status === 201 && tries < 500; tries++) {
      await late.beginPut("/late", 0);
      status = await late.status();
    }
    assertEquals(status, 503);
    await Deno.remove(example.file("uploads/late")).catch(() => {});
    await connection.send(pattern(2_000_000, 1_000_000));
    assertEquals(await connection.status(), 201);
    await server.ended();
    await assertFile(example.file("uploads/data"), pattern(3_000_000));
    assertEquals(await namesIn(example.file("uploads")), ["before", "data"]);
  },
  { runners: ["checkout"] },
);

for (const [{ name, base, folder }, times] of [[servers[0], 2], [servers[1], 1]] as const) {
  testExample(name, `breaks uploads off on SIGINT, sent ${times} times`, async (example) => {
    await using server = await Server.start(example);
    using connection = await server.connect();
    await connection.beginPut(`${base}data`, 3_000_000);
    await connection.send(pattern(2_000_000));
    // An answer on another connection shows that the first one was seen.
    assertEquals(await statusOf(server.url(`${base}missing`), {}), 404);
    server.signal("SIGINT");
    if (times === 2) {
      await eventually(async () =>
        await statusOf(server.url(`${base}x`), { method: "PUT" }) === 503
      );
      server.signal("SIGINT");
    }
    await server.ended();
    await assertNoFile(example.file(`${folder}/data`));
  }, { runners: ["checkout"] });
}
