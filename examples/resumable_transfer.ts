/**
 * Transfers that resume where they stopped: a download with `Range`, an upload with `PATCH`, and the server of both.
 *
 * - Bytes arrive in a hidden file beside the target. A second hidden file has the number of durable bytes, and is
 *   written only after `sync()` has resolved. The next attempt starts there, also after a SIGKILL or a power cut.
 * - An attempt that breaks off keeps every byte that it received.
 * - SHA-256 is computed while the bytes stream.
 * - The target appears when all bytes are there.
 *
 * ```sh
 * deno run --allow-ffi --allow-net=127.0.0.1 --allow-read=shared --allow-write=shared examples/resumable_transfer.ts serve
 * ```
 *
 * Then, with the same flags, `download http://127.0.0.1:8000/large.img shared/copy.img` in place of `serve`, or
 * `upload shared/large.img http://127.0.0.1:8000/copy.img`. Run the same again after it was stopped.
 *
 * @module
 */
import { type DmaError, DmaFile, DmaStreamReader, DmaStreamWriter } from "@denodma/dma";
import { createHash, type Hash } from "node:crypto";
import { parseArgs } from "node:util";

const MIB = 1024 ** 2;
/** Bytes between two syncs. */
const STEP = 8 * MIB;
/** Bytes of one PATCH. Deno's fetch sends a Content-Length for a buffer, but not for a stream. */
const PIECE = 8 * MIB;
/** The largest file that the server accepts. */
const MOST = 1024 * 1024 * MIB;
const FOLDER = "shared";

/** The state of a transfer: the bytes below `position` are durable. */
interface Progress {
  readonly position: number;
  readonly size: number;
  /** The ETag of the file that is downloaded. */
  readonly version: string;
}

const NOTHING: Progress = { position: 0, size: 0, version: "" };

/** A hidden name beside a path. */
function beside(path: string, kind: "part" | "progress"): string {
  return path.replace(/[^/]*$/, (name) => `.${name}.${kind}`);
}

/** The state from which a transfer can resume. */
async function loadProgress(path: string): Promise<Progress> {
  try {
    const progress = JSON.parse(await Deno.readTextFile(beside(path, "progress"))) as Progress;
    const { size } = await Deno.stat(beside(path, "part"));
    // The last transfer may have been killed after the rename, before it removed its progress.
    return size < progress.position ? NOTHING : progress;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return NOTHING;
    throw error;
  }
}

async function saveProgress(path: string, progress: Progress): Promise<void> {
  const file = await DmaFile.create(beside(path, "progress"), { atomic: true, read: false });
  await new Blob([JSON.stringify(progress)]).stream().pipeTo(file.writable);
}

/** Hashes of the bytes that this process received of each file, so that a server need not read them for each PATCH. */
const hashes = new Map<string, { position: number; hash: Hash }>();

/** A file that arrives in one or more attempts. */
class Arrival implements AsyncDisposable {
  private constructor(
    private readonly path: string,
    private readonly file: DmaFile,
    public progress: Progress,
    private hash: Hash,
  ) {}

