/**
 * An upload server: `PUT /name` stores a body, `GET /name` returns it, in constant memory.
 *
 * - An upload gets its name when it is complete and durable, or never: a client that disconnects leaves no file,
 *   and an older file of that name is not changed.
 * - A client is slowed to the speed of the disk, and limited in bytes.
 * - SIGINT and SIGTERM let running uploads finish. A second signal aborts them.
 *
 * ```sh
 * deno run --allow-ffi --allow-net=127.0.0.1 --allow-read=uploads --allow-write=uploads examples/upload_server.ts
 * ```
 *
 * Then `curl -T backup.tar http://127.0.0.1:8000/`. Options: `--folder uploads --port 8000 --limit 10737418240`.
 *
 * @module
 */
import { type DmaError, DmaFile, DmaStreamReader, DmaStreamWriter } from "@denodma/dma";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    folder: { type: "string", default: "uploads" },
    port: { type: "string", default: "8000" },
    limit: { type: "string", default: String(10 * 1024 ** 3) },
  },
});
const { folder } = values;
const limit = Number(values.limit);

/** The most bytes to reserve for an announced length, because the client may never send them. */
const MOST_RESERVED = 64 * 1024 ** 2;

/** Matches only names inside the folder, and no hidden files. */
const SAFE_PATH = /^\/([\w-][\w.-]{0,199})$/;

/** An error with the status of its response. */
class Refusal extends Error {
  constructor(readonly status: number, message: string) {
    super(message);
  }
}

const uploads = new Set<Promise<Response>>();
const stop = new AbortController();
let stopping = false;

async function put(path: string, request: Request): Promise<Response> {
  if (stopping) throw new Refusal(503, "The server is stopping");
  // Deno.serve 2.9 has no back pressure for an HTTP/1 body without a Content-Length: it would be buffered in memory.
  if (request.headers.has("transfer-encoding")) {
    throw new Refusal(411, "Send a Content-Length, or use HTTP/2");
  }
  // HTTP/2 has back pressure for any body, and need not announce its length.
  const announced = Number(request.headers.get("content-length") ?? 0);
  if (announced > limit) throw new Refusal(413, `At most ${limit} bytes`);

  const file = await DmaFile.create(path, { atomic: true, read: false });
  const writer = new DmaStreamWriter(file, { sizeHint: Math.min(announced, MOST_RESERVED) });
  const body = request.body ?? new Blob().stream();
  // If the pipe ends before the end of the body, it aborts the writer: no file appears.
  await body.pipeThrough(atMost(limit)).pipeTo(writer, { signal: stop.signal });
  return new Response(`Stored ${writer.currentPos} bytes\n`, { status: 201 });
}

function atMost(most: number): TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>> {
  let bytes = 0;
  return new TransformStream({
    transform(chunk, controller) {
      bytes += chunk.length;
      if (bytes > most) throw new Refusal(413, `At most ${most} bytes`);
      controller.enqueue(chunk);
    },
  });
}

async function get(path: string, request: Request): Promise<Response> {
  const file = await DmaFile.open(path);
  const headers = {
    "content-length": String(await file.size()),
    "content-type": "application/octet-stream",
  };
  // A reader closes its file at the end, and when the client goes away.
  if (request.method === "GET") return new Response(new DmaStreamReader(file), { headers });
  await file.close();
  return new Response(null, { headers });
}

async function respond(request: Request): Promise<Response> {
  try {
    const [, name] = SAFE_PATH.exec(new URL(request.url).pathname) ?? [];
    if (name === undefined) throw new Refusal(400, "Invalid name");
    const path = `${folder}/${name}`;
    if (request.method === "GET" || request.method === "HEAD") return await get(path, request);
    if (request.method !== "PUT") throw new Refusal(405, "PUT, GET and HEAD only");
    const upload = put(path, request);
    uploads.add(upload);
    return await upload.finally(() => uploads.delete(upload));
  } catch (error) {
    const { status, message } = asRefusal(error);
    if (status === 500) console.error(`${request.method} ${request.url}: ${error}`);
    return new Response(`${message}\n`, { status });
  }
}

function asRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  if (error instanceof Deno.errors.NotFound) return new Refusal(404, "Not found");
  if ((error as DmaError).code === "ENOSPC") return new Refusal(507, "The disk is full");
  return new Refusal(500, "Failed");
}

await Deno.mkdir(folder, { recursive: true });
const { signal } = stop;
const server = Deno.serve({ hostname: "127.0.0.1", port: Number(values.port), signal }, respond);
for (const name of ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(name, async () => {
    if (stopping) stop.abort(new Refusal(503, "The server is stopping"));
    stopping = true;
    // shutdown() of Deno 2.9 makes the bodies of running requests unreadable, so uploads finish first.
    await Promise.allSettled(uploads);
    await server.shutdown();
  });
}
await server.finished;
