// Writes files one after the other until it is killed, and prints each promise at once. KIND FOLDER SEED [POSITION]
//
//   open G LENGTH     file G is begun; its content has seed G. A log is file 0
//   flushed G N       currentFlushedPos was N
//   synced G N        a sync() resolved to N
//   closed G LENGTH   close() or seal() resolved
//
// After a promise it waits for a line of its input, unless that has ended. Other writes are in flight then.

import { DmaFile, DmaStreamWriter } from "../../../mod.ts";
import { Random } from "../../simulator/random.ts";
import { pattern } from "../../support/bytes.ts";

export const kinds = [
  /** File after file. */
  "new",
  /** The same, without moving the end of file ahead. */
  "exact",
  /** The same, by writeAt() and sync() of DmaFile. */
  "random access",
  /** File after file to one path. */
  "atomic",
  /** One file, continued from the last sync(). */
  "log",
  /** One file that is open to append. */
  "append",
  /** One file, which is closed when the event loop runs empty. */
  "end",
] as const;

export type Kind = (typeof kinds)[number];

/** Whether one file grows from process to process. */
export function isLog(kind: Kind): boolean {
  return kind === "log" || kind === "append";
}

/** The length of a file. Most are small, so that kills also meet opening and closing. None is empty: its close would sync nothing. */
export function generationLength(generation: number, seed: number): number {
  const random = new Random(generation * 1000 + seed + 1);
  return random.between(1, random.chance(0.3) ? 12_000_000 : 500_000);
}

export function pathOf(kind: Kind, folder: string, generation: number): string {
  const isOnePath = isLog(kind) || kind === "atomic";
  return `${folder}/${isOnePath ? "file" : `file-${generation}`}`;
}

/** After so many bytes it only waits, so that the disk does not fill up. */
const MOST_WRITTEN = 80_000_000;

const [kind, folder = "", seed, position = "0"] = Deno.args as [Kind, ...string[]];
const random = new Random(Number(seed));

function say(word: "open" | "flushed" | "synced" | "closed", generation: number, at: number): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${word} ${generation} ${at}\n`));
  if (word !== "open") Deno.stdin.readSync(new Uint8Array(1));
}

async function open(generation: number): Promise<DmaFile> {
  const path = pathOf(kind, folder, generation);
  if (kind === "append") return await DmaFile.open(path, { create: true, append: true });
  if (kind !== "log") return await DmaFile.create(path, { atomic: kind === "atomic" });
  return await DmaFile.open(path, { write: true, create: true });
}

async function write(generation: number, start: number, length: number): Promise<void> {
  const file = await open(generation);
  say("open", generation, length);
  const writer = new DmaStreamWriter(file, {
    bufferSize: random.pick([4096, 16 * 1024, 128 * 1024, 1 << 20]),
    writeBehind: random.between(1, 8),
    ...kind === "append" ? {} : { position: start },
    preallocate: kind !== "exact",
  });
  const syncs: Promise<void>[] = [];
  const sync = (tail: boolean) => {
    syncs.push(writer.sync({ tail }).then((position) => say("synced", generation, position)));
  };
  let largest = 1000 + random.below(200_000);
  for (let at = start; at < length;) {
    const chunk = Math.min(1 + random.below(largest), length - at);
    await writer.write(pattern(chunk, at, generation));
    // The first chunk is always followed by a promise.
    const dice = at === start ? 0.1 : random.next();
    at += chunk;
    if (dice < 0.1) sync(dice < 0.06);
    else if (dice < 0.2) say("flushed", generation, writer.currentFlushedPos);
    else if (dice < 0.22) largest = 1 + random.below(400_000);
    if (dice < 0.03) await Promise.all(syncs);
    // Small records that are synced one by one share a block.
    for (const end = Math.min(at + 1500, length); dice < 0.01 && at < end;) {
      const record = Math.min(300, end - at);
      await writer.write(pattern(record, at, generation));
      at += record;
      sync(true);
      await Promise.all(syncs);
    }
  }
  if (kind === "end") return;
  const sealed = random.chance(0.3) ? await writer.seal() : await writer.close();
  await Promise.all(syncs);
  say("closed", generation, length);
  await sealed?.close();
}

async function writeAt(generation: number, least: number): Promise<void> {
  const file = await open(generation);
  const length = file.alignUp(least);
  say("open", generation, length);
  for (let at = 0; at < length;) {
    const chunk = Math.min(file.alignUp(1 + random.below(400_000)), length - at);
    await file.writeAt(pattern(chunk, at, generation), at);
    at += chunk;
    say("flushed", generation, at);
    if (at < length && !random.chance(0.2)) continue;
    await file.sync();
    say("synced", generation, at);
  }
  await file.close();
  say("closed", generation, length);
}

/** Writes a file that is long enough for a kill in the middle, and does not close it. */
async function writeToEnd(): Promise<void> {
  const length = random.between(1, 8_000_000);
  await write(1, 0, length);
  // The module's own listener was added before, so it runs first.
  addEventListener("unload", () => {
    say("closed", 1, length);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  });
}

async function writeOn(): Promise<void> {
  let start = Number(position);
  let written = 0;
  for (let generation = 1; written < MOST_WRITTEN; generation++) {
    const length = generationLength(generation, Number(seed));
    written += length;
    if (kind === "random access") await writeAt(generation, length);
    else await write(isLog(kind) ? 0 : generation, start, start + length);
    if (isLog(kind)) start += length;
  }
  setInterval(() => {}, 1000);
}

if (import.meta.main) await (kind === "end" ? writeToEnd() : writeOn());