  /** Starts an attempt. Each file has one attempt at a time. */
  static async open(path: string): Promise<Arrival> {
    const file = await DmaFile.open(beside(path, "part"), { write: true, create: true });
    try {
      // The kernel keeps the lock of a process that was killed until its last writes are over.
      await file.lock(true, { signal: AbortSignal.timeout(5000) });
      const progress = await loadProgress(path);
      const { position } = progress;
      const known = hashes.get(path);
      hashes.delete(path);
      if (known?.position === position) return new Arrival(path, file, progress, known.hash);
      const hash = createHash("sha256");
      const arrived = new DmaStreamReader(file, { end: position, closeFile: false });
      for await (const chunk of arrived) hash.update(chunk);
      return new Arrival(path, file, progress, hash);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Whether every byte is there. */
  get isComplete(): boolean {
    return this.progress.position === this.progress.size;
  }

  /** Discards all bytes that arrived. */
  restart(): void {
    this.progress = NOTHING;
    this.hash = createHash("sha256");
  }

  /** Receives bytes of a file that has `size` bytes in all. If `body` breaks off, the bytes before are kept. */
  async receive(
    body: ReadableStream<Uint8Array>,
    size: number,
    version: string,
  ): Promise<void> {
    // The size of the file is no safe position: past the last sync a killed writer leaves data, zeros or holes.
    const { position } = this.progress;
    await this.file.truncate(position);
    const writer = new DmaStreamWriter(this.file, { position, closeFile: false });
    const save = async (position: number) => {
      this.progress = { position, size, version };
      await saveProgress(this.path, this.progress);
    };
    const { hash } = this;
    async function* observed(): AsyncGenerator<Uint8Array> {
      let due = position + STEP;
      for await (const chunk of body) {
        hash.update(chunk);
        yield chunk;
        if (writer.nextPos < due) continue;
        due = writer.nextPos + STEP;
        // The bytes are durable before their number is saved.
        await save(await writer.sync());
      }
    }
    try {
      // An abort would cut off the bytes that have not reached the file yet.
      await ReadableStream.from(observed()).pipeTo(writer, { preventAbort: true });
    } catch (error) {
      // Makes the received bytes durable. If the disk has failed, this rejects, and the last saved position holds.
      await writer.close();
      throw error;
    } finally {
      if (await writer.closed.then(() => true, () => false)) {
        await save(writer.currentPos);
        hashes.set(this.path, { position: writer.currentPos, hash });
      }
    }
  }

  /** Gives the file its name. Resolves to its SHA-256 in base64. */
  async complete(): Promise<string> {
    hashes.delete(this.path);
    await this.file.rename(this.path);
    // A writer's close makes the new name durable.
    await new DmaStreamWriter(this.file, { append: true, closeFile: false }).close();
    await Deno.remove(beside(this.path, "progress"));
    return this.hash.digest("base64");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.file.close();
  }
}

// ---- the clients ------------------------------------------------------------------------------------------------------

/** The length of the whole file, from the headers of a partial or a full response. */
function wholeLength({ status, headers }: Response): number {
  const text = status === 206
    ? headers.get("content-range")?.split("/")[1]
    : headers.get("content-length");
  if (!text || !/^\d+$/.test(text)) throw new Error("The server does not send the file's length");
  return Number(text);
}

async function download(url: string, path: string): Promise<string> {
  await using arrival = await Arrival.open(path);
  const { position, version } = arrival.progress;
  if (!arrival.isComplete || position === 0) {
    // If the server has another version of the file, it sends the whole file.
    const resume = { range: `bytes=${position}-`, "if-range": version };
    const response = await fetch(url, { headers: position > 0 && version ? resume : {} });
    if (!response.ok) throw new Error(`The server says ${response.status} ${response.statusText}`);
    if (response.status !== 206) arrival.restart();
    const body = response.body ?? new Blob().stream();
    try {
      await arrival.receive(body, wholeLength(response), response.headers.get("etag") ?? "");
    } catch (error) {
      const { position, size } = arrival.progress;
      throw new Error(`Kept ${position} of ${size} bytes: run it again to go on`, { cause: error });
    }
  }
  return await arrival.complete();
}

async function upload(path: string, url: string): Promise<string> {
  await using file = await DmaFile.open(path);
  const size = await file.size();
  const asked = await fetch(url, { method: "HEAD" });
  let position = Number(asked.headers.get("upload-offset"));
  const hash = createHash("sha256");
  const sent = new DmaStreamReader(file, { end: position, closeFile: false });
  for await (const chunk of sent) hash.update(chunk);
  for (;;) {
    const body = await file.readAt(position, PIECE);
    if (body.length === 0 && position < size) throw new Error("The file was cut meanwhile");
    hash.update(body);
    const headers = { "upload-offset": String(position), "upload-length": String(size) };
    const response = await fetch(url, { method: "PATCH", headers, body });
    if (!response.ok) {
      throw new Error(`The server says ${response.status}: ${await response.text()}`);
    }
    position += body.length;
    if (response.status !== 201) continue;
    const digest = hash.digest("base64");
    if (response.headers.get("repr-digest") !== `sha-256=:${digest}:`) {
      throw new Error("The server has other bytes: the file changed meanwhile");
    }
    return digest;
  }
}

// ---- the server -------------------------------------------------------------------------------------------------------

/** Matches only names inside the folder, and no hidden files. */
const SAFE_PATH = /^\/([\w-][\w.-]{0,199})$/;

function refusal(status: number, message: string, headers: HeadersInit = {}): Response {
  return new Response(`${message}\n`, { status, headers });
}

/** The number in a header; NaN if there is none. */
function numberOf(request: Request, name: string): number {
  const text = request.headers.get(name) ?? "";
  return /^\d{1,15}$/.test(text) ? Number(text) : NaN;
}

async function patch(path: string, request: Request): Promise<Response> {
  const [offset, size, length] = ["upload-offset", "upload-length", "content-length"]
    .map((name) => numberOf(request, name)) as [number, number, number];
  if (Number.isNaN(offset + size + length)) {
    return refusal(411, "Send Upload-Offset, Upload-Length and Content-Length");
  }
  if (offset + length > size || size > MOST) return refusal(413, `At most ${MOST} bytes`);
  await using arrival = await Arrival.open(path);
  // An upload that starts anew replaces the one before it.
  if (offset === 0) arrival.restart();
  const { position, size: expected } = arrival.progress;
  if (offset !== position || (position > 0 && size !== expected)) {
    return refusal(409, `Go on at ${position}`, { "upload-offset": String(position) });
  }
  await arrival.receive(request.body ?? new Blob().stream(), size, "");
  const headers = { "upload-offset": String(arrival.progress.position) };
  if (!arrival.isComplete) return new Response(null, { status: 204, headers });
  const digest = await arrival.complete();
  return refusal(201, "Stored", { ...headers, "repr-digest": `sha-256=:${digest}:` });
}

async function get(path: string, request: Request): Promise<Response> {
  const file = await DmaFile.open(path);
  const { size, mtime } = await file.stat();
  const etag = `"${size}-${mtime!.getTime()}"`;
  const [, first] = /^bytes=(\d{1,15})-$/.exec(request.headers.get("range") ?? "") ?? [];
  const start = request.headers.get("if-range") === etag ? Number(first ?? 0) : 0;
  const headers = { etag, "content-length": String(size - start) };
  if (start > 0 && start >= size) {
    await file.close();
    return refusal(416, "There is nothing behind that");
  }
  // A reader closes its file at the end, and when the client goes away. The file may grow meanwhile.
  const body = new DmaStreamReader(file, { start, end: size });
  if (start === 0) return new Response(body, { headers });
  const range = { ...headers, "content-range": `bytes ${start}-${size - 1}/${size}` };
  return new Response(body, { status: 206, headers: range });
}

async function respond(request: Request): Promise<Response> {
  const [, name] = SAFE_PATH.exec(new URL(request.url).pathname) ?? [];
  if (name === undefined) return refusal(400, "Invalid name");
  const path = `${FOLDER}/${name}`;
  try {
    if (request.method === "PATCH") return await patch(path, request);
    if (request.method === "GET") return await get(path, request);
    if (request.method !== "HEAD") return refusal(405, "GET, HEAD and PATCH only");
    const { position } = await loadProgress(path);
    return new Response(null, { headers: { "upload-offset": String(position) } });
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return refusal(404, "Not found");
    if ((error as Error).name === "TimeoutError") {
      return refusal(423, "Another upload is under way");
    }
    console.error(`${request.method} ${request.url}: ${error}`);
    const full = (error as DmaError).code === "ENOSPC";
    return refusal(full ? 507 : 500, full ? "The disk is full" : "Failed");
  }
}

if (import.meta.main) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { port: { type: "string", default: "8000" } },
  });
  const [command, from, to] = positionals;
  const transfer = { download, upload }[command ?? ""];
  if (command === "serve") {
    await Deno.mkdir(FOLDER, { recursive: true });
    Deno.serve({ hostname: "127.0.0.1", port: Number(values.port) }, respond);
  } else if (transfer && from !== undefined && to !== undefined) {
    try {
      const digest = Uint8Array.fromBase64(await transfer(from, to));
      // As sha256sum prints it.
      console.log(`${digest.toHex()}  ${command === "download" ? to : from}`);
    } catch (error) {
      console.error(error instanceof Error ? error.message : error);
      Deno.exit(1);
    }
  } else {
    console.error("Usage: resumable_transfer.ts serve | download URL FILE | upload FILE URL");
    Deno.exit(2);
  }
}
