// One round: a file is opened, used in every way with many concurrent calls, and closed, and then checked. The round's
// number determines all decisions. A byte of the file depends only on its position and the round.

import { statfsSync, statSync } from "node:fs";
import type { DmaError, DmaFile, DmaStreamReader, DmaStreamWriter } from "../../mod.ts";
import { eventually, pause, within } from "../setup/command.ts";
import { firstForeign, firstWrong, pattern } from "../support/bytes.ts";
import { collectGarbage, descriptorsOf, openDescriptors } from "../support/leaks.ts";
import { RandomArguments } from "./arguments.ts";

/** The maximum time of a round, even on a busy machine. */
const MOST_SECONDS = 120;

export interface Tally {
  calls: number;
  failed: number;
  bytes: number;
}

/** An action: how often it is chosen, and what it calls. */
export type Action = readonly [weight: number, run: (round: Round) => unknown];

/** The seed of the bytes that the round of this number writes. */
export function seedOf(number: number): number {
  return number % 1000 + 1;
}

export class Round {
  readonly random: RandomArguments;
  /** The seed of the bytes of its file. */
  readonly seed: number;
  readonly path: string;
  /** Whether bytes are also removed. Then only the existing bytes are checked, not missing ones. */
  isDestructive: boolean;
  file: DmaFile | undefined;
  writer: DmaStreamWriter | undefined;
  start = 0;
  reader: DmaStreamReader | undefined;
  /** Everything else that is open. */
  readonly others: AsyncDisposable[] = [];
  /** Whether the file may vanish, and whether every write goes to its end. */
  isAtomic = false;
  isAppending = false;
  readonly #certain: { readonly from: number; readonly to: number }[] = [];
  readonly #under = new Map<Promise<unknown>, string>();
  #failure: Error | undefined;

  constructor(readonly directory: string, readonly number: number, readonly tally: Tally) {
    this.random = new RandomArguments(number);
    this.seed = seedOf(number);
    this.path = `${directory}/${number}`;
    this.isDestructive = this.random.chance(0.3);
  }

  get otherPath(): string {
    return `${this.directory}/${this.number}-${this.random.below(3)}`;
  }

  /** Begins a call, and judges its end. Resolves when it has ended, and never rejects. */
  call(name: string, work: () => unknown): Promise<void> {
    this.tally.calls++;
    const over = (async () => {
      try {
        await work();
      } catch (error) {
        this.tally.failed++;
        if (!isRight(error)) this.#fail(name, error);
      }
    })();
    this.#under.set(over, name);
    over.then(() => this.#under.delete(over));
    return over;
  }

  must(condition: boolean, what: string): void {
    if (!condition) this.#fail("What must hold", new Error(what));
  }

  #fail(name: string, error: unknown): void {
    const what = `${name}: ${Deno.inspect(error)}; ${room(this.directory)}`;
    this.#failure ??= new Error(what, { cause: error });
  }

  /** Records that all bytes from `from` to `to` are promised. */
  promise(from: number, to: number): void {
    if (!this.isDestructive && to > from) this.#certain.push({ from, to });
  }

  /** Checks that bytes from `position` on are the right ones or zeros, and no more than `most`. */
  check(bytes: Uint8Array, position: number, most = Infinity): void {
    this.tally.bytes += bytes.length;
    this.must(bytes.length <= most, `${bytes.length} bytes were read of ${most}`);
    const expected = pattern(bytes.length, position, this.seed);
    const wrong = bytes.findIndex((byte, at) => byte !== 0 && byte !== expected[at]);
    this.must(wrong < 0, `Byte ${position + wrong} was never written: ${bytes[wrong]}`);
  }

