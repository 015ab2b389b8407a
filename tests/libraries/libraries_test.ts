// Libraries of Node.js that write to files of this module: no line of a log is lost, however the program ends, and an
// upload is stored whole or not at all. If a package is not available, its test is counted as skipped.

import "../support/engine.ts";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import type { Readable } from "node:stream";
import { finished, pipeline } from "node:stream/promises";
import { DmaFile } from "../../mod.ts";
import { toNodeWritable } from "../../node.ts";
import { Errno } from "../../src/engine/linux.ts";
import { say } from "../setup/command.ts";
import { assertFile, filled, namesIn, pattern } from "../support/bytes.ts";
import { runChild } from "../support/child.ts";
import { descriptorsIn, eventually } from "../support/descriptors.ts";
import { type TestDirectory, testInOneDirectory } from "../support/dirs.ts";
import { fail } from "../support/interpose.ts";

/** Registers a test of a package, as ignored if the package is not available. */
async function testPackage(
  specifier: string,
  promise: string,
  fn: (dir: TestDirectory) => Promise<void>,
): Promise<void> {
  const failure = await import(specifier).then(() => undefined, (error: Error) => error);
  // A package that exists and fails is a failure.
  if (failure && !/^Failed loading .* for package /.test(failure.message)) throw failure;
  if (failure) say(`Skipped for want of ${specifier}: ${failure.message.split("\n")[0]}`);
  testInOneDirectory(`${specifier}: ${promise}`, fn, { ignore: !!failure, bothEngines: false });
}

// ---- logs -------------------------------------------------------------------------------------------------------

const TEXTS = Array.from({ length: 5000 }, (_, n) => `line ${n} ${"ä".repeat(n % 50)}`);
const LOG = TEXTS.map((text) => `{"level":30,"msg":"${text}"}\n`).join("");

const CREATE = "create(path)";
const APPEND = "open(path, { append: true, create: true })";
const END = "out.end(); await finished(out); process.exit(3);";
const EXIT = "process.on('exit', () => writer.flushSync({ durable: true })); process.exit(3);";
const KILL = "Deno.kill(Deno.pid, 'SIGKILL'); await new Promise(() => {});";
const FATAL = `{"level":60,"msg":"The end"}\n`;

/** How the file is opened, how the program ends after the last line, and what the file has then. */
const endings: [open: string, ending: string, left: string][] = [
  [CREATE, END, LOG],
  [CREATE, EXIT, LOG],
  [APPEND, `writer.flushSync(); ${KILL}`, LOG],
  // The control.
  [APPEND, KILL, ""],
  // pino calls flushSync() for a fatal line.
  [APPEND, `logger.fatal("The end"); ${KILL}`, LOG + FATAL],
];

await testPackage("npm:pino@10.4.0", "no line is lost, however the program ends", async (dir) => {
  for (const [index, [open, ending, left]] of endings.entries()) {
    const path = dir.file(`${index}.log`);
    const { code, output } = await runChild(
      `import { finished } from "node:stream/promises";
      import process from "node:process";
      const { toNodeWritable } = await import("${new URL("../../node.ts", import.meta.url)}");
      const { default: pino } = await import("npm:pino@10.4.0");
      const { writable: writer } = await dma.DmaFile.${open};
      const out = toNodeWritable(writer);
      const logger = pino({ base: null, timestamp: false }, out);
      for (const text of texts) logger.info(text);
      ${ending}`,
      { values: { path, texts: TEXTS } },
    );
    assertEquals(code, ending.includes(KILL) ? 137 : 3, output);
    const found = await Deno.readTextFile(path);
    assert(found === left, `${ending} ${found.length} characters instead of ${left.length}`);
  }
});

// ---- uploads ----------------------------------------------------------------------------------------------------

/** Stores the files of a form in a directory. */
async function receive(request: IncomingMessage, directory: string): Promise<void> {
  const { default: parse } = await import("npm:busboy@1.6.0");
  const stored: Promise<void>[] = [];
  const parser = parse({ headers: request.headers });
  request.on("close", () => {
    if (!request.readableEnded) parser.destroy(new Error("The client broke off"));
  });
  parser.on("file", (_field: string, stream: Readable, { filename }: { filename: string }) => {
    const store = async () => {
      // It may fail before the file is open. The pipeline rejects then.
      stream.on("error", () => {});
      const file = await DmaFile.create(`${directory}/${filename}`, { atomic: true });
      await pipeline(stream, toNodeWritable(file.writable));
    };
    const storing = store();
    storing.catch((error) => parser.destroy(error));
    stored.push(storing);
  });
  try {
    // A pipeline would close the connection if a file fails, and the response would be lost.
    await finished(request.pipe(parser));
  } finally {
    await Promise.allSettled(stored);
  }
  await Promise.all(stored);
}

await testPackage("npm:busboy@1.6.0", "an upload is stored whole, or not at all", async (dir) => {
  let failures = 0;
  const server = createServer((request, response) => {
    receive(request, dir.path).then(() => response.end("stored"), (error) => {
      failures++;
      // The client may still be sending.
      request.resume();
      response.writeHead(400).end(error.message);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const bytes = pattern(3_000_001);
  const form = new FormData();
  form.append("field", "value");
  form.append("file", new Blob([bytes]), "file");
  const encoded = new Response(form);
  const headers = { "content-type": encoded.headers.get("content-type")! };
  const body = await encoded.bytes();
  const upload = async () => {
    const response = await fetch(`http://127.0.0.1:${port}/`, { method: "POST", headers, body });
    return `${response.status} ${await response.text()}`;
  };
  await Deno.writeFile(dir.file("file"), filled(10, 1));
  const head = `POST / HTTP/1.1\r\nHost: x\r\nContent-Type: ${headers["content-type"]}\r\n` +
    `Content-Length: ${body.length}\r\n\r\n`;
  for (const length of [0, 1000, 70_000, 2_000_000, body.length - 100]) {
    const failed = failures;
    {
      using connection = await Deno.connect({ hostname: "127.0.0.1", port });
      const sent = new Blob([head, body.subarray(0, length)]).stream();
      await sent.pipeTo(connection.writable, { preventClose: true });
    }
    await eventually(() => failures > failed && descriptorsIn(dir.path) === 0);
    assertEquals(await namesIn(dir.path), ["file"]);
    await assertFile(dir.file("file"), filled(10, 1), `cut at ${length}`);
  }
  for (const operation of ["write", "sync"] as const) {
    using _ = fail(operation, Errno.ENOSPC);
    assertStringIncludes(await upload(), "400 No space left on device");
    await assertFile(dir.file("file"), filled(10, 1), operation);
  }
  assertEquals(await upload(), "200 stored");
  await assertFile(dir.file("file"), bytes);
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});
