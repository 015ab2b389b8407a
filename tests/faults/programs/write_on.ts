// Writes files one after the other without end, and prints each promise at once, because it may be killed at any
// moment. KIND FOLDER SEED [POSITION] [LIMIT]
//
//   open G LENGTH     file G is begun; its content has seed G
//   flushed G N       currentFlushedPos was N
//   synced G N        a sync() resolved to N
//   closed G LENGTH   close() resolved
//
// Kinds: "new" creates file after file, "exact" does so without moving the end of file ahead, "atomic" writes file
// after file to one path, "log" continues one file from POSITION, the last sync(), and "append" appends to a file of
// POSITION bytes. After LIMIT bytes it waits to be killed. "end" writes one file, ends without closing it, and prints
// "closed" after that.

import { DmaFile, DmaStreamWriter } from "../../../mod.ts";
import { content } from "../content.ts";
import { Random } from "../../simulator/random.ts";
import { generationLength, isLog, type Kind, pathOf } from "../written.ts";

const [kind, folder, seed, position = "0", limit = "Infinity"] = Deno.args as [
  Kind,
  string,
  string,
  string?,
  string?,
];
const random = new Random(Number(seed));
const encoder = new TextEncoder();

function say(...words: (string | number)[]): void {
  Deno.stdout.writeSync(encoder.encode(`${words.join(" ")}\n`));
}

async function open(generation: number): Promise<DmaFile> {
  const path = pathOf(kind, folder, generation);
  if (kind === "append") return await DmaFile.open(path, { create: true, append: true });
  if (kind !== "log") return await DmaFile.create(path, { atomic: kind === "atomic" });
  return await DmaFile.open(path, { write: true, create: true });
}

async function write(generation: number, start: number, length: number): Promise<void> {
  const seed = isLog(kind) ? 0 : generation;
  const writer = new DmaStreamWriter(await open(generation), {
    bufferSize: random.pick([4096, 16 * 1024, 128 * 1024, 1 << 20]),
    writeBehind: random.between(1, 8),
    ...kind === "append" ? {} : { position: start },
    preallocate: kind !== "exact",
  });
  say("open", generation, length);
  const syncs: Promise<void>[] = [];
  let largest = 1000 + random.below(200_000);
  for (let at = start; at < length;) {
    const chunk = Math.min(1 + random.below(largest), length - at);
    await writer.write(content(at, chunk, seed));
    at += chunk;
    const dice = random.next();
    if (dice < 0.1) {
      const synced = writer.sync({ tail: dice < 0.06 });
      syncs.push(synced.then((position) => say("synced", generation, position)));
    } else if (dice < 0.2) {
      say("flushed", generation, writer.currentFlushedPos);
    } else if (dice < 0.22) {
      largest = 1 + random.below(400_000);
    }
    if (dice < 0.03) await Promise.all(syncs);
  }
  if (kind === "end") return;
  await writer.close();
  await Promise.all(syncs);
  say("closed", generation, length);
}

/** Writes a file that is long enough for a kill in the middle, and does not close it. */
async function end(): Promise<void> {
  const length = 1 + random.below(40_000_000);
  await write(1, 0, length);
  // The module's own listener was added before, so it runs first.
  addEventListener("unload", () => {
    say("closed", 1, length);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  });
  if (random.chance(0.5)) Deno.exit();
}

if (kind === "end") await end();
else {
  let start = Number(position);
  let written = 0;
  for (let generation = 1;; generation++) {
    const length = generationLength(generation, Number(seed));
    written += length;
    if (written > Number(limit)) break;
    await write(generation, start, start + length);
    if (isLog(kind)) start += length;
  }
  setInterval(() => {}, 1000);
}
