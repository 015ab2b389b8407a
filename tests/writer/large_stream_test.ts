// The main job at a real size: half a gigabyte from another process, over HTTP and from a pipe.

import { cachedBytes } from "../setup/command.ts";
import { assert, assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { request } from "node:http";
import { DmaFile, DmaStreamReader } from "../../mod.ts";
import { testInOneDirectory } from "../support/dirs.ts";

const MIB = 1 << 20;
const SIZE = 512 * MIB;
const program = new URL("programs/receive.ts", import.meta.url).pathname;

/** What may be resident beside what the same program has that throws the stream away: buffers, and some room. */
const BUFFERS_KIB = 5 * 1024;
const ROOM_KIB = 32 * 1024;

const noise = crypto.getRandomValues(new Uint8Array(4096));

/** Each page says where it belongs, so that none is lost, doubled or misplaced unseen. */
function* blocks(): Generator<Uint8Array<ArrayBuffer>> {
  const block = new Uint8Array(MIB);
  for (let at = 0; at < MIB; at += noise.length) block.set(noise, at);
  const places = new Float64Array(block.buffer);
  for (let position = 0; position < SIZE; position += MIB) {
    for (let page = 0; page < MIB; page += 4096) places[page / 8] = position + page;
    yield block;
  }
}

interface Received {
  resident: number;
  p50: number;
  p99: number;
}

function shown({ resident, p50, p99 }: Received): string {
  const late = `1 ms timer late p50 ${p50.toFixed(2)} p99 ${p99.toFixed(2)} ms`;
  return `${resident >> 10} MiB resident, ${late}`;
}

/** Sends the blocks to a process that stores them at `path`, and compares. */
async function receive(from: "http" | "stdin", path: string): Promise<Received> {
  // It is killed if this fails.
  await using child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", program, from, path],
    stdin: from === "stdin" ? "piped" : "null",
    stdout: "piped",
  }).spawn();
  const lines = child.stdout.pipeThrough(new TextDecoderStream())[Symbol.asyncIterator]();
  let text = "";
  const line = async () => {
    while (!text.includes("\n")) text += (await lines.next()).value ?? "\n";
    const [first = "", ...rest] = text.split("\n");
    text = rest.join("\n");
    return first;
  };
  if (from === "stdin") {
    const writer = child.stdin.getWriter();
    for (const block of blocks()) await writer.write(block);
    await writer.close();
  } else {
    await upload(Number(await line()));
  }
  const received = JSON.parse(await line());
  await lines.return?.();
  assertEquals((await child.status).code, 0);
  return received;
}

/** With a Content-Length: Deno.serve holds no HTTP/1 body back that comes without one. */
async function upload(port: number): Promise<void> {
  const stored = Promise.withResolvers<void>();
  const headers = { "content-length": SIZE };
  const sending = request({ host: "127.0.0.1", port, method: "PUT", headers }, (response) => {
    response.resume().on("end", stored.resolve);
  });
  sending.on("error", stored.reject);
  for (const block of blocks()) {
    // The block is filled anew each time, so it must be gone before.
    await new Promise((resolve) => sending.write(block, resolve));
  }
  sending.end();
  await stored.promise;
}

for (const from of ["http", "stdin"] as const) {
  const name = `${SIZE / MIB} MiB from another process arrive whole, in constant memory [${from}]`;
  testInOneDirectory(name, async (dir) => {
    const path = dir.file("received");
    // How much garbage either process has at its worst moment is chance: one pair that fits is enough.
    let beside = Infinity;
    for (let attempt = 0; attempt < 3 && beside > BUFFERS_KIB + ROOM_KIB; attempt++) {
      const thrownAway = await receive(from, "-");
      const received = await receive(from, path);
      beside = received.resident - thrownAway.resident;
      console.log(`# stored: ${shown(received)}; thrown away: ${shown(thrownAway)}`);
    }
    assert(beside <= BUFFERS_KIB + ROOM_KIB, `${beside} KiB more than without a file`);
    const file = await DmaFile.open(path);
    if (file.direct) assertEquals(await cachedBytes(path), 0);
    await using reader = new DmaStreamReader(file, { closeFile: true });
    const bytes = reader.getReader({ mode: "byob" });
    let view = new Uint8Array(MIB);
    let position = 0;
    for (const block of blocks()) {
      const { value } = await bytes.read(view, { min: MIB });
      assertEquals(value?.length, MIB);
      assert(Buffer.compare(value!, block) === 0, `Not what was sent, from ${position} on`);
      position += MIB;
      view = new Uint8Array(value!.buffer);
    }
    assertEquals(position, SIZE);
    assertEquals((await bytes.read(new Uint8Array(1))).done, true);
    bytes.releaseLock();
  });
}
