// Many at once that open, write, read, abort, drop and close files, each with content that it checks, until they are
// told to come to an end.

import { DmaFile, DmaStreamReader, DmaStreamWriter, ioStats } from "../../mod.ts";
import { content, firstWrong } from "../faults/content.ts";
import { randomNumbers } from "../faults/written.ts";
import { collectGarbage } from "../support/leaks.ts";

/** What one isolate's actors did so far. */
export interface Done {
  files: number;
  bytes: number;
  aborted: number;
  dropped: number;
}

/** The actors of one isolate. */
export class Actors {
  readonly done: Done = { files: 0, bytes: 0, aborted: 0, dropped: 0 };
  #running = false;
  #all: Promise<void>[] = [];

  constructor(readonly directory: string, readonly count: number, readonly seed: number) {}

  /** Lets them begin. */
  begin(): void {
    this.#running = true;
    this.#all = Array.from({ length: this.count }, (_, index) => this.#act(index));
  }

  /** Resolves when all have come to an end and nothing is left of them. Rejects with the first thing that was wrong. */
  async end(): Promise<void> {
    this.#running = false;
    for (const settled of await Promise.allSettled(this.#all)) {
      if (settled.status === "rejected") throw settled.reason;
    }
    // What was dropped is closed when it is collected, at some time.
    for (let tried = 0; tried < 100; tried++) {
      await collectGarbage();
      const { inFlight, poolBuffers } = ioStats();
      if (inFlight === 0 && poolBuffers === 0) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`Not all was given back: ${Deno.inspect(ioStats())}`);
  }

  async #act(index: number): Promise<void> {
    const random = randomNumbers(this.seed * 1000 + index);
    const path = `${this.directory}/${this.seed}-${index}`;
    for (let round = 0; this.#running; round++) {
      const length = Math.floor(random() ** 3 * 3_000_000);
      const dice = random();
      if (dice < 0.1) await this.#writeAndAbort(path, length, random);
      else if (dice < 0.13) await this.#writeAndDrop(path, random);
      else {
        await this.#write(path, length, round, random);
        if (dice < 0.6) await this.#read(path, length, round, random);
        else if (dice < 0.8) await this.#readAt(path, length, round, random);
        else await this.#readAndCancel(path);
      }
      this.done.files++;
    }
    await Deno.remove(path).catch(() => {});
  }

  async #open(path: string, random: () => number): Promise<DmaStreamWriter> {
    return new DmaStreamWriter(await DmaFile.create(path, { atomic: random() < 0.2 }), {
      bufferSize: [0, 4096, 64 * 1024, 512 * 1024][Math.floor(random() * 4)]!,
      writeBehind: 1 + Math.floor(random() * 6),
      syncOnClose: random() < 0.1,
      preallocate: random() < 0.8,
    });
  }

  async #write(path: string, length: number, seed: number, random: () => number): Promise<void> {
    const writer = await this.#open(path, random);
    const chunk = 1 + Math.floor(random() * 200_000);
    for (let at = 0; at < length; at += chunk) {
      await writer.write(content(at, Math.min(chunk, length - at), seed));
      if (random() < 0.01) writer.sync({ tail: random() < 0.5 }).catch(() => {});
    }
    await writer.close();
    this.done.bytes += length;
    if (writer.currentFlushedPos !== length) {
      throw new Error(`${path}: ${writer.currentFlushedPos} flushed of ${length}`);
    }
  }

  async #writeAndAbort(path: string, length: number, random: () => number): Promise<void> {
    const writer = await this.#open(path, random);
    writer.write(new Uint8Array(length)).catch(() => {});
    if (random() < 0.5) await new Promise((resolve) => setTimeout(resolve, 0));
    await writer.abort(new Error("Enough"));
    this.done.aborted++;
  }

  async #writeAndDrop(path: string, random: () => number): Promise<void> {
    const writer = await this.#open(path, random);
    await writer.write(new Uint8Array(10_000));
    this.done.dropped++;
  }

  async #read(path: string, length: number, seed: number, random: () => number): Promise<void> {
    const reader = new DmaStreamReader(await DmaFile.open(path), {
      bufferSize: Math.floor(random() * 300_000),
      readAhead: Math.floor(random() * 5),
    });
    let at = 0;
    const check = (bytes: Uint8Array) => {
      const wrong = firstWrong(bytes, bytes.length, seed, at);
      if (wrong >= 0) throw new Error(`${path}: wrong at ${wrong}`);
      at += bytes.length;
    };
    if (random() < 0.5) { for await (const chunk of reader) check(chunk); }
    else {
      const lock = reader.getReader({ mode: "byob" });
      for (let view = new Uint8Array(1 + Math.floor(random() * 500_000));;) {
        const { done, value } = await lock.read(view);
        if (done) break;
        check(value);
        view = new Uint8Array(value.buffer);
      }
    }
    if (at !== length) throw new Error(`${path}: read ${at} of ${length}`);
    this.done.bytes += length;
  }

  async #readAt(path: string, length: number, seed: number, random: () => number): Promise<void> {
    await using file = await DmaFile.open(path);
    const reads = Array.from({ length: 4 }, async () => {
      const at = Math.floor(random() * length);
      const bytes = await file.readAt(at, 10_000);
      const wrong = firstWrong(bytes, Math.min(10_000, length - at), seed, at);
      if (wrong >= 0) throw new Error(`${path}: wrong at ${wrong}`);
    });
    await Promise.all(reads);
  }

  async #readAndCancel(path: string): Promise<void> {
    const reader = new DmaStreamReader(await DmaFile.open(path), { bufferSize: 64 * 1024 });
    const lock = reader.getReader();
    await lock.read();
    await lock.cancel();
    this.done.aborted++;
  }
}
