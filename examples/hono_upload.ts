/**
 * Uploads with Hono: `PUT /files/name` pipes the body of a request into an atomic file, `GET /files/name` returns it.
 *
 * ```sh
 * deno run --allow-ffi --allow-net=127.0.0.1 --allow-read=files --allow-write=files examples/hono_upload.ts
 * ```
 *
 * Then `curl -T backup.tar http://127.0.0.1:8000/files/`. Options: `--folder files --port 8000 --limit 10737418240`.
 *
 * @module
 */
import { type DmaError, DmaFile, DmaStreamReader, DmaStreamWriter } from "@denodma/dma";
import { Hono } from "npm:hono@^4";
import { HTTPException } from "npm:hono@^4/http-exception";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    folder: { type: "string", default: "files" },
    port: { type: "string", default: "8000" },
    limit: { type: "string", default: String(10 * 1024 ** 3) },
  },
});
const { folder } = values;
const limit = Number(values.limit);

const app = new Hono();

const tooLong = () => new HTTPException(413, { message: `At most ${limit} bytes` });

/** Passes bytes on until there are too many. Hono's own body-limit buffers a body in memory to count it. */
function limited(): TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>> {
  let bytes = 0;
  return new TransformStream({
    transform(chunk, controller) {
      bytes += chunk.length;
      if (bytes > limit) throw tooLong();
      controller.enqueue(chunk);
    },
  });
}

// Matches only names inside the folder, and no hidden files.
const FILE = "/files/:name{[\\w-][\\w.-]*}";

app.put(FILE, async (c) => {
  // Deno.serve 2.9 has no back pressure for an HTTP/1 body without a Content-Length: it would be buffered in memory.
  if (c.req.header("transfer-encoding")) {
    throw new HTTPException(411, { message: "Send a Content-Length, or use HTTP/2" });
  }
  // HTTP/2 allows a body of unknown length: then this is 0.
  const announced = Number(c.req.header("content-length") ?? 0);
  if (announced > limit) throw tooLong();
  // The hint reserves space at once, and the client may never send the bytes.
  const sizeHint = Math.min(announced, 64 * 1024 ** 2);
  const file = await DmaFile.create(`${folder}/${c.req.param("name")}`, { atomic: true });
  const writer = new DmaStreamWriter(file, { sizeHint });
  // If the client goes away, the body errors and the pipe aborts the writer: no file appears.
  await (c.req.raw.body ?? new Blob().stream()).pipeThrough(limited()).pipeTo(writer);
  return c.json({ name: c.req.param("name"), bytes: writer.currentPos }, 201);
});

app.get(FILE, async (c) => {
  const file = await DmaFile.open(`${folder}/${c.req.param("name")}`);
  c.header("content-length", String(await file.size()));
  c.header("content-type", "application/octet-stream");
  return c.body(new DmaStreamReader(file));
});

app.onError((error, c) => {
  if (error instanceof HTTPException) return error.getResponse();
  if (error instanceof Deno.errors.NotFound) return c.notFound();
  if ((error as DmaError).code === "ENOSPC") return c.text("The disk is full", 507);
  console.error(`${c.req.method} ${c.req.path}: ${error}`);
  return c.text("Failed", 500);
});

await Deno.mkdir(folder, { recursive: true });
const stop = new AbortController();
for (const name of ["SIGINT", "SIGTERM"] as const) {
  // Aborts running uploads: their files are discarded.
  Deno.addSignalListener(name, () => stop.abort());
}
await Deno.serve(
  { hostname: "127.0.0.1", port: Number(values.port), signal: stop.signal },
  app.fetch,
).finished;
