// What a process that writes and is killed owes: what it was promised, read off its output, and the check of it.

import { assert, assertEquals } from "@std/assert";
import { content, firstForeign, firstWrong } from "./content.ts";
import { type Kind, pathOf } from "./written.ts";

/** What was promised for one file. */
export interface Promised {
  length: number;
  /** As far as was read off `currentFlushedPos`. */
  flushed: number;
  /** As far as a `sync()` resolved to. */
  synced: number;
  closed: boolean;
}

/** Reads promises off the output of programs/write_on.ts. An unfinished last line promises nothing. */
export function promises(output: string): Map<number, Promised> {
  const all = new Map<number, Promised>();
  for (const line of output.split("\n").slice(0, -1)) {
    const [word, ...numbers] = line.split(" ");
    const [generation = NaN, value = NaN] = numbers.map(Number);
    assert(Number.isInteger(generation) && Number.isInteger(value), `Not a promise: ${line}`);
    if (word === "open") {
      all.set(generation, { length: value, flushed: 0, synced: 0, closed: false });
      continue;
    }
    const promised = all.get(generation)!;
    if (word === "flushed") promised.flushed = Math.max(promised.flushed, value);
    else if (word === "synced") promised.synced = Math.max(promised.synced, value);
    else if (word === "closed") promised.closed = true;
    else throw new Error(`Not a promise: ${line}`);
  }
  return all;
}

/** How much of what was promised must be there. */
export type Loss = "killed" | "power cut";

/** How many alignment units of padding there can be: one, of 4096 bytes at most. */
const MOST_PADDING = 4096;

/** Throws where something that was promised is not there, or something is that never was written. */
export async function assertKept(
  kind: Kind,
  folder: string,
  promised: Map<number, Promised>,
  loss: Loss,
): Promise<void> {
  if (kind === "atomic") return await assertWhole(folder, promised, loss);
  if (kind === "log") return await assertLog(folder, promised, loss);
  for (const [generation, file] of promised) {
    const path = pathOf(kind, folder, generation);
    const bytes = await Deno.readFile(path).catch((error) => {
      // A name is promised by close, and by nothing before; the kernel remembers all of them until the power goes.
      if (loss === "power cut" && !file.closed && error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    });
    if (bytes === undefined) continue;
    const safe = file.closed
      ? file.length
      : loss === "killed"
      ? Math.max(file.synced, file.flushed)
      : file.synced;
    assertPrefix(bytes, safe, generation, path);
    if (file.closed) assertEquals(bytes.length, file.length, `${path}: the exact length`);
    else if (kind === "exact" && loss === "killed") assertNoTail(bytes, path);
  }
}

function assertPrefix(bytes: Uint8Array, safe: number, seed: number, path: string): void {
  assert(bytes.length >= safe, `${path} has ${bytes.length} bytes, and ${safe} were promised`);
  assertEquals(firstWrong(bytes, safe, seed), -1, `${path}: the first wrong byte below ${safe}`);
  assertEquals(firstForeign(bytes, safe, seed), -1, `${path}: the first byte never written`);
}

/** Without an end of file that is moved ahead there are no zeros at the end but the padding of one block. */
function assertNoTail(bytes: Uint8Array, path: string): void {
  const last = bytes.findLastIndex((byte) => byte !== 0);
  // What was allocated and not yet written to is a hole inside, before a later write that was done first.
  assert(bytes.length - last - 1 <= MOST_PADDING, `${path}: ${bytes.length - last - 1} zeros at the end`);
}

async function assertLog(folder: string, promised: Map<number, Promised>, loss: Loss): Promise<void> {
  const path = pathOf("log", folder, 0);
  let safe = 0;
  let exact = -1;
  for (const file of promised.values()) {
    safe = Math.max(safe, file.synced, loss === "killed" ? file.flushed : 0, file.closed ? file.length : 0);
    exact = file.closed ? file.length : -1;
  }
  const bytes = await Deno.readFile(path).catch((error) => {
    if (safe === 0 && error instanceof Deno.errors.NotFound) return new Uint8Array(0);
    throw error;
  });
  assertPrefix(bytes, safe, 0, path);
  if (exact >= 0) assert(bytes.length >= exact);
}

async function assertWhole(folder: string, promised: Map<number, Promised>, loss: Loss): Promise<void> {
  const path = pathOf("atomic", folder, 0);
  const generations = [...promised.keys()];
  const last = Math.max(0, ...generations.filter((generation) => promised.get(generation)!.closed));
  const bytes = await Deno.readFile(path).catch((error) => {
    if (last === 0 && error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  });
  if (bytes !== undefined) {
    // The one whose close resolved last, or the one that was about to be closed.
    const found = [last, last + 1].find((generation) => {
      const length = promised.get(generation)?.length;
      return length === bytes.length && firstWrong(bytes, length, generation) < 0;
    });
    assert(found !== undefined, `${path} has ${bytes.length} bytes, which is neither ${last} nor ${last + 1}`);
  }
  for await (const { name } of Deno.readDir(folder)) {
    const hidden = name.startsWith(".") && name.endsWith(".tmp");
    assert(name === "file" || hidden, `${name} looks like a file of the user's (${loss})`);
  }
}

/** Where a log goes on: as far as was promised. */
export function resumeAt(promised: Map<number, Promised>, before: number): number {
  let position = before;
  for (const { synced, closed, length } of promised.values()) {
    position = Math.max(position, synced, closed ? length : 0);
  }
  return position;
}

/** Fails, to show that a check can: what is compared is not what was written. */
export function spoil(path: string, position: number): void {
  using file = Deno.openSync(path, { write: true });
  file.seekSync(position, Deno.SeekMode.Start);
  file.writeSync(content(position, 4, 99));
}
