// A process that writes and is killed: the promises in its output, and their check.

import { assert, assertEquals } from "@std/assert";
import { pause } from "../setup/command.ts";
import { Random } from "../simulator/random.ts";
import { content, firstForeign, firstWrong } from "./content.ts";
import { spawn } from "./programs.ts";
import { generationLength, isLog, type Kind, pathOf } from "./written.ts";

/** The promises about one file. */
export interface Promised {
  length: number;
  /** The last known `currentFlushedPos`. */
  flushed: number;
  /** The last position that a `sync()` resolved to. */
  synced: number;
  closed: boolean;
}

/** Starts programs/write_on.ts, and resolves at its first word. */
export async function startWriting(args: string[], engine: string) {
  const child = spawn("write_on", { args, env: { DMA_ENGINE: engine } });
  child.stdin.close();
  const errors = new Response(child.stderr).text();
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
  let output = "";
  const reading = (async () => {
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      output += text;
      begin();
    }
    begin();
  })();
  await begun;
  return {
    /** The promises so far, by the number of the file. */
    promised: () => promises(output),
    /** Sends a signal, which must end it. */
    async end(signal: Deno.Signal): Promise<void> {
      child.kill(signal);
      const late = setTimeout(() => child.kill("SIGKILL"), 20_000);
      const status = await child.status;
      clearTimeout(late);
      await reading;
      assertEquals(status.signal, signal, await errors);
    },
  };
}

/** Parses the promises in the output of programs/write_on.ts. An incomplete last line has no promise. */
function promises(output: string): Map<number, Promised> {
  const all = new Map<number, Promised>();
  for (const line of output.split("\n").slice(0, -1)) {
    const [, word, ...numbers] = /^(open|flushed|synced|closed) (\d+) (\d+)$/.exec(line) ?? [];
    assert(word !== undefined, `Not a promise: ${line}`);
    const [generation, value] = numbers.map(Number) as [number, number];
    const file = all.get(generation) ?? { length: 0, flushed: 0, synced: 0, closed: false };
    all.set(generation, file);
    if (word === "open") file.length = value;
    else if (word === "closed") file.closed = true;
    else file[word as "flushed" | "synced"] = Math.max(file[word as "flushed" | "synced"], value);
  }
  return all;
}

/** The known writes, and the event after them. */
export interface Account {
  readonly kind: Kind;
  readonly folder: string;
  readonly seed: number;
  readonly promised: ReadonlyMap<number, Promised>;
  /** A power cut takes all unsynced bytes. The disk may have more bytes than were promised. */
  readonly loss: "killed" | "power cut";
  /** For the message of a failure: how to do it again. */
  readonly description: string;
}

/** Longest time that a process may live, in milliseconds after its first word. */
export const LONGEST_LIFE = 250;

export interface Life {
  readonly kind: Kind;
  readonly folder: string;
  readonly seed: number;
  readonly engine: string;
  /** Milliseconds after its first word; default: a random time. */
  readonly life?: number;
  /** The position at which a log continues. */
  readonly position?: number;
  readonly signal?: Deno.Signal;
}

/** Lets programs/write_on.ts write for a while, and ends it by a signal. */
export async function writeAndKill(options: Life): Promise<Account> {
  const { kind, folder, seed, engine, position = 0, signal = "SIGKILL" } = options;
  const { life = new Random(seed).next() * LONGEST_LIFE } = options;
  const writing = await startWriting([kind, folder, String(seed), String(position)], engine);
  await pause(life);
  await writing.end(signal);
  const description = `Seed ${seed}, ended after ${life} ms`;
  return { kind, folder, seed, promised: writing.promised(), loss: "killed", description };
}

/** Throws if promised bytes are missing, or if there are bytes that were never written. */
export async function assertKept(account: Account): Promise<void> {
  const { description, kind, promised } = account;
  try {
    if (kind === "atomic") await assertWhole(account);
    else if (isLog(kind)) await assertLog(account);
    else for (const [generation, file] of promised) await assertFile(account, generation, file);
  } catch (cause) {
    throw new Error(description, { cause });
  }
}

/** The end of the bytes that must be in a file. */
function safeLength({ length, flushed, synced, closed }: Promised, loss: Account["loss"]): number {
  return closed ? length : Math.max(synced, loss === "killed" ? flushed : 0);
}

/** The padding of a tail is one alignment unit at most: 4096 bytes. */
const MOST_PADDING = 4096;

async function assertFile(account: Account, generation: number, file: Promised): Promise<void> {
  const { kind, folder, loss } = account;
  const path = pathOf(kind, folder, generation);
  const bytes = await readUnless(path, loss === "power cut" && !file.closed && file.synced === 0);
  if (bytes === undefined) return;
  assertPrefix(bytes, safeLength(file, loss), generation, path);
  if (file.closed) assertEquals(bytes.length, file.length, `${path}: the exact length`);
  else if (kind === "exact" && loss === "killed") {
    // Without an end of file that is moved ahead there are no zeros at the end but the padding of one block.
    const zeros = bytes.length - 1 - bytes.findLastIndex((byte) => byte !== 0);
    assert(zeros <= MOST_PADDING, `${path}: ${zeros} zeros at the end`);
  }
}

/** The bytes of a file; undefined if there is none, which `mayLack` allows. */
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

async function assertLog({ kind, folder, promised, loss }: Account): Promise<void> {
  const path = pathOf(kind, folder, 0);
  const safe = Math.max(0, ...[...promised.values()].map((file) => safeLength(file, loss)));
  const bytes = await readUnless(path, safe === 0);
  if (!bytes) return;
  assertPrefix(bytes, safe, 0, path);
  // Appended bytes follow the existing ones without zeros or padding.
  if (kind === "append" && loss === "killed") {
    assertEquals(firstWrong(bytes, bytes.length), -1, `${path}: the first byte never written`);
  }
}

async function assertWhole({ folder, seed, promised, loss }: Account): Promise<void> {
  const path = pathOf("atomic", folder, 0);
  const last = Math.max(
    0,
    ...[...promised].flatMap(([number, { closed }]) => closed ? number : []),
  );
  const bytes = await readUnless(path, last === 0);
  if (bytes) {
    // The file whose close resolved last, or the one that was about to be closed; a power cut comes a little later.
    const newest = last + (loss === "killed" ? 1 : 1000);
    let found = Math.max(1, last);
    const matches = (generation: number) =>
      generationLength(generation, seed) === bytes.length &&
      firstWrong(bytes, bytes.length, generation) < 0;
    while (found <= newest && !matches(found)) found++;
    assert(found <= newest, `${path}: ${bytes.length} bytes, not whole, or older than ${last}`);
  }
  for await (const { name } of Deno.readDir(folder)) {
    assert(/^(file|lost\+found|\..*\.tmp)$/.test(name), `${name} looks like a file of the user's`);
  }
}

/** The position at which a log continues: the promised one, or the end of the file. */
export async function resumeAt(
  { kind, folder, promised }: Account,
  before: number,
): Promise<number> {
  if (kind === "append") {
    return await Deno.stat(pathOf(kind, folder, 0)).then(({ size }) => size, () => before);
  }
  return Math.max(before, ...[...promised.values()].map((file) => safeLength(file, "power cut")));
}

/** Changes four bytes of a file, to show that a check can fail. */
export function spoil(path: string, position: number): void {
  using file = Deno.openSync(path, { write: true });
  file.seekSync(position, Deno.SeekMode.Start);
  file.writeSync(content(position, 4, 99));
}
