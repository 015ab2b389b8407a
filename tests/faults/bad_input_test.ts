// Every function with every wrong kind of argument: the error has its class and names the argument, and nothing changes.

import { assert, assertEquals, assertThrows } from "@std/assert";
import { configure, DmaBuffer, DmaFile, DmaStreamReader, DmaStreamWriter } from "../../mod.ts";
import { toNodeReadable, toNodeWritable } from "../../node.ts";
import { filled, namesIn, openWith } from "../support/bytes.ts";
import { testInOneDirectory } from "../support/dirs.ts";
import { engine } from "../support/engine.ts";

const detached = new Uint8Array(100);
detached.buffer.transfer();

const urls = ["http://localhost/file", "file://host/file", "file:///tmp/a%00b", "file:///tmp/%FF"];
const objects = [{}, { length: 1 }, { path: "file", fd: 3 }, new Date(0), new Blob(["text"])];
const symbol = Symbol("symbol");
const call = () => 1;

/** Wrong values for each kind of argument. undefined is not among them, because it means the default. */
const wrong = {
  integer: [
    ...[NaN, Infinity, -Infinity, -1, -(2 ** 40), -0.5, 0.001, 1.5, 4096.25, 2 ** 53, 1e300],
    ...["", "4096", 1n, true, null, [], [1], symbol, call, ...objects],
  ],
  flag: ["", "true", 0, 1, -5, NaN, 1n, [], symbol, call, ...objects],
  options: ["", "write", 0, 5, 1n, true, null, symbol, call],
  path: [
    ...["a\0", "\0", 0, 5, 1n, true, null, undefined, [], symbol, new Uint8Array([47])],
    ...urls.map((url) => new URL(url)),
    ...objects,
  ],
  bytes: ["", "text", 0, 5, 1n, true, null, undefined, [], [1], symbol, detached, ...objects],
  file: ["", 3, true, null, undefined, DmaFile, ...objects],
  buffer: ["", 3, null, undefined, new Uint8Array(4096), new ArrayBuffer(4096), ...objects],
  choice: ["", "Require", "on", 0, 5, true, [], symbol, ...objects],
  iterable: ["", "text", 0, 5, true, null, undefined, {}, () => [], symbol],
  range: ["", "text", 0, 5, true, null, undefined, symbol],
} as const;

type Kind = keyof typeof wrong;

interface Subjects {
  path: string;
  file: DmaFile;
  other: DmaFile;
  writer: DmaStreamWriter;
  reader: DmaStreamReader;
}

