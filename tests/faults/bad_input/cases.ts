// Every public function with each of its arguments: how it is called with that one wrong.

import { configure, DmaFile, DmaStreamReader, DmaStreamWriter } from "../../../mod.ts";
import type { Kind } from "./wrong.ts";

/** What the functions are called on. */
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
  /** The argument that is wrong, as messages name it. */
  argument: string;
  kind: Kind;
  /** Called with the wrong value. Returns or throws what the function does. */
  call: (subjects: Subjects, value: never) => unknown;
  /** Values of this kind that are right here. */
  allowed?: (value: unknown) => boolean;
}

/** One case for each option of a function that takes an object of them. */
function options(
  name: string,
  kinds: Record<string, Kind>,
  call: (subjects: Subjects, options: never) => unknown,
  allowed: Record<string, (value: unknown) => boolean> = {},
): Case[] {
  const each = Object.entries(kinds).map(([argument, kind]): Case => ({
    name: `${name}, option ${argument}`,
    argument,
    kind,
    call: (subjects, value) => call(subjects, { [argument]: value } as never),
    // `??` takes null for a missing option.
    allowed: (value) => value === null || allowed[argument]?.(value) === true,
  }));
  return [...each, { name, argument: "options", kind: "options", call }];
}

const opening = {
  read: "flag",
  write: "flag",
  create: "flag",
  createNew: "flag",
  truncate: "flag",
  append: "flag",
  mode: "integer",
  direct: "choice",
} as const;
const isChoice = (value: unknown) => ["require", "prefer", "off"].includes(value as string);

async function drain(results: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of results);
}

