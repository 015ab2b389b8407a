// Every public function with every wrong kind of argument: the error is of the right class and names the argument,
// and whatever it was called on is as it was.

import "./engine.ts";
import { assert, assertEquals, assertInstanceOf, assertStringIncludes } from "@std/assert";
import fc from "fast-check";
import {
  configure,
  DmaBuffer,
  DmaFile,
  DmaStreamReader,
  DmaStreamWriter,
  ioStats,
} from "../mod.ts";

/** Wrong values for each kind of argument, but undefined: that stands for the default, where there is one. */
const wrong = {
  integer: fc.oneof(
    fc.double({ min: 0.001, max: 1e6 }).filter((value) => !Number.isInteger(value)),
    fc.constantFrom(NaN, Infinity, -Infinity, -1, -(2 ** 40), 2 ** 53, 1e300, -0.5),
    fc.oneof(fc.string(), fc.bigInt(), fc.boolean(), fc.constant(null), fc.object()),
    fc.constantFrom<unknown>([], [1], () => 1, Symbol("1"), new Date(0), "4096"),
  ),
  flag: fc.oneof(
    fc.string(),
    fc.integer(),
    fc.object(),
    fc.constantFrom<unknown>(0, 1, "true", "", [], NaN, 1n, Symbol("true"), () => true),
  ),
  options: fc.oneof(
    fc.string(),
    fc.integer(),
    fc.boolean(),
    fc.constantFrom<unknown>(null, 1n, Symbol("options"), () => ({})),
  ),
  path: fc.oneof(
    fc.integer(),
    fc.boolean(),
    fc.object(),
    fc.string().map((text) => `${text}\0`),
    fc.constantFrom<unknown>(
      null,
      undefined,
      [],
      1n,
      Symbol("path"),
      new Uint8Array([47]),
      new URL("http://example.com/file"),
      new URL("file://host/file"),
    ),
  ),
  bytes: fc.oneof(
    fc.string(),
    fc.integer(),
    fc.object(),
    fc.array(fc.integer()),
    fc.constantFrom<unknown>(null, undefined, true, 1n, Symbol("bytes"), new Blob(["text"])),
    fc.integer({ min: 1, max: 100 }).map((length) => {
      const bytes = new Uint8Array(length);
      bytes.buffer.transfer();
      return bytes;
    }),
  ),
  file: fc.oneof(
    fc.string(),
    fc.object(),
    fc.constantFrom<unknown>(null, undefined, 3, true, DmaFile, new Blob([])),
  ),
  buffer: fc.oneof(
    fc.string(),
    fc.object(),
    fc.constantFrom<unknown>(null, undefined, 3, new Uint8Array(4096), new ArrayBuffer(4096)),
  ),
  choice: fc.oneof(
    fc.string(),
    fc.integer(),
    fc.object(),
    fc.constantFrom<unknown>("Require", "on", true, [], Symbol("off")),
  ),
  iterable: fc.oneof(
    fc.string(),
    fc.integer(),
    fc.boolean(),
    fc.constantFrom<unknown>(null, undefined, {}, () => [], Symbol("ranges")),
  ),
  range: fc.oneof(
    fc.string(),
    fc.integer(),
    fc.boolean(),
    fc.constantFrom<unknown>(null, undefined, Symbol("range")),
  ),
} as const;

type Kind = keyof typeof wrong;

/** What the functions are called on. */
interface Subjects {
  path: string;
  file: DmaFile;
  other: DmaFile;
  writer: DmaStreamWriter;
  reader: DmaStreamReader;
}

interface Case {
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
  mode: "integer",
  direct: "choice",
} as const;
const isChoice = (value: unknown) => ["require", "prefer", "off"].includes(value as string);

async function drain(results: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of results);
}

const cases: Case[] = [
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
  ...options("sync", { tail: "flag" }, ({ writer }, value) => writer.sync(value)).map((
    each,
  ): Case => each.argument === "tail" ? { ...each, allowed: () => false } : each),
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
    { engine: "choice", ringEntries: "integer", threads: "integer" },
    (_, value) => configure(value),
  ),
];

