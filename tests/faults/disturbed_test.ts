// Files that others lay hands on while they are written or read: a removal, a rename, a cut, a folder that goes. What is promised still holds, or the error says what happened; nothing hangs and nothing leaks.

import "../support/engine.ts";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { DmaFile, DmaStreamReader, DmaStreamWriter } from "../../mod.ts";
import { within } from "../setup/command.ts";
import { namesIn } from "../support/bytes.ts";
import { descriptorsIn } from "../support/descriptors.ts";
import { type TestDirectory, testInEachDirectory } from "../support/dirs.ts";
import { content, firstWrong } from "./content.ts";
import {
  assertContent,
  assertFailsForGood,
  assertIdle,
  MiB,
  ways,
  writeContent,
} from "./failed_writer.ts";

const LENGTH = 12 * MiB + 1001;
const options = { bufferSize: 256 * 1024, writeBehind: 4 };

/** Registers a test after which nothing is left open of the files in its directory, removed ones included. */
function disturbedTest(
  name: string,
  fn: (dir: TestDirectory, path: string) => Promise<void>,
): void {
  testInEachDirectory(name, async (dir) => {
    await fn(dir, dir.file("file"));
    await assertIdle();
    assertEquals(descriptorsIn(dir.path), 0);
  });
}

async function create(path: string, atomic = false): Promise<DmaStreamWriter> {
  return new DmaStreamWriter(await DmaFile.create(path, { atomic }), options);
}

// ---- names that go ---------------------------------------------------------------------------------------------

/** What happens to the file "folder/file" while it is written, and where it is then, if anywhere. */
const moves: Record<string, { move: (dir: TestDirectory) => Promise<void>; to?: string }> = {
  "A file that is removed": { move: (dir) => Deno.remove(dir.file("folder/file")) },
  "A file that another one takes the name of": {
    move: async (dir) => {
      await Deno.writeFile(dir.file("other"), content(0, 1000, 5));
      await Deno.rename(dir.file("other"), dir.file("folder/file"));
    },
  },
  "A file that is renamed": {
    move: (dir) => Deno.rename(dir.file("folder/file"), dir.file("renamed")),
    to: "renamed",
  },
  "A folder that is renamed": {
    move: (dir) => Deno.rename(dir.file("folder"), dir.file("elsewhere")),
    to: "elsewhere/file",
  },
  "A folder that is removed": {
    move: (dir) => Deno.remove(dir.file("folder"), { recursive: true }),
  },
};

for (const [name, { move, to }] of Object.entries(moves)) {
  disturbedTest(`${name} while the file is written fails nothing`, async (dir) => {
    const path = dir.file("folder/file");
    await Deno.mkdir(dir.file("folder"));
    const writer = await create(path);
    await writeContent(writer, 0, 6 * MiB);
    await move(dir);
    const stranger = await Deno.readFile(path).catch(() => undefined);
    await writeContent(writer, 6 * MiB, LENGTH);
    assertEquals(await writer.sync({ tail: true }), LENGTH);
    await within(20, "close", writer.close());
    assertEquals(writer.currentFlushedPos, LENGTH);
    if (to !== undefined) await assertContent(dir.file(to), LENGTH);
    assertEquals(await Deno.readFile(path).catch(() => undefined), stranger);
  });
}

disturbedTest("An atomic file whose folder is gone says so when it is closed", async (dir) => {
  const path = dir.file("folder/file");
  await Deno.mkdir(dir.file("folder"));
  const writer = await create(path, true);
  await writeContent(writer, 0, MiB);
  await Deno.remove(dir.file("folder"), { recursive: true });
  await writeContent(writer, MiB, 2 * MiB);
  const expected = { code: "ENOENT", op: ["link", "rename"], path };
  await assertFailsForGood(writer, () => writer.close(), expected);
});

disturbedTest("An atomic file leaves a folder that takes its name as it is", async (dir, path) => {
  const writer = await create(path, true);
  await writeContent(writer, 0, MiB);
  await Deno.mkdir(path);
  await Deno.writeFile(`${path}/inside`, content(0, 10));
  const error = await within(20, "close", assertRejects(() => writer.close()));
  assertEquals((error as { code?: string }).code, "EISDIR");
  assertEquals(await namesIn(dir.path), ["file"]);
  await assertContent(`${path}/inside`, 10);
});

// ---- files that are cut ----------------------------------------------------------------------------------------

disturbedTest("A file that is cut while it is written has zeros there", async (_, path) => {
  const writer = await create(path);
  await writeContent(writer, 0, 6 * MiB);
  const flushed = await writer.flushAligned();
  assert((await Deno.stat(path)).size >= flushed);
  await Deno.truncate(path, 0);
  await ways["write()"](writer, LENGTH);
  const bytes = await Deno.readFile(path);
  assertEquals(bytes.length, LENGTH);
  assert(bytes.subarray(0, flushed).every((byte) => byte === 0), "What was cut is zeros");
  assertEquals(firstWrong(bytes.subarray(flushed), LENGTH - flushed, 0, flushed), -1);
});

for (const to of [3 * MiB + 77, 0]) {
  disturbedTest(`A reader of a file that is cut to ${to} bytes ends there`, async (_, path) => {
    await Deno.writeFile(path, content(0, LENGTH));
    const { bufferSize } = options;
    const reader = new DmaStreamReader(await DmaFile.open(path), { bufferSize, readAhead: 4 });
    let at = 0;
    const reading = (async () => {
      for await (const chunk of reader) {
        assertEquals(firstWrong(chunk, chunk.length, 0, at), -1);
        at += chunk.length;
        if (at === chunk.length) await Deno.truncate(path, to);
      }
    })();
    await within(20, "read", reading);
    // What was read ahead of the cut may still come.
    assert(at >= to && at <= to + 6 * bufferSize, `${at} bytes`);
  });
}