interface Case {
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

const OPENING = ["read", "write", "create", "createNew", "truncate", "append"];
const WRITING = ["append", "preallocate", "syncOnClose", "closeFile"];
const none = new Uint8Array(4096);

const cases: readonly Case[] = [
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
  one("readMany", "ranges", "iterable", ({ file }, value) => Array.fromAsync(file.readMany(value))),
  one("readMany", "range", "range", ({ file }, value) => Array.fromAsync(file.readMany([value]))),
  ...["position", "length"].map((name) =>
    one("readMany", name, "integer", ({ file }, value) => {
      return Array.fromAsync(file.readMany([{ position: 0, length: 0, [name]: value }]));
    })
  ),
  ...options(
    "readMany",
    { integer: ["maxMerged", "maxGap", "concurrency"] },
    ({ file }, value) => Array.fromAsync(file.readMany([], value)),
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
  one("toNodeWritable", "writer", "file", (_, value) => toNodeWritable(value)),
  one("toNodeReadable", "reader", "file", (_, value) => toNodeReadable(value)),
  one("skip", "bytes", "integer", ({ reader }, value) => reader.skip(value)),
  ...options(
    "configure",
    { choice: ["engine"], integer: ["ringEntries", "threads", "bufferBudget", "exitTimeout"] },
    (_, value) => configure(value),
  ),
];

/** The functions that throw. All others return a promise. */
const SYNCHRONOUS =
  /^(align\w+|allocBuffer|isSameFile|skip|configure|flushSync|DmaStream\w+|toNode\w+)\b/;

async function failureOf({ name, call }: Case, subjects: Subjects, value: unknown): Promise<Error> {
  let result: unknown;
  try {
    result = call(subjects, value as never);
  } catch (error) {
    assert(SYNCHRONOUS.test(name), `${name} threw at once: ${error}`);
    return error as Error;
  }
  return await Promise.resolve(result).then(
    () => Promise.reject(new Error(`${Deno.inspect(value)} was taken`)),
    (error) => error,
  );
}

function isRight({ kind, allowed }: Case, value: unknown): boolean {
  if (allowed?.(value)) return true;
  // An empty object is valid for options, and an empty array for a list of ranges.
  return kind === "options" && (typeof value === "object" && value !== null || value === undefined);
}

function subjectsTest(name: string, fn: (subjects: Subjects) => Promise<void>): void {
  testInOneDirectory(name, async (directory) => {
    const path = directory.file("file");
    await using file = await openWith(path, filled(10_000, 1), {});
    await using other = await openWith(directory.file("other"), filled(10_000, 2));
    await using writer = new DmaStreamWriter(await DmaFile.create(directory.file("written")));
    await using reader = new DmaStreamReader(await DmaFile.open(path));
    await fn({ path, file, other, writer, reader });
    assertEquals(await namesIn(directory.path), ["file", "other", "written"]);
  });
}

/** What a wrong argument must leave as it is. */
function stateOf({ writer, reader }: Subjects) {
  const { counters: { inFlight }, pool: { blocks } } = engine;
  const locked = writer.locked || reader.locked;
  return { inFlight, blocks, locked, written: writer.currentPos, read: reader.currentPos };
}

for (const each of cases) {
  const name = `${each.name} refuses every wrong ${each.argument} by name and changes nothing`;
  subjectsTest(name, async (subjects) => {
    const { writer, other } = subjects;
    for (const value of wrong[each.kind].filter((value) => !isRight(each, value))) {
      const before = stateOf(subjects);
      const error = await failureOf(each, subjects, value);
      const outOfRange = each.kind === "integer" && typeof value === "number";
      assert(error instanceof (outOfRange ? RangeError : TypeError), `${error}`);
      assert(error.message.includes(each.argument), error.message);
      assert(!/^[a-z]|\.$/.test(error.message), error.message);
      assertEquals(stateOf(subjects), before);
      // Everything goes on.
      await writer.write(new Uint8Array(1));
      assertEquals(writer.currentPos, before.written + 1);
    }
    assertEquals(await other.readAt(0, 20_000), filled(10_000, 2));
    await writer.close();
    assertEquals(writer.currentFlushedPos, writer.currentPos);
  });
}

for (const each of cases.filter(({ kind }) => kind === "options")) {
  const name = `${each.name} names an option that it does not have, and the nearest one`;
  subjectsTest(name, async (subjects) => {
    const own = cases.filter(({ name }) => name.startsWith(`${each.name}, option `));
    for (const { argument } of own) {
      const lower = argument.toLowerCase();
      const misspelt = lower === argument ? `${argument}x` : lower;
      const { name, message } = await failureOf(each, subjects, { [misspelt]: undefined });
      const expected = `Unknown option "${misspelt}": did you mean "${argument}"?`;
      assertEquals({ name, message }, { name: "TypeError", message: expected });
    }
    const error = await failureOf(each, subjects, { highWaterMark: 1 });
    assert(error instanceof TypeError, `${error}`);
    assert(error.message.includes('Unknown option "highWaterMark": '), error.message);
  });
}

Deno.test("DmaFile and DmaBuffer cannot be constructed by hand", () => {
  for (const Class of [DmaFile, DmaBuffer]) {
    for (const args of [[], [Symbol("opened"), {}], [1, 2]]) {
      assertThrows(() => Reflect.construct(Class, args), TypeError);
    }
  }
});
