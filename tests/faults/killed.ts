// What a process that writes and is killed owes: what it was promised, read off its output, and the check of it.

import { assert, assertEquals } from "@std/assert";
import { content, firstForeign, firstWrong } from "./content.ts";
import { spawn } from "./programs.ts";
import { generationLength, isLog, type Kind, pathOf } from "./written.ts";

/** Runs programs/write_on.ts and kills it `life` milliseconds after its first word. Resolves to its output. */
export async function runAndKill(
  args: string[],
  engine: string,
  life: number,
): Promise<string> {
  const child = spawn("write_on", { args, env: { DMA_ENGINE: engine } });
  child.stdin.close();
  const errors = new Response(child.stderr).text();
  const decoder = new TextDecoder();
  let output = "";
  let timer: ReturnType<typeof setTimeout> | undefined;
  for await (const bytes of child.stdout) {
    output += decoder.decode(bytes, { stream: true });
    timer ??= setTimeout(() => child.kill("SIGKILL"), life);
  }
  const { signal } = await child.status;
  clearTimeout(timer);
  assert(signal === "SIGKILL", `It ended by itself: ${await errors}`);
  await errors;
  return output;
}

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

/** What was written, as far as is known, and what happened to it. */
export interface Account {
  readonly kind: Kind;
  readonly folder: string;
  readonly seed: number;
  readonly promised: ReadonlyMap<number, Promised>;
  /** A power cut takes all that was not synced; more may have been written than was promised before it. */
  readonly loss: "killed" | "power cut";
}

/** Throws where something that was promised is not there, or something is that never was written. */
export async function assertKept(account: Account): Promise<void> {
  const { kind, promised } = account;
  if (kind === "atomic") await assertWhole(account);
  else if (isLog(kind)) await assertLog(account);
  else for (const [generation, file] of promised) await assertFile(account, generation, file);
}

async function assertFile(account: Account, generation: number, file: Promised): Promise<void> {
  const { kind, folder, loss } = account;
  const path = pathOf(kind, folder, generation);
  const bytes = await readUnless(path, loss === "power cut" && !file.closed && file.synced === 0);
  if (bytes === undefined) return;
  const flushed = loss === "killed" ? file.flushed : 0;
  const safe = file.closed ? file.length : Math.max(file.synced, flushed);
  assertPrefix(bytes, safe, generation, path);
  if (file.closed) assertEquals(bytes.length, file.length, `${path}: the exact length`);
  else if (kind === "exact" && loss === "killed") assertNoTail(bytes, path);
}

/** The bytes of a file; undefined where there is none, and `mayLack` says that this is allowed. */
async function readUnless(path: string, mayLack: boolean): Promise<Uint8Array | undefined> {
  try {
    return await Deno.readFile(path);
  } catch (error) {
    if (mayLack && error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

function assertPrefix(bytes: Uint8Array, safe: number, seed: number, path: string): void {
  assert(bytes.length >= safe, `${path} has ${bytes.length} bytes, and ${safe} were promised`);
  assertEquals(firstWrong(bytes, safe, seed), -1, `${path}: the first wrong byte below ${safe}`);
  assertEquals(firstForeign(bytes, safe, seed), -1, `${path}: the first byte never written`);
}

/** The padding of a tail is one alignment unit at most: 4096 bytes. */
const MOST_PADDING = 4096;

/** Without an end of file that is moved ahead there are no zeros at the end but the padding of one block. */
function assertNoTail(bytes: Uint8Array, path: string): void {
  const last = bytes.findLastIndex((byte) => byte !== 0);
  assert(
    bytes.length - last - 1 <= MOST_PADDING,
    `${path}: ${bytes.length - last - 1} zeros at the end`,
  );
}

async function assertLog({ kind, folder, promised, loss }: Account): Promise<void> {
  const path = pathOf(kind, folder, 0);
  let safe = 0;
  for (const { synced, flushed, closed, length } of promised.values()) {
    safe = Math.max(safe, synced, loss === "killed" ? flushed : 0, closed ? length : 0);
  }
  const bytes = await readUnless(path, safe === 0);
  if (!bytes) return;
  assertPrefix(bytes, safe, 0, path);
  // What is appended stands at the end of what was: there are no zeros, and nothing is padded.
  if (kind === "append" && loss === "killed") {
    assertEquals(firstWrong(bytes, bytes.length), -1, `${path}: the first byte never written`);
  }
}

async function assertWhole({ folder, seed, promised, loss }: Account): Promise<void> {
  const path = pathOf("atomic", folder, 0);
  const closed = [...promised].filter(([, file]) => file.closed).map(([generation]) => generation);
  const last = Math.max(0, ...closed);
  const bytes = await readUnless(path, last === 0);
  if (bytes) {
    // The one whose close resolved last, or the one that was about to be closed; a power goes a little later.
    const newest = last + (loss === "killed" ? 1 : 1000);
    let found = Math.max(1, last);
    const matches = (generation: number) =>
      generationLength(generation, seed) === bytes.length &&
      firstWrong(bytes, bytes.length, generation) < 0;
    while (found <= newest && !matches(found)) found++;
    assert(
      found <= newest,
      `${path} has ${bytes.length} bytes, and is not whole, or older than ${last}`,
    );
  }
  for await (const { name } of Deno.readDir(folder)) {
    const hidden = name.startsWith(".") && name.endsWith(".tmp");
    assert(
      name === "file" || name === "lost+found" || hidden,
      `${name} looks like a file of the user's`,
    );
  }
}

/** Where a log goes on: as far as was promised, or at its end. */
export async function resumeAt(
  { kind, folder, promised }: Account,
  before: number,
): Promise<number> {
  if (kind === "append") {
    const { size } = await Deno.stat(pathOf(kind, folder, 0)).catch(() => ({ size: before }));
    return size;
  }
  let position = before;
  for (const { synced, closed, length } of promised.values()) {
    position = Math.max(position, synced, closed ? length : 0);
  }
  return position;
}

/** Changes four bytes of a file, to show that a check can fail. */
export function spoil(path: string, position: number): void {
  using file = Deno.openSync(path, { write: true });
  file.seekSync(position, Deno.SeekMode.Start);
  file.writeSync(content(position, 4, 99));
}
