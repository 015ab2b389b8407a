// Every public function with every wrong kind of argument: the error has the right class and names the argument, and
// the object does not change.

import "../support/engine.ts";
import { assert, assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import { DmaBuffer, DmaFile, DmaStreamReader, DmaStreamWriter, ioStats } from "../../mod.ts";
import { namesIn } from "../support/bytes.ts";
import { type Case, cases, type Subjects } from "./bad_input/cases.ts";
import { wrong } from "./bad_input/wrong.ts";

/** All others return a promise, and never throw synchronously. */
const SYNCHRONOUS =
  /^(alignUp|alignDown|allocBuffer|isSameFile|skip|configure|flushSync|DmaStreamWriter|DmaStreamReader)\b/;

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
    assertEquals(await namesIn(directory), ["file", "other", "written"]);
  } finally {
    await subjects.file.close();
    await subjects.other.close();
    await subjects.writer.abort().catch(() => {});
    await subjects.reader.close();
    await Deno.remove(directory, { recursive: true });
  }
}

/** What a wrong argument must leave as it is. */
function stateOf({ writer, reader }: Subjects) {
  const { inFlight, poolBuffers } = ioStats();
  const locked = writer.locked || reader.locked;
  return { inFlight, poolBuffers, locked, written: writer.currentPos, read: reader.currentPos };
}

for (const each of cases) {
  Deno.test(`${each.name} refuses every wrong ${each.argument} by name and changes nothing`, () =>
    withSubjects(async (subjects) => {
      const { writer, other } = subjects;
      for (const value of wrong[each.kind].filter((value) => !isRight(each, value))) {
        const before = stateOf(subjects);
        const error = await failureOf(each, subjects, value);
        const outOfRange = each.kind === "integer" && typeof value === "number";
        assertInstanceOf(error, outOfRange ? RangeError : TypeError);
        assert(error.message.includes(each.argument), error.message);
        assert(!/^[a-z]|\.$/.test(error.message), error.message);
        assertEquals(stateOf(subjects), before);
        // Everything goes on.
        await writer.write(new Uint8Array(1));
        assertEquals(writer.currentPos, before.written + 1);
      }
      assertEquals(await other.readAt(0, 20_000), new Uint8Array(10_000).fill(2));
      await writer.close();
      assertEquals(writer.currentFlushedPos, writer.currentPos);
    }));
}

Deno.test("DmaFile and DmaBuffer cannot be constructed by hand", () => {
  for (const Class of [DmaFile, DmaBuffer]) {
    const construct = Class as unknown as new (...args: unknown[]) => unknown;
    for (const args of [[], [Symbol("opened"), {}], [1, 2]]) {
      assertThrows(() => new construct(...args), TypeError);
    }
  }
});

for (const each of cases.filter(({ kind }) => kind === "options")) {
  Deno.test(`${each.name} names an option that it does not have, and the nearest one`, () =>
    withSubjects(async (subjects) => {
      const own = cases.filter(({ name }) => name.startsWith(`${each.name}, option `));
      for (const { argument } of own) {
        const lower = argument.toLowerCase();
        const misspelt = lower === argument ? `${argument}x` : lower;
        const { name, message } = await failureOf(each, subjects, { [misspelt]: undefined });
        const expected = `Unknown option "${misspelt}": did you mean "${argument}"?`;
        assertEquals({ name, message }, { name: "TypeError", message: expected });
      }
      const error = await failureOf(each, subjects, { highWaterMark: 1 });
      assertInstanceOf(error, TypeError);
      assert(error.message.includes('Unknown option "highWaterMark": '), error.message);
    }));
}
