// Every public function with each of its arguments: the call with that argument wrong.

import { configure, DmaFile, DmaStreamReader, DmaStreamWriter } from "../../../mod.ts";
import type { Kind } from "./wrong.ts";

/** The objects on which the functions are called. */
export interface Subjects {
  path: string;
  file: DmaFile;
  other: DmaFile;
  writer: DmaStreamWriter;
  reader: DmaStreamReader;
}

/** One argument of one function. */
export interface Case {
  name: string;
  /** The wrong argument, as named in messages. */
  argument: string;
  kind: Kind;
  /** Called with the wrong value. Returns or throws the result of the function. */
  call: (subjects: Subjects, value: never) => unknown;
  /** Values of this kind that are allowed here. */
  allowed?: (value: unknown) => boolean;
}

function one(name: string, argument: string, kind: Kind, call: Case["call"]): Case {
  return { name, argument, kind, call };
}

/** One case for each option of a function, by its kind, and one for the options object. */
function options(
  name: string,
  byKind: Partial<Record<Kind, string[]>>,
  call: (subjects: Subjects, options: never) => unknown,
  allowed: Record<string, (value: unknown) => boolean> = {},
): Case[] {
  const each = (Object.entries(byKind) as [Kind, string[]][]).flatMap(([kind, names]) =>
    names.map((argument): Case => ({
      name: `${name}, option ${argument}`,
      argument,
      kind,
      call: (subjects, value) => call(subjects, { [argument]: value } as never),
      // `??` takes null for a missing option.
      allowed: (value) => value === null || allowed[argument]?.(value) === true,
    }))
  );
  return [...each, one(name, "options", "options", call)];
}

async function drain(results: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of results);
}

const OPENING = ["read", "write", "create", "createNew", "truncate", "append"];
const WRITING = ["append", "preallocate", "syncOnClose", "closeFile"];
const none = new Uint8Array(4096);

export const cases: readonly Case[] = [
  one("DmaFile.open", "path", "path", (_, value) => DmaFile.open(value)),
  ...options(
    "DmaFile.open",
    { flag: OPENING, integer: ["mode"], choice: ["direct"] },
    ({ path }, value) => DmaFile.open(path, value),
  ),
  one("DmaFile.create", "path", "path", (_, value) => DmaFile.create(value)),
  ...options(
    "DmaFile.create",
    { flag: ["read", "atomic"], integer: ["mode"], choice: ["direct"] },
    ({ path }, value) => DmaFile.create(`${path}-never`, value),
  ),
  ...options("DmaFile.temp", { path: ["dir"] }, (_, value) => DmaFile.temp(value), {
    dir: (value) => value === undefined,
  }),
  one("alignUp", "value", "integer", ({ file }, value) => file.alignUp(value)),
  one("alignDown", "value", "integer", ({ file }, value) => file.alignDown(value)),
  one("allocBuffer", "length", "integer", ({ file }, value) => file.allocBuffer(value)),
  one("readAt", "position", "integer", ({ file }, value) => file.readAt(value, 0)),
  one("readAt", "length", "integer", ({ file }, value) => file.readAt(0, value)),
  one("readAtAligned", "position", "integer", ({ file }, value) => file.readAtAligned(value, 0)),
  one("readAtAligned", "length", "integer", ({ file }, value) => file.readAtAligned(0, value)),
  one("readMany", "ranges", "iterable", ({ file }, value) => drain(file.readMany(value))),
  one("readMany", "range", "range", ({ file }, value) => drain(file.readMany([value]))),
  ...["position", "length"].map((name) =>
    one("readMany", name, "integer", ({ file }, value) => {
      return drain(file.readMany([{ position: 0, length: 0, [name]: value }]));
    })
  ),
  ...options(
    "readMany",
    { integer: ["maxMerged", "maxGap", "concurrency"] },
    ({ file }, value) => drain(file.readMany([], value)),
  ),
  one("writeAt", "data", "bytes", ({ other }, value) => other.writeAt(value, 0)),
  one("writeAt", "position", "integer", ({ other }, value) => other.writeAt(none, value)),
  one("truncate", "length", "integer", ({ other }, value) => other.truncate(value)),
  one("preallocate", "length", "integer", ({ other }, value) => other.preallocate(value)),
  ...options(
    "preallocate",
    { flag: ["keepSize"] },
    ({ other }, value) => other.preallocate(1, value),
  ),
  one("deallocate", "position", "integer", ({ other }, value) => other.deallocate(value, 1)),
  one("deallocate", "length", "integer", ({ other }, value) => other.deallocate(0, value)),
  one("copyRangeTo", "target", "file", ({ file }, value) => file.copyRangeTo(value, 0, 1, 0)),
  ...["position", "length", "targetPosition"].map((name, index) =>
    one("copyRangeTo", name, "integer", ({ file, other }, value) => {
      const numbers: [number, number, number] = [0, 0, 0];
      numbers[index] = value;
      return file.copyRangeTo(other, ...numbers);
    })
  ),
  one("lock", "exclusive", "flag", ({ other }, value) => other.lock(value)),
  one("lock", "options", "options", ({ other }, value) => other.lock(false, value)),
  one("tryLock", "exclusive", "flag", ({ other }, value) => other.tryLock(value)),
  one("rename", "to", "path", ({ other }, value) => other.rename(value)),
  one("isSameFile", "other", "file", ({ file }, value) => file.isSameFile(value)),
  one("DmaStreamWriter", "file", "file", (_, value) => new DmaStreamWriter(value)),
  ...options(
    "DmaStreamWriter",
    { integer: ["bufferSize", "writeBehind", "position", "sizeHint"], flag: WRITING },
    ({ other }, value) => new DmaStreamWriter(other, value),
    // Below 1 it means 1.
    { writeBehind: (value) => Number.isSafeInteger(value) && (value as number) < 1 },
  ),
  one("write", "chunk", "bytes", ({ writer }, value) => writer.write(value)),
  one("write of a stream writer", "chunk", "bytes", async ({ writer }, value) => {
    const lock = writer.getWriter();
    await lock.write(value).finally(() => lock.releaseLock());
  }),
  one("writeBuffer", "buffer", "buffer", ({ writer }, value) => writer.writeBuffer(value)),
  ...options("sync", { flag: ["tail"] }, ({ writer }, value) => writer.sync(value)),
  ...options("flushAligned", { flag: ["tail"] }, ({ writer }, value) => writer.flushAligned(value)),
  ...options("flushSync", { flag: ["durable"] }, ({ writer }, value) => writer.flushSync(value)),
  one("DmaStreamReader", "file", "file", (_, value) => new DmaStreamReader(value)),
  ...options(
    "DmaStreamReader",
    { integer: ["start", "end", "bufferSize", "readAhead"], flag: ["closeFile"] },
    ({ file }, value) => new DmaStreamReader(file, value),
    { end: (value) => value === Infinity },
  ),
  one("skip", "bytes", "integer", ({ reader }, value) => reader.skip(value)),
  ...options(
    "configure",
    { choice: ["engine"], integer: ["ringEntries", "threads", "bufferBudget", "exitTimeout"] },
    (_, value) => configure(value),
  ),
];