/** Functions that return a promise never throw at once. */
const synchronous = new Set([
  "alignUp",
  "alignDown",
  "allocBuffer",
  "isSameFile",
  "skip",
  "configure",
  "DmaStreamWriter",
  "DmaStreamReader",
]);

async function failureOf(
  { name, call }: Case,
  subjects: Subjects,
  value: unknown,
): Promise<unknown> {
  let result: unknown;
  try {
    result = call(subjects, value as never);
  } catch (error) {
    assert(synchronous.has(name.split(",")[0]!), `${name} threw at once: ${error}`);
    return error;
  }
  try {
    await result;
  } catch (error) {
    return error;
  }
  throw new Error(`${name} took ${Deno.inspect(value)} for ${name}`);
}

function isRight({ kind, allowed }: Case, value: unknown): boolean {
  if (allowed?.(value)) return true;
  // No empty object is wrong for options; no empty array for a list of ranges.
  if (kind === "options") return typeof value === "object" && value !== null || value === undefined;
  return false;
}

async function withSubjects(fn: (subjects: Subjects) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir();
  const path = `${directory}/file`;
  await Deno.writeFile(path, new Uint8Array(10_000).fill(1));
  await Deno.writeFile(`${directory}/other`, new Uint8Array(10_000).fill(2));
  const subjects = {
    path,
    file: await DmaFile.open(path),
    other: await DmaFile.open(`${directory}/other`, { write: true }),
    writer: new DmaStreamWriter(await DmaFile.create(`${directory}/written`)),
    reader: new DmaStreamReader(await DmaFile.open(path)),
  };
  try {
    await fn(subjects);
    assertEquals([...Deno.readDirSync(directory)].map(({ name }) => name).sort(), [
      "file",
      "other",
      "written",
    ]);
  } finally {
    await subjects.file.close();
    await subjects.other.close();
    await subjects.writer.abort().catch(() => {});
    await subjects.reader.close();
    await Deno.remove(directory, { recursive: true });
  }
}

for (const each of cases) {
  Deno.test(`${each.name} refuses every wrong ${each.argument} by name and changes nothing`, () =>
    withSubjects(async (subjects) => {
      const { writer, reader, other } = subjects;
      await writer.write(new Uint8Array(5).fill(3));
      let written = 5;
      await fc.assert(
        fc.asyncProperty(wrong[each.kind] as fc.Arbitrary<unknown>, async (value) => {
          fc.pre(!isRight(each, value));
          const { inFlight, poolBuffers } = ioStats();
          const error = await failureOf(each, subjects, value);
          const shown = `${each.name} with ${Deno.inspect(value)} gave ${error}`;
          const outOfRange = each.kind === "integer" && typeof value === "number";
          assertInstanceOf(error, outOfRange ? RangeError : TypeError, shown);
          assertStringIncludes((error as Error).message, each.argument, shown);
          assert(!/^[a-z]|\.$/.test((error as Error).message), shown);
          // Everything is as it was, and goes on.
          assertEquals(writer.currentPos, written);
          assertEquals(reader.currentPos, 0);
          assertEquals(writer.locked || reader.locked, false);
          assertEquals({ inFlight, poolBuffers }, {
            inFlight: ioStats().inFlight,
            poolBuffers: ioStats().poolBuffers,
          });
          await writer.write(new Uint8Array(1));
          assertEquals(writer.currentPos, ++written);
        }),
        { numRuns: 40 },
      );
      assertEquals(await other.size(), 10_000);
      assertEquals((await other.readAt(0, 10_000)).every((byte) => byte === 2), true);
      await writer.close();
      assertEquals(writer.currentFlushedPos, written);
    }));
}

Deno.test("DmaFile and DmaBuffer cannot be constructed by hand", () => {
  for (const Class of [DmaFile, DmaBuffer]) {
    const construct = Class as unknown as new (...args: unknown[]) => unknown;
    for (const args of [[], [Symbol("opened"), {}], [1, 2]]) {
      let error: unknown;
      try {
        new construct(...args);
      } catch (reason) {
        error = reason;
      }
      assertInstanceOf(error, TypeError);
    }
  }
});
