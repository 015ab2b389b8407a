// A process that writes until it is killed or the power is cut: the promises in its output, and their check.

import { assert, assertEquals } from "@std/assert";
import { pause, within } from "../setup/command.ts";
import { Random } from "../simulator/random.ts";
import { firstForeign, firstWrong } from "./content.ts";
import { spawn } from "./programs.ts";
import { generationLength, isLog, type Kind, pathOf } from "./programs/write_on.ts";
import { lines } from "./tools.ts";

/** The promises about one file. */
interface Promised {
  length: number;
  /** The last known `currentFlushedPos`. */
  flushed: number;
  /** The last position that a `sync()` resolved to. */
  synced: number;
  closed: boolean;
}

/** The known writes, and the event after them. */
export interface Account {
  readonly kind: Kind;
  readonly folder: string;
  readonly seed: number;
  /** By the number of the file. */
  readonly promised: ReadonlyMap<number, Promised>;
  /** A power cut takes all unsynced bytes. The disk may have more bytes than were promised. */
  readonly loss: "killed" | "power cut";
  /** For the message of a failure: how to repeat it. */
  readonly description: string;
}

export interface Life {
  readonly kind: Kind;
  readonly folder: string;
  readonly seed: number;
  readonly engine: string;
  /** The position at which a log continues. */
  readonly position?: number;
}

/** A process with programs/write_on.ts. */
export class Writing {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #errors: Promise<string>;
  readonly #reading: Promise<void>;
  readonly #begun = Promise.withResolvers<void>();
  readonly #promised = new Map<number, Promised>();
  /** The promise to stop at. */
  #stop: { word: string; reached: () => void } | undefined;

  private constructor({ kind, folder, seed, engine, position = 0 }: Life) {
    const args = [kind, folder, `${seed}`, `${position}`];
    this.#child = spawn("write_on", { args, env: { DMA_ENGINE: engine } });
    this.#input = this.#child.stdin.getWriter();
    this.#errors = new Response(this.#child.stderr).text();
    this.#reading = this.#read().finally(() => this.#begun.resolve());
  }

  /** Resolves at its first word. Unless it `stops`, it does not wait after a promise. */
  static async start(life: Life, stops: boolean): Promise<Writing> {
    const writing = new Writing(life);
    if (!stops) await writing.#input.close();
    await writing.#begun.promise;
    return writing;
  }

  async #read(): Promise<void> {
    for await (const line of lines(this.#child.stdout)) {
      const [, word, ...numbers] = /^(open|flushed|synced|closed) (\d+) (\d+)$/.exec(line) ?? [];
      // The last line of a process that was killed may be incomplete.
      if (word === undefined) continue;
      const [generation, value] = numbers.map(Number) as [number, number];
      const file = this.#promised.get(generation) ??
        { length: 0, flushed: 0, synced: 0, closed: false };
      this.#promised.set(generation, file);
      if (word === "open") file.length = value;
      else if (word === "closed") file.closed = true;
      else file[word as "flushed" | "synced"] = Math.max(file[word as "flushed" | "synced"], value);
      this.#begun.resolve();
      if (this.#stop?.word === word) this.#stop.reached();
      else if (word === "synced" || word === "closed") this.#goOn();
    }
  }

  #goOn(): void {
    this.#input.write(new Uint8Array(1)).catch(() => {});
  }

  /** Calls `fn` while the process waits directly after a promise. */
  async stopAt(word: "synced" | "closed", fn: () => Promise<void>): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#stop = { word, reached: resolve };
    await within(60, `A promise "${word}"`, promise);
    await fn();
    this.#stop = undefined;
    this.#goOn();
  }

  /** The promises so far. */
  promised(): Map<number, Promised> {
    return structuredClone(this.#promised);
  }

  /** Sends a signal, which must end it. */
  async end(signal: Deno.Signal): Promise<void> {
    this.#child.kill(signal);
    const late = setTimeout(() => this.#child.kill("SIGKILL"), 20_000);
    const status = await this.#child.status;
    clearTimeout(late);
    await this.#reading;
    await this.#input.abort().catch(() => {});
    assertEquals(status.signal, signal, await this.#errors);
  }
}

/** Longest time that a process may live, in milliseconds after its first word. */
const LONGEST_LIFE = 250;

/** Lets a process write for a while, by default for a random time, and ends it by a signal. */
export async function writeAndKill(
  options: Life,
  signal: Deno.Signal = "SIGKILL",
  life: number = new Random(options.seed).next() * LONGEST_LIFE,
): Promise<Account> {
  const writing = await Writing.start(options, false);
  await pause(life);
  await writing.end(signal);
  const description = `Seed ${options.seed}, ended after ${life} ms`;
  return { ...options, promised: writing.promised(), loss: "killed", description };
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
  if (bytes === undefined) return;
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
