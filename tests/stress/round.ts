// One round: a file is opened, used in every way with many concurrent calls, and closed, and then checked. The round's
// seed determines all decisions.

import type { DmaFile, DmaStreamReader, DmaStreamWriter } from "../../mod.ts";
import { content, firstForeign, firstWrong } from "../faults/content.ts";
import { pause, within } from "../setup/command.ts";
import { Random } from "../simulator/random.ts";
import { descriptorsOf, eventually } from "../support/descriptors.ts";
import { collectGarbage } from "../support/leaks.ts";
import { ENOUGH, isRight } from "./judge.ts";

/** The maximum time of a round, even on a busy machine. */
const MOST_SECONDS = 60;

export interface Action {
  /** The called members of the module's classes, such as "DmaFile: readAt". */
  readonly name: string;
  readonly weight: number;
  readonly run: (round: Round) => unknown;
}

export function action(name: string, weight: number, run: Action["run"]): Action {
  return { name, weight, run };
}

/** Makes actions that call members of a class on the object that `get` returns, if the round has one. */
export function actionsOn<T>(className: string, get: (round: Round) => T | undefined) {
  return (members: string, weight: number, use: (thing: T, round: Round) => unknown): Action =>
    action(`${className}: ${members}`, weight, (round) => {
      const thing = get(round);
      return thing && use(thing, round);
    });
}

/** A range of positions, `to` exclusive. */
interface Range {
  readonly from: number;
  readonly to: number;
}

export interface Tally {
  calls: number;
  failed: number;
  bytes: number;
}

/** The seed of the bytes that the round of this number writes. */
export function seedOf(number: number): number {
  return number % 1000 + 1;
}

export class Round {
  readonly random: Random;
  /** The seed of the bytes of its file. */
  readonly seed: number;
  readonly path: string;
  /** Whether bytes are also removed. Then only the existing bytes are checked, not missing ones. */
  isDestructive: boolean;
  readonly tally: Tally = { calls: 0, failed: 0, bytes: 0 };

  file: DmaFile | undefined;
  writer: DmaStreamWriter | undefined;
  /** The start of the writer. */
  start = 0;
  reader: DmaStreamReader | undefined;
  /** Everything else that is open. */
  readonly others: AsyncDisposable[] = [];
  /** Whether the file is published at close, and whether a close was called. */
  isAtomic = false;
  mayBePublished = false;
  /** Whether every write goes to the end of the file. */
  isAppending = false;
  /** Whether the file never has a name. */
  isTemporary = false;

  readonly #certain: Range[] = [];
  readonly #under = new Map<Promise<unknown>, string>();
  #failure: Error | undefined;

  constructor(readonly directory: string, readonly number: number) {
    this.random = new Random(number);
    this.seed = seedOf(number);
    this.path = `${directory}/${number}`;
    this.isDestructive = this.random.chance(0.3);
  }

  get otherPath(): string {
    return `${this.directory}/${this.number}-${this.random.below(3)}`;
  }

  /** Begins a call, and judges its end. Resolves when it has ended, and never rejects. */
  call<T>(name: string, work: () => T, then?: (value: Awaited<T>) => unknown): Promise<void> {
    this.tally.calls++;
    const over = (async () => {
      try {
        const value = await work();
        await then?.(value);
      } catch (error) {
        this.tally.failed++;
        if (!isRight(error)) this.#fail(name, error);
      }
    })();
    this.#under.set(over, name);
    over.then(() => this.#under.delete(over));
    return over;
  }

  /** Throws unless a condition holds. No call may fail with this error. */
  must(condition: boolean, what: string): void {
    if (!condition) this.#fail("What must hold", new Error(what));
  }

  #fail(name: string, error: unknown): void {
    this.#failure ??= new Error(`${name}: ${Deno.inspect(error)}`, { cause: error });
  }

  /** Records that all bytes from `from` to `to` are promised. */
  promise(from: number, to: number): void {
    if (!this.isDestructive && to > from) this.#certain.push({ from, to });
  }

  /** Throws if bytes from `position` on are neither the right ones nor zeros. */
  check(bytes: Uint8Array, position: number): void {
    const expected = content(position, bytes.length, this.seed);
    this.tally.bytes += bytes.length;
    const wrong = bytes.findIndex((byte, at) => byte !== 0 && byte !== expected[at]);
    this.must(wrong < 0, `Byte ${position + wrong} was never written: ${bytes[wrong]}`);
  }

  /** Runs `steps` actions, ends everything, and throws after a failed check. */
  async run(actions: readonly Action[], steps: number): Promise<void> {
    const choices = actions.map((action) => [action.weight, action] as const);
    const work = (async () => {
      for (let step = 0; step < steps && !this.#failure; step++) {
        const action = this.random.weighted(choices);
        const over = this.call(action.name, () => action.run(this));
        if (this.random.chance(0.3)) await over;
        else if (this.random.chance(0.2)) await pause(0);
      }
      await this.#end();
    })();
    const under = () => [...this.#under.values()].join("; ");
    await within(MOST_SECONDS, under, work);
    if (!this.#failure) await this.#checkFile();
    if (this.#failure) throw this.#failure;
  }

  async #end(): Promise<void> {
    const { writer, file, reader } = this;
    if (writer) {
      if (this.random.chance(0.8)) this.call("last close", () => this.closeWriter(writer));
      else this.call("last abort", () => writer.abort(ENOUGH));
    }
    if (reader) this.call("last close of the reader", () => reader.close());
    // Without a writer this publishes an atomic file.
    this.mayBePublished ||= writer === undefined;
    // Closing waits for running operations, and aborts a locked writer.
    for (const other of [...this.others, file]) {
      if (other) this.call("dispose", () => other[Symbol.asyncDispose]());
    }
    // A running step may open more.
    while (this.#under.size > 0) await Promise.all(this.#under.keys());
    for (const other of this.others) await this.call("dispose", () => other[Symbol.asyncDispose]());
  }

  /** Closes or seals the writer, and records its promise. */
  async closeWriter(writer: DmaStreamWriter, how: "close" | "seal" = "close"): Promise<void> {
    const { start } = this;
    this.mayBePublished = true;
    await writer[how]();
    const { currentPos, currentFlushedPos } = writer;
    const what = `Closed at ${currentPos}, and flushed to ${currentFlushedPos}`;
    this.must(currentPos === currentFlushedPos, what);
    this.promise(start, currentPos);
  }

  async #checkFile(): Promise<void> {
    const { seed } = this;
    const path = this.isTemporary ? this.path : this.file?.path ?? this.path;
    const gone = () => descriptorsOf(path) === 0;
    await eventually(async () => gone() || (await collectGarbage(), gone()));
    const bytes = await Deno.readFile(path).catch(() => undefined);
    // It was removed, or never created, or never had a name.
    if (!bytes) return;
    this.must(!this.isAtomic || this.mayBePublished, "An atomic file is there that nobody closed");
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
