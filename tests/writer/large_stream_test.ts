// The main job at a real size: half a gigabyte from another process over HTTP.

import { assert, assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { DmaFile } from "../../mod.ts";
import { cachedBytes } from "../setup/command.ts";
import { runChild } from "../support/child.ts";
import { testInOneDirectory } from "../support/dirs.ts";

const MIB = 1 << 20;
const SIZE = 512 * MIB;

/** Less than the stream: buffers, and what Deno takes. */
const MOST_RESIDENT_KIB = 320 * 1024;

const noise = crypto.getRandomValues(new Uint8Array(4096));

/** Each page says where it belongs, so that none is lost, doubled or misplaced unseen. */
function* blocks(): Generator<Uint8Array<ArrayBuffer>> {
  for (let position = 0; position < SIZE; position += MIB) {
    const block = new Uint8Array(MIB);
    for (let at = 0; at < MIB; at += noise.length) block.set(noise, at);
    const places = new Float64Array(block.buffer);
    for (let page = 0; page < MIB; page += 4096) places[page / 8] = position + page;
    yield block;
  }
}

const receive = `const { body } = await fetch(url);
  await body.pipeTo(new dma.DmaStreamWriter(await dma.DmaFile.create(path)));
  console.log(/VmHWM:\\s+(\\d+)/.exec(Deno.readTextFileSync("/proc/self/status"))[1]);`;

const name = `${SIZE / MIB} MiB from another process arrive whole, in constant memory`;

testInOneDirectory(name, async (dir) => {
  const path = dir.file("received");
  const options = { port: 0, hostname: "127.0.0.1", onListen() {} };
  await using server = Deno.serve(options, () => new Response(ReadableStream.from(blocks())));
  const url = `http://127.0.0.1:${server.addr.port}/`;
  const { code, output } = await runChild(receive, { values: { url, path } });
  assertEquals(code, 0, output);
  assert(Number(output) <= MOST_RESIDENT_KIB, `${output} KiB were resident`);
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
