// Pipes bytes into an atomic file, reads them back, and prints the engine and the reason for it. FILE
import { DmaFile, engineInfo, ioStats } from "../../../mod.ts";
import { content, firstWrong } from "../content.ts";

const [path = ""] = Deno.args;
const length = 3 * 1024 * 1024 + 5;
const chunk = 70_001;

function* chunks(): Generator<Uint8Array<ArrayBuffer>> {
  for (let at = 0; at < length; at += chunk) yield content(at, Math.min(chunk, length - at));
}

const file = await DmaFile.create(path, { atomic: true });
await ReadableStream.from(chunks()).pipeTo(file.writable);
// Enough sequential waits for the switch to epoll.
await using again = await DmaFile.open(path);
for (let at = 0; at < 450; at++) await again.readAt(at * 4096, 100);
const bytes = new Uint8Array(await new Response((await DmaFile.open(path)).readable).arrayBuffer());
console.log(JSON.stringify({
  info: engineInfo(),
  length: bytes.length,
  wrong: firstWrong(bytes, length),
  inFlight: ioStats().inFlight,
}));
