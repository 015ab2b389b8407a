// Pieces of ordinary work with a plain result: the successes, the promises, and the first error. They are for tests in
// which every single operation fails.

import { type DmaError, DmaFile, DmaStreamReader, DmaStreamWriter } from "../../mod.ts";
import { content, firstWrong } from "./content.ts";

/** The outcome of a piece of work, successful or not. */
export interface Outcome {
  /** The first error; undefined after a success. */
  error?: Pick<DmaError, "code" | "op" | "path" | "message">;
  /** The last flushed position of a writer. */
  flushed: number;
  /** The position that a `sync()` resolved to. */
  synced: number;
  /** Whether every call of a failed writer rejected with the first error. */
  sticky: boolean;
  /** The number of correctly read bytes. */
  read: number;
  /** The position of the first wrong byte; -1 if there is none. */
  wrong: number;
}

/** A piece of work on the file "file" of a folder. */
export interface Scenario {
  /** The existing files by name: their lengths, and the seed of their content if it is not 0. */
  readonly before?: Readonly<Record<string, [length: number, seed?: number]>>;
  /** Records the results in `outcome`, and may throw. */
  readonly work: (folder: string, outcome: Outcome) => Promise<void>;
}

/** The length of a file after a success. It is not aligned. */
export const LENGTH = 300_007;
/** The start of the writer inside a file, and the length of that file. */
const START = 70_001;
export const LONGER = LENGTH + 5000;

const options = { bufferSize: 64 * 1024, writeBehind: 2 };

function told({ code, op, path, message }: DmaError): NonNullable<Outcome["error"]> {
  return { code, op, path, message };
}

/** Writes content from `position` on, with a sync on the way. */
async function write(file: DmaFile, outcome: Outcome, more = {}, position = 0): Promise<void> {
  const writer = new DmaStreamWriter(file, { ...options, ...more, position });
  try {
    for (let at = position; at < LENGTH; at += 25_000) {
      await writer.write(content(at, Math.min(25_000, LENGTH - at)));
      if (at === position + 150_000) outcome.synced = await writer.sync({ tail: true });
    }
    await writer.close();
  } catch (error) {
    outcome.error = told(error as DmaError);
    const calls = [writer.write(new Uint8Array(1)), writer.sync(), writer.close()];
    for (const call of calls) {
      outcome.sticky &&= await call.then(() => false, (again) => again === error);
    }
  }
  outcome.flushed = writer.currentFlushedPos;
}

export const scenarios = {
  "a writer of a new file": {
    work: async (folder, outcome) => await write(await DmaFile.create(`${folder}/file`), outcome),
  },

  "a writer that moves no end of file ahead": {
    work: async (folder, outcome) =>
      await write(await DmaFile.create(`${folder}/file`), outcome, { preallocate: false }),
  },

  "a writer with a size hint": {
    work: async (folder, outcome) =>
      await write(await DmaFile.create(`${folder}/file`), outcome, { sizeHint: 400_000 }),
  },

  "a writer inside a file": {
    before: { file: [LONGER] },
    work: async (folder, outcome) =>
      await write(await DmaFile.open(`${folder}/file`, { write: true }), outcome, {}, START),
  },

  "an atomic writer": {
    before: { file: [1000, 9] },
    work: async (folder, outcome) =>
      await write(await DmaFile.create(`${folder}/file`, { atomic: true }), outcome),
  },

  "a reader": {
    before: { file: [LENGTH] },
    work: async (folder, outcome) => {
      const file = await DmaFile.open(`${folder}/file`);
      const reader = new DmaStreamReader(file, { bufferSize: 32 * 1024, readAhead: 3 });
      for await (const chunk of reader) {
        const wrong = firstWrong(chunk, chunk.length, 0, outcome.read);
        if (wrong >= 0) outcome.wrong = wrong;
        outcome.read += chunk.length;
      }
    },
  },

  "work on a file": {
    before: { file: [LENGTH] },
    work: async (folder, outcome) => {
      await using file = await DmaFile.open(`${folder}/file`, { write: true });
      await file.writeAt(content(40_960, 8192), 40_960);
      await file.preallocate(LENGTH + 50_000);
      await file.truncate(LENGTH);
      await file.syncData();
      outcome.synced = LENGTH;
      const bytes = await file.readAt(1001, 100_000);
      outcome.read = bytes.length;
      outcome.wrong = firstWrong(bytes, bytes.length, 0, 1001);
      await file.size();
      await file.rename(`${folder}/other`);
      await file.rename(`${folder}/file`);
    },
  },

  "a copy from file to file": {
    before: { source: [LENGTH] },
    work: async (folder, outcome) => {
      const source = await DmaFile.open(`${folder}/source`);
      let target: DmaStreamWriter | undefined;
      try {
        target = new DmaStreamWriter(await DmaFile.create(`${folder}/file`), options);
        await new DmaStreamReader(source, { bufferSize: 64 * 1024 }).pipeTo(target);
      } finally {
        // A pipe rejects with the first failure; the writer has released the file when close() has rejected with it
        // too.
        await target?.close().catch(() => {});
        outcome.flushed = target?.currentFlushedPos ?? 0;
        // The pipe has closed it and reported a failure, unless there was no pipe.
        await source.close().catch(() => {});
      }
    },
  },
} as const satisfies Record<string, Scenario>;

/** Creates the files that exist before a piece of work. */
export async function layOut({ before = {} }: Scenario, folder: string): Promise<void> {
  for (const [name, [length, seed]] of Object.entries(before)) {
    await Deno.writeFile(`${folder}/${name}`, content(0, length, seed));
  }
}

/** Runs a piece of work in `folder`. */
export async function outcomeOf({ work }: Scenario, folder: string): Promise<Outcome> {
  const outcome: Outcome = { flushed: 0, synced: 0, sticky: true, read: 0, wrong: -1 };
  await work(folder, outcome).catch((error) => outcome.error = told(error));
  return outcome;
}
