// Every public function with every wrong kind of argument: the error is of the right class and names the argument,
// and whatever it was called on is as it was.

import "../support/engine.ts";
import { assert, assertEquals, assertInstanceOf, assertStringIncludes } from "@std/assert";
import fc from "fast-check";
import { DmaBuffer, DmaFile, DmaStreamReader, DmaStreamWriter, ioStats } from "../../mod.ts";
import { type Case, cases, type Subjects } from "./bad_input/cases.ts";
import { wrong } from "./bad_input/wrong.ts";

/** Functions that return a promise never throw at once. */
const synchronous = new Set([
  "alignUp",
  "alignDown",
  "allocBuffer",
  "isSameFile",
  "skip",
  "configure",
  "flushSync",
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

for (const each of cases.filter(({ kind }) => kind === "options")) {
  Deno.test(`${each.name} names an option that it does not have, and the nearest one`, () =>
    withSubjects(async (subjects) => {
      const own = cases.filter(({ name }) => name.startsWith(`${each.name}, option `));
      for (const { argument } of own) {
        const misspelt = argument.toLowerCase() === argument
          ? `${argument}x`
          : argument.toLowerCase();
        const error = await failureOf(each, subjects, { [misspelt]: undefined });
        assertInstanceOf(error, TypeError);
        assertEquals(error.message, `Unknown option "${misspelt}": did you mean "${argument}"?`);
      }
      const error = await failureOf(each, subjects, { highWaterMark: 1 });
      assertInstanceOf(error, TypeError);
      assertStringIncludes(error.message, 'Unknown option "highWaterMark": ');
    }));
}
