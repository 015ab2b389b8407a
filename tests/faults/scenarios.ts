// Pieces of ordinary work, each told as a plain result: what went well, what was promised, and the first error. For
// tests that let every single operation of them fail.

import { type DmaError, DmaFile, DmaStreamReader, DmaStreamWriter } from "../../mod.ts";
import { content, firstWrong } from "./content.ts";

/** What is left when a piece of work is over, whether well or not. */
export interface Outcome {
  /** The first error; undefined where all went well. */
  error?: Pick<DmaError, "code" | "op" | "path" | "message">;
  /** What a writer said was flushed, in the end. */
  flushed: number;
  /** What a `sync()` promised. */
  synced: number;
  /** Whether a failed writer stayed failed: every call after the first error gave that error. */
  sticky: boolean;
  /** Bytes that were read and right. */
  read: number;
  /** Where the first wrong byte was read; -1 where none was. */
  wrong: number;
}

/** A piece of work in `folder`. */
export type Scenario = (folder: string) => Promise<Outcome>;

/** Bytes in a file when all goes well. Not a multiple of anything. */
export const LENGTH = 300_007;
/** Where the writer inside a file begins. */
const START = 70_001;

const options = { bufferSize: 64 * 1024, writeBehind: 2 };

function fresh(): Outcome {
  return { flushed: 0, synced: 0, sticky: true, read: 0, wrong: -1 };
}

function told(error: unknown): NonNullable<Outcome["error"]> {
  const { code, op, path, message } = error as DmaError;
  return { code, op, path, message };
}

/** Writes content from `start` on, with a sync on the way. */
async function write(file: DmaFile, start: number, outcome: Outcome, more = {}): Promise<void> {
  const writer = new DmaStreamWriter(file, { ...options, ...more });
  try {
    for (let at = start; at < LENGTH; at += 25_000) {
      await writer.write(content(at, Math.min(25_000, LENGTH - at)));
      if (at === start + 150_000) outcome.synced = await writer.sync({ tail: true });
    }
    await writer.close();
  } catch (error) {
    outcome.error = told(error);
    for (
      const call of [
        () => writer.write(new Uint8Array(1)),
        () => writer.sync(),
        () => writer.close(),
      ]
    ) {
      outcome.sticky &&= await call().then(() => false, (again) => again === error);
    }
  }
  outcome.flushed = writer.currentFlushedPos;
}

async function guarded(work: (outcome: Outcome) => Promise<void>): Promise<Outcome> {
  const outcome = fresh();
  try {
    await work(outcome);
  } catch (error) {
    outcome.error = told(error);
  }
  return outcome;
}

/** Each works on the file "file" in its folder. */
export const scenarios: Readonly<Record<string, Scenario>> = {
  "a writer of a new file": (folder) =>
    guarded(async (outcome) => {
      await write(await DmaFile.create(`${folder}/file`), 0, outcome);
    }),

  "a writer that moves no end of file ahead": (folder) =>
    guarded(async (outcome) => {
      await write(await DmaFile.create(`${folder}/file`), 0, outcome, { preallocate: false });
    }),

  "a writer with a size hint": (folder) =>
    guarded(async (outcome) => {
      await write(await DmaFile.create(`${folder}/file`), 0, outcome, { sizeHint: 400_000 });
    }),

  "a writer inside a file": (folder) =>
    guarded(async (outcome) => {
      const file = await DmaFile.open(`${folder}/file`, { write: true });
      await write(file, START, outcome, { position: START });
    }),

  "an atomic writer": (folder) =>
    guarded(async (outcome) => {
      await write(await DmaFile.create(`${folder}/file`, { atomic: true }), 0, outcome);
    }),

  "a reader": (folder) =>
    guarded(async (outcome) => {
      const reader = new DmaStreamReader(await DmaFile.open(`${folder}/file`), {
        bufferSize: 32 * 1024,
        readAhead: 3,
      });
      for await (const chunk of reader) {
        const wrong = firstWrong(chunk, chunk.length, 0, outcome.read);
        if (wrong >= 0) outcome.wrong = wrong;
        outcome.read += chunk.length;
      }
    }),

  "work on a file": (folder) =>
    guarded(async (outcome) => {
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
    }),

  "a copy from file to file": (folder) =>
    guarded(async (outcome) => {
      const source = await DmaFile.open(`${folder}/source`);
      let target: DmaStreamWriter | undefined;
      try {
        target = new DmaStreamWriter(await DmaFile.create(`${folder}/file`), options);
        await new DmaStreamReader(source, { bufferSize: 64 * 1024 }).pipeTo(target);
      } finally {
        // A pipe ends with the first failure; the writer has left the file when close() has told it again.
        await target?.close().catch(() => {});
        outcome.flushed = target?.currentFlushedPos ?? 0;
        // The pipe has closed it, and told where that failed, unless there was no pipe.
        await source.close().catch(() => {});
      }
    }),
};