/** All of them. */
export const cases: readonly Case[] = [
  { name: "DmaFile.open", argument: "path", kind: "path", call: (_, value) => DmaFile.open(value) },
  ...options("DmaFile.open", opening, ({ path }, value) => DmaFile.open(path, value), {
    direct: isChoice,
  }),
  {
    name: "DmaFile.create",
    argument: "path",
    kind: "path",
    call: (_, value) => DmaFile.create(value),
  },
  ...options(
    "DmaFile.create",
    { read: "flag", mode: "integer", direct: "choice", atomic: "flag" },
    ({ path }, value) => DmaFile.create(`${path}-never`, value),
    { direct: isChoice },
  ),
  ...options("DmaFile.temp", { dir: "path" }, (_, value) => DmaFile.temp(value), {
    dir: (value) => value === undefined,
  }),
  ...["alignUp", "alignDown"].map((name): Case => ({
    name,
    argument: "value",
    kind: "integer",
    call: ({ file }, value) => file[name as "alignUp"](value),
  })),
  {
    name: "allocBuffer",
    argument: "length",
    kind: "integer",
    call: ({ file }, value) => file.allocBuffer(value),
  },
  ...["readAt", "readAtAligned"].flatMap((name): Case[] => [
    {
      name,
      argument: "position",
      kind: "integer",
      call: ({ file }, value) => file[name as "readAt"](value, 0),
    },
    {
      name,
      argument: "length",
      kind: "integer",
      call: ({ file }, value) => file[name as "readAt"](0, value),
    },
  ]),
  {
    name: "readMany",
    argument: "ranges",
    kind: "iterable",
    call: ({ file }, value) => drain(file.readMany(value)),
  },
  {
    name: "readMany",
    argument: "range",
    kind: "range",
    call: ({ file }, value) => drain(file.readMany([value])),
  },
  ...["position", "length"].map((argument): Case => ({
    name: "readMany",
    argument,
    kind: "integer",
    call: ({ file }, value) =>
      drain(file.readMany([{ position: 0, length: 0, [argument]: value }])),
  })),
  ...options(
    "readMany",
    { maxMerged: "integer", maxGap: "integer", concurrency: "integer" },
    ({ file }, value) => drain(file.readMany([], value)),
  ),
  {
    name: "writeAt",
    argument: "data",
    kind: "bytes",
    call: ({ other }, value) => other.writeAt(value, 0),
  },
  {
    name: "writeAt",
    argument: "position",
    kind: "integer",
    call: ({ other }, value) => other.writeAt(new Uint8Array(4096), value),
  },
  {
    name: "truncate",
    argument: "length",
    kind: "integer",
    call: ({ other }, value) => other.truncate(value),
  },
  {
    name: "preallocate",
    argument: "length",
    kind: "integer",
    call: ({ other }, value) => other.preallocate(value),
  },
  ...options(
    "preallocate",
    { keepSize: "flag" },
    ({ other }, value) => other.preallocate(1, value),
    {
      keepSize: (value) => value === undefined,
    },
  ).map((each): Case => each.argument === "keepSize" ? { ...each, allowed: () => false } : each),
  ...["position", "length"].map((argument): Case => ({
    name: "deallocate",
    argument,
    kind: "integer",
    call: ({ other }, value) =>
      argument === "position" ? other.deallocate(value, 1) : other.deallocate(0, value),
  })),
  {
    name: "copyRangeTo",
    argument: "target",
    kind: "file",
    call: ({ file }, value) => file.copyRangeTo(value, 0, 1, 0),
  },
  ...["position", "length", "targetPosition"].map((argument, index): Case => ({
    name: "copyRangeTo",
    argument,
    kind: "integer",
    call: ({ file, other }, value) => {
      const numbers: [number, number, number] = [0, 0, 0];
      numbers[index] = value;
      return file.copyRangeTo(other, ...numbers);
    },
  })),
  {
    name: "lock",
    argument: "exclusive",
    kind: "flag",
    call: ({ other }, value) => other.lock(value),
  },
  {
    name: "lock",
    argument: "options",
    kind: "options",
    call: ({ other }, value) => other.lock(false, value),
  },
  {
    name: "tryLock",
    argument: "exclusive",
    kind: "flag",
    call: ({ other }, value) => other.tryLock(value),
  },
  { name: "rename", argument: "to", kind: "path", call: ({ other }, value) => other.rename(value) },
  {
    name: "isSameFile",
    argument: "other",
    kind: "file",
    call: ({ file }, value) => file.isSameFile(value),
  },
  {
    name: "DmaStreamWriter",
    argument: "file",
    kind: "file",
    call: (_, value) => new DmaStreamWriter(value),
  },
  ...options(
    "DmaStreamWriter",
    {
      bufferSize: "integer",
      writeBehind: "integer",
      position: "integer",
      append: "flag",
      sizeHint: "integer",
      preallocate: "flag",
      syncOnClose: "flag",
      closeFile: "flag",
    },
    ({ other }, value) => new DmaStreamWriter(other, value),
    // Below 1 it means 1.
    { writeBehind: (value) => Number.isSafeInteger(value) && (value as number) < 1 },
  ),
  {
    name: "write",
    argument: "chunk",
    kind: "bytes",
    call: ({ writer }, value) => writer.write(value),
  },
  {
    name: "write of a stream writer",
    argument: "chunk",
    kind: "bytes",
    call: async ({ writer }, value) => {
      const lock = writer.getWriter();
      try {
        await lock.write(value);
      } finally {
        lock.releaseLock();
      }
    },
  },
  {
    name: "writeBuffer",
    argument: "buffer",
    kind: "buffer",
    call: ({ writer }, value) => writer.writeBuffer(value),
  },
  ...options("sync", { tail: "flag" }, ({ writer }, value) => writer.sync(value)),
  ...options("flushAligned", { tail: "flag" }, ({ writer }, value) => writer.flushAligned(value)),
  ...options("flushSync", { durable: "flag" }, ({ writer }, value) => writer.flushSync(value)),
  {
    name: "DmaStreamReader",
    argument: "file",
    kind: "file",
    call: (_, value) => new DmaStreamReader(value),
  },
  ...options(
    "DmaStreamReader",
    {
      start: "integer",
      end: "integer",
      bufferSize: "integer",
      readAhead: "integer",
      closeFile: "flag",
    },
    ({ file }, value) => new DmaStreamReader(file, value),
    { end: (value) => value === Infinity },
  ),
  {
    name: "skip",
    argument: "bytes",
    kind: "integer",
    call: ({ reader }, value) => reader.skip(value),
  },
  ...options(
    "configure",
    {
      engine: "choice",
      ringEntries: "integer",
      threads: "integer",
      bufferBudget: "integer",
      exitTimeout: "integer",
    },
    (_, value) => configure(value),
  ),
];