  /** Runs so many actions, ends everything, and throws after a failed check. */
  async run(actions: Readonly<Record<string, Action>>, count: number): Promise<void> {
    const choices = Object.entries(actions)
      .map(([name, [weight, run]]) => [weight, { name, run }] as const);
    const work = async () => {
      for (let step = 0; step < count && !this.#failure; step++) {
        const { name, run } = this.random.weighted(choices);
        const over = this.call(name, () => run(this));
        if (this.random.chance(0.3)) await over;
        else if (this.random.chance(0.2)) await pause(0);
      }
      await this.#end();
    };
    await within(MOST_SECONDS, () => [...this.#under.values()].join("; "), work());
    if (!this.#failure) await this.#checkFile();
    if (this.#failure) throw this.#failure;
  }

  async #end(): Promise<void> {
    const { writer, file, reader } = this;
    if (writer) {
      const closes = this.random.chance(0.8);
      this.call("the last end", () => closes ? this.closeWriter(writer) : writer.abort(ENOUGH));
    }
    if (reader) this.call("the last close of the reader", () => reader.close());
    // Closing waits for running operations, and aborts a locked writer. A running step may open more.
    for (const opened of [() => [...this.others, file], () => this.others]) {
      for (const each of opened()) this.call("dispose", () => each?.[Symbol.asyncDispose]());
      while (this.#under.size > 0) await Promise.all(this.#under.keys());
    }
  }

  /** Closes or seals the writer, and records its promise. */
  async closeWriter(writer: DmaStreamWriter, how: "close" | "seal" = "close"): Promise<void> {
    const { start } = this;
    await writer[how]();
    const { currentPos, currentFlushedPos } = writer;
    const what = `Closed at ${currentPos}, and flushed to ${currentFlushedPos}`;
    this.must(currentPos === currentFlushedPos, what);
    this.promise(start, currentPos);
  }

  async #checkFile(): Promise<void> {
    const { seed } = this;
    const path = this.file?.path ?? this.path;
    const gone = () => descriptorsOf(path) === 0;
    await eventually(async () => gone() || (await collectGarbage(), gone()));
    const bytes = await Deno.readFile(path).catch(() => undefined);
    // It was removed, or never published or created.
    if (!bytes) return this.must(this.#certain.length === 0 || this.isAtomic, `${path} is gone`);
    this.tally.bytes += bytes.length;
    const foreign = firstForeign(bytes, 0, seed);
    this.must(foreign < 0, `Byte ${foreign} was never written: ${bytes[foreign]}`);
    for (const { from, to } of this.#certain) {
      this.must(bytes.length >= to, `${bytes.length} bytes are there of ${to}`);
      const there = bytes.subarray(from, to);
      const wrong = firstWrong(there, there.length, seed, from);
      this.must(wrong < 0, `Byte ${wrong} from ${from} to ${to} is not what was written`);
    }
  }
}

/** The reason of every abort here. */
export const ENOUGH: Error = new Error("Enough");

/** The errors of the system that the actions can cause. */
const CODES =
  /^(EBADF|EEXIST|ENOENT|EINVAL|EFBIG|EOPNOTSUPP|EWOULDBLOCK|EAGAIN|EISDIR|ERR_STREAM_.*)$/;

/** The messages of V8 for mistakes in code, and of assertions. */
const MISTAKE =
  /Assertion failed|is not a function|Cannot (read|set) propert|is not iterable|private (member|field)|is not defined|out of bounds|call stack|Cannot convert|Cannot destructure|detached ArrayBuffer$/;

/** The free space and the longest open file of the directory, which show who has filled a disk. */
function room(directory: string): string {
  const { bavail, bsize } = statfsSync(directory);
  const real = Deno.realPathSync(directory);
  const lengths = openDescriptors().filter(({ target }) => target.startsWith(`${real}/`))
    .map(({ path }) => statSync(path, { throwIfNoEntry: false })?.size ?? 0);
  const longest = Math.max(0, ...lengths);
  return `${bavail * bsize} bytes are free, and the longest open file has ${longest}`;
}

/** Whether an error is a documented one: calls with wrong lengths, or on a closed object, may fail with these. */
function isRight(error: unknown): boolean {
  if (!(error instanceof Error) || MISTAKE.test(error.message)) return false;
  if (error instanceof TypeError || error instanceof RangeError || error === ENOUGH) return true;
  if (error instanceof DOMException) {
    return ["AbortError", "TimeoutError", "DataCloneError"].includes(error.name);
  }
  const { code, errno, op, path } = error as DmaError;
  if (code === undefined) return error.message === "The stream was destroyed";
  const isComplete = errno > 0 && typeof op === "string" && typeof path === "string";
  return CODES.test(code) && (isComplete || code.startsWith("ERR_"));
}
