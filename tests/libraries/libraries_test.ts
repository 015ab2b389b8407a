// Libraries of Node.js that write to files of this module: no line of a log is lost, however the program ends, and an
// upload is stored whole or not at all. If a package is not available, its tests are counted as skipped.

import "../support/engine.ts";
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
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

async function isAvailable(specifier: string): Promise<boolean> {
  try {
    await import(specifier);
    return true;
  } catch (error) {
    // A package that exists and fails is a failure.
    const reason = error instanceof TypeError ? error.message.split("\n")[0]! : "";
    if (!/^Failed loading .* for package /.test(reason)) throw error;
    say(`Skipped for want of ${specifier}: ${reason}`);
    return false;
  }
}

const [pino, busboy] = ["npm:pino@10.4.0", "npm:busboy@1.6.0"] as const;

const missing = new Set<string>();
for (const specifier of [pino, busboy]) {
  if (!await isAvailable(specifier)) missing.add(specifier);
}

function test(specifier: string, title: string, fn: (dir: TestDirectory) => Promise<void>): void {
  const ignore = missing.has(specifier);
  testInOneDirectory(`${specifier}: ${title}`, fn, { ignore, bothEngines: false });
}

// ---- logs -------------------------------------------------------------------------------------------------------

const LINES = 5_000;

/** A line as pino writes it. */
const line = (text: string) => `{"level":30,"msg":"${text}"}\n`;

/** Throws unless a log has all lines. The error names the first wrong one. */
async function assertLog(path: string, more = ""): Promise<void> {
  const found = (await Deno.readTextFile(path)).split("\n");
  const lines = Array.from({ length: LINES }, (_, n) => line(`line ${n} ${"ä".repeat(n % 50)}`));
  const expected = (lines.join("") + more).split("\n");
  const wrong = expected.findIndex((line, index) => line !== found[index]);
  assertEquals([wrong, found[wrong], found.length], [-1, undefined, expected.length]);
}

const CREATE = "create(PATH)";
const APPEND = "open(PATH, { append: true, create: true })";
const KILL = "Deno.kill(Deno.pid, 'SIGKILL'); await new Promise(() => {});";

test(pino, "no line is lost, however the program ends", async (dir) => {
  const path = dir.file("log");
  /** Runs a program that logs all lines at once, and then `ending`. */
  const logAndEnd = async (open: string, ending: string) => {
    await Deno.remove(path).catch(() => {});
    return await runChild(
      `import { finished } from "node:stream/promises";
      import process from "node:process";
      const { toNodeWritable } = await import("${new URL("../../node.ts", import.meta.url)}");
      const { default: pino } = await import("${pino}");
      const writer = (await dma.DmaFile.${open.replace("PATH", `"${path}"`)}).writable;
      const out = toNodeWritable(writer);
      const logger = pino({ base: null, timestamp: false }, out);
      for (let n = 0; n < ${LINES}; n++) logger.info(\`line \${n} \${"ä".repeat(n % 50)}\`);
      ${ending}`,
    );
  };
  const onExit = "process.on('exit', () => writer.flushSync({ durable: true }));";
  for (const ending of ["out.end(); await finished(out);", onExit]) {
    const ended = await logAndEnd(CREATE, `${ending} process.exit(3);`);
    assertEquals(ended.code, 3, ended.output);
    await assertLog(path);
  }
  for (const flush of ["writer.flushSync();", ""]) {
    const killed = await logAndEnd(APPEND, flush + KILL);
    assertEquals(killed.signal, "SIGKILL", killed.output);
    if (flush) await assertLog(path);
    else await assertRejects(() => assertLog(path));
  }
  // pino calls flushSync() for a fatal line.
  await logAndEnd(APPEND, `logger.fatal("The end"); ${KILL}`);
  await assertLog(path, `{"level":60,"msg":"The end"}\n`);
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

test(busboy, "an upload is stored whole, or not at all", async (dir) => {
  const failures: string[] = [];
  const server = createServer((request, response) => {
    receive(request, dir.path).then(() => response.end("stored"), (error) => {
      failures.push(error.message);
      // The client may still be sending.
      request.resume();
      response.writeHead(400).end(error.message);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}/`;
  const bytes = pattern(3_000_001);
  const body = () => {
    const data = new FormData();
    data.append("field", "value");
    data.append("file", new Blob([bytes]), "file");
    return data;
  };
  const upload = async () => {
    const response = await fetch(url, { method: "POST", body: body() });
    return `${response.status} ${await response.text()}`;
  };
  await Deno.writeFile(dir.file("file"), filled(10, 1));
  const encoded = new Request(url, { method: "POST", body: body() });
  const content = new Uint8Array(await encoded.arrayBuffer());
  const type = encoded.headers.get("content-type");
  const head = `POST / HTTP/1.1\r\nHost: x\r\nContent-Type: ${type}\r\n` +
    `Content-Length: ${content.length}\r\n\r\n`;
  for (const length of [0, 1000, 70_000, 2_000_000, content.length - 100]) {
    const failed = failures.length;
    {
      using connection = await Deno.connect({ hostname: "127.0.0.1", port });
      const sink = connection.writable;
      await new Blob([head, content.subarray(0, length)]).stream().pipeTo(sink, {
        preventClose: true,
      });
    }
    await eventually(() => failures.length > failed && descriptorsIn(dir.path) === 0);
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
