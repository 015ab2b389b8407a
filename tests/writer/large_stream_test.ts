// The main job at a real size: half a gigabyte from another process, over HTTP and from a pipe.

import { fileURLToPath } from "node:url";
import { cachedBytes } from "../setup/command.ts";
import { assert, assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { request } from "node:http";
import { DmaFile } from "../../mod.ts";
import { testInOneDirectory } from "../support/dirs.ts";

const MIB = 1 << 20;
const SIZE = 512 * MIB;
const program = fileURLToPath(new URL("programs/receive.ts", import.meta.url));

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

/** Sends the blocks to a process that stores them at `path`. Resolves to its most resident memory, in KiB. */
async function receive(from: "http" | "stdin", path: string): Promise<number> {
  // It is killed if this fails.
  await using child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", program, from, path],
    stdin: from === "stdin" ? "piped" : "null",
    stdout: "piped",
  }).spawn();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const line = async () => (await lines.read()).value;
  if (from === "stdin") {
    const writer = child.stdin.getWriter();
    for (const block of blocks()) await writer.write(block);
    await writer.close();
  } else {
    await upload(Number(await line()));
  }
  const resident = Number(await line());
  await lines.cancel();
  assertEquals((await child.status).code, 0);
  return resident;
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
      beside = await receive(from, path) - thrownAway;
    }
    assert(beside <= BUFFERS_KIB + ROOM_KIB, `${beside} KiB more than without a file`);
    const file = await DmaFile.open(path);
    if (file.direct) assertEquals(await cachedBytes(path), 0);
    const reader = file.readable.getReader({ mode: "byob" });
    let position = 0;
    for (const block of blocks()) {
      const { value } = await reader.read(new Uint8Array(MIB), { min: MIB });
      assert(Buffer.compare(value!, block) === 0, `Not what was sent, from ${position} on`);
      position += MIB;
    }
    assertEquals((await reader.read(new Uint8Array(1))).done, true);
  });
}
