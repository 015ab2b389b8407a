// A process that writes until it is killed or the power is cut: the promises in its output, and their check.

import { assert, assertEquals } from "@std/assert";
import { exists, lines, within } from "../setup/command.ts";
import { firstForeign, firstWrong } from "../support/bytes.ts";
import { spawn } from "./programs.ts";
import { generationLength, isLog, type Kind, pathOf } from "./programs/write_on.ts";

interface Promised {
  length: number;
  /** The last known `currentFlushedPos`. */
  flushed: number;
  /** The end of what a `sync()` or `close()` has made durable. */
  synced: number;
  closed: boolean;
}

export interface Life {
  readonly kind: Kind;
  readonly folder: string;
  readonly seed: number;
  readonly engine: string;
  /** The position at which a log continues. */
  readonly position?: number;
}

/** The known promises of a process, and the event after them. */
export interface Account extends Life {
  /** By the number of the file. */
  readonly promised: ReadonlyMap<number, Promised>;
  /** A power cut takes all unsynced bytes. The disk may have more bytes than were promised. */
  readonly loss: "killed" | "power cut";
  /** For the message of a failure: how to repeat it. */
  readonly description: string;
}

/** A process with programs/write_on.ts. */
export class Writing {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #errors: Promise<string>;
  readonly #reading: Promise<void>;
  readonly #promised = new Map<number, Promised>();
  #stop: { word: string; reached: () => void } | undefined;

  constructor({ kind, folder, seed, engine, position = 0 }: Life) {
    const args = [kind, folder, `${seed}`, `${position}`];
    this.#child = spawn("write_on", { args, env: { DMA_ENGINE: engine } });
    this.#input = this.#child.stdin.getWriter();
    this.#errors = new Response(this.#child.stderr).text();
    this.#reading = this.#read();
  }

  async #read(): Promise<void> {
    for await (const line of lines(this.#child.stdout)) {
      const [, word, ...numbers] = /^(open|flushed|synced|closed) (\d+) (\d+)$/.exec(line) ?? [];
      // The last line of a process that was killed may be incomplete.
      if (word === undefined) continue;
      const [generation, at] = numbers.map(Number) as [number, number];
      const file = this.#promised.get(generation) ??
        { length: 0, flushed: 0, synced: 0, closed: false };
      this.#promised.set(generation, file);
      file.closed = word === "closed";
      if (word === "open") file.length = at;
      else if (word === "flushed") file.flushed = Math.max(file.flushed, at);
      else file.synced = Math.max(file.synced, at);
      if (this.#stop?.word !== word) this.goOn();
      else this.#stop.reached();
    }
  }

  /** Resolves at the next word of this kind. If it is a promise, the process waits after it. */
  async reach(word: "open" | "flushed" | "synced" | "closed"): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#stop = { word, reached: resolve };
    await within(60, `The word "${word}"`, promise);
    this.#stop = undefined;
  }

  goOn(): void {
    this.#input.write(new Uint8Array(1)).catch(() => {});
  }

  /** From now on it does not wait. */
  letGo(): void {
    this.#input.close().catch(() => {});
  }

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

/** Throws if promised bytes are missing, or if there are bytes that were never written. */
export async function assertKept(account: Account): Promise<void> {
  try {
    if (account.kind === "atomic") await assertWhole(account);
    else for (const [number, file] of account.promised) await assertFile(account, number, file);
  } catch (cause) {
    throw new Error(account.description, { cause });
  }
}

/** The padding of a tail is one alignment unit at most: 4096 bytes. */
const MOST_PADDING = 4096;

async function assertFile(
  { kind, folder, loss }: Account,
  generation: number,
  { length, flushed, synced, closed }: Promised,
): Promise<void> {
  const path = pathOf(kind, folder, generation);
  if (loss === "power cut" && synced === 0 && !exists(path)) return;
  const bytes = await Deno.readFile(path);
  const safe = Math.max(synced, loss === "killed" ? flushed : 0);
  assert(bytes.length >= safe, `${path} has ${bytes.length} bytes, and ${safe} were promised`);
  const wrong = firstWrong(bytes, safe, generation);
  assertEquals(wrong, -1, `${path}: the first wrong byte below ${safe}`);
  const foreign = firstForeign(bytes, safe, generation);
  assertEquals(foreign, -1, `${path}: the first byte never written`);
  if (closed && !isLog(kind)) assertEquals(bytes.length, length, `${path}: the exact length`);
  if (loss === "power cut") return;
  // Appended bytes follow the existing ones without zeros or padding.
  if (kind === "append") {
    assertEquals(firstWrong(bytes, bytes.length), -1, `${path}: the first byte never written`);
  } else if (kind === "exact" && !closed) {
    // Without an end of file that is moved ahead there are no zeros at the end but the padding of one block.
    const zeros = bytes.length - 1 - bytes.findLastIndex((byte) => byte !== 0);
    assert(zeros <= MOST_PADDING, `${path}: ${zeros} zeros at the end`);
  }
}

async function assertWhole({ folder, seed, promised, loss }: Account): Promise<void> {
  const path = pathOf("atomic", folder, 0);
  const closed = [...promised].flatMap(([number, { closed }]) => closed ? number : []);
  const last = Math.max(0, ...closed);
  // Without a closed file there may be none.
  if (last > 0 || exists(path)) {
    const bytes = await Deno.readFile(path);
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
