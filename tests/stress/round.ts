// One round: a file that is opened, used in every way with many calls at once, and closed, and what must be true of it
// afterwards. All that is decided comes from the round's seed.

import type { DmaFile, DmaStreamReader, DmaStreamWriter } from "../../mod.ts";
import { content, firstForeign, firstWrong } from "../faults/content.ts";
import { Random } from "../simulator/random.ts";
import { descriptorsOf, eventually } from "../support/descriptors.ts";
import { collectGarbage } from "../support/leaks.ts";
import { ENOUGH, isRight } from "./judge.ts";

/** No round may take longer, whatever else the machine does. */
const MOST_SECONDS = 60;

export interface Action {
  /** Members of the module's classes that are called, as "DmaFile.readAt". */
  readonly names: readonly string[];
  readonly weight: number;
  readonly run: (round: Round) => unknown;
}

/** Members are separated by spaces. */
export function action(names: string, weight: number, run: Action["run"]): Action {
  return { names: names.split(" "), weight, run };
}

/** Makes actions that call members of a class, of what `get` finds in a round, where it has one. */
export function actionsOn<T>(className: string, get: (round: Round) => T | undefined) {
  return (members: string, weight: number, use: (thing: T, round: Round) => unknown): Action => {
    const names = members.split(" ").map((name) => `${className}.${name}`).join(" ");
    return action(names, weight, (round) => {
      const thing = get(round);
      return thing && use(thing, round);
    });
  };
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
  /** Whether bytes and length are also taken away: then only what is there can be judged, and not what is missing. */
  isDestructive: boolean;
  readonly tally: Tally = { calls: 0, failed: 0, bytes: 0 };

  file: DmaFile | undefined;
  writer: DmaStreamWriter | undefined;
  /** Where the writer began. */
  start = 0;
  reader: DmaStreamReader | undefined;
  /** Everything else that is open. */
  readonly others: AsyncDisposable[] = [];
  /** Whether the file appears when it is closed, and whether anybody has asked for that. */
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

  /** Begins what a call does, and judges how it ends. Resolves when it has, and never rejects. */
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

  /** Throws unless what must hold does: no call may fail with that. */
  must(condition: boolean, what: string): void {
    if (!condition) this.#fail("What must hold", new Error(what));
  }

  #fail(name: string, error: unknown): void {
    this.#failure ??= new Error(`${name}: ${Deno.inspect(error)}`, { cause: error });
  }

  /** Where all bytes from `from` to `to` are promised to be. */
  promise(from: number, to: number): void {
    if (!this.isDestructive && to > from) this.#certain.push({ from, to });
  }

  /** Throws where bytes from `position` on are neither what belongs there nor zeros. */
  check(bytes: Uint8Array, position: number): void {
    const expected = content(position, bytes.length, this.seed);
    this.tally.bytes += bytes.length;
    const wrong = bytes.findIndex((byte, at) => byte !== 0 && byte !== expected[at]);
    this.must(wrong < 0, `Byte ${position + wrong} was never written: ${bytes[wrong]}`);
  }

  /** Takes `steps` of the actions, ends everything, and throws where anything was wrong. */
  async run(actions: readonly Action[], steps: number): Promise<void> {
    const choices = actions.map((action) => [action.weight, action] as const);
    const work = (async () => {
      for (let step = 0; step < steps && !this.#failure; step++) {
        const action = this.random.weighted(choices);
        const over = this.call(action.names.join(), () => action.run(this));
        if (this.random.chance(0.3)) await over;
        else if (this.random.chance(0.2)) await new Promise((resolve) => setTimeout(resolve, 0));
      }
      await this.#end();
    })();
    await this.#inTime(work);
    if (!this.#failure) await this.#checkFile();
    if (this.#failure) throw this.#failure;
  }

  async #inTime(work: Promise<void>): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      const fail = () => reject(new Error(`Never over: ${[...this.#under.values()].join("; ")}`));
      timer = setTimeout(fail, MOST_SECONDS * 1000);
    });
    try {
      await Promise.race([work, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  async #end(): Promise<void> {
    const { writer, file, reader } = this;
    if (writer) {
      if (this.random.chance(0.8)) this.call("last close", () => this.closeWriter(writer));
      else this.call("last abort", () => writer.abort(ENOUGH));
    }
    if (reader) this.call("last close of the reader", () => reader.close());
    // Without a writer that is what publishes an atomic file.
    this.mayBePublished ||= writer === undefined;
    // Closing waits for what is under way, and gives a writer up that somebody has locked.
    for (const other of [...this.others, file]) {
      if (other) this.call("dispose", () => other[Symbol.asyncDispose]());
    }
    // A step that is under way may open more.
    while (this.#under.size > 0) await Promise.all(this.#under.keys());
    for (const other of this.others) await this.call("dispose", () => other[Symbol.asyncDispose]());
  }

  /** Closes the writer, or seals it, and takes its word for it. */
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
    // It was removed, or never made, or never had a name.
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
