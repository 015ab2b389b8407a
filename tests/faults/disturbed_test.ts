// Files that others lay hands on while they are written or read: a second writer, a removal, a rename, a cut, a
// folder that goes. What is promised still holds, or the error says what happened; nothing hangs and nothing leaks.

import "../support/engine.ts";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { DmaFile, DmaStreamReader, DmaStreamWriter } from "../../mod.ts";
import { descriptorsIn } from "../support/descriptors.ts";
import { type TestDirectory, testInEachDirectory } from "../support/dirs.ts";
import { content, firstWrong, firstWrongInFile } from "./content.ts";
import {
  assertIdle,
  assertIoError,
  assertSticky,
  within,
  writeContent as write,
} from "./failed_writer.ts";

const MiB = 1 << 20;
const LENGTH = 12 * MiB + 1001;
const options = { bufferSize: 256 * 1024, writeBehind: 4 };

/** Nothing is left open of the files below a folder, removed ones included. */
async function assertLetGo(dir: TestDirectory): Promise<void> {
  await assertIdle();
  assertEquals(descriptorsIn(dir.path), 0);
}

async function assertContent(path: string, length: number): Promise<void> {
  assertEquals((await Deno.stat(path)).size, length);
  assertEquals(await firstWrongInFile(path, length), -1);
}

// ---- two writers -----------------------------------------------------------------------------------------------

for (const first of ["lower", "upper"] as const) {
  testInEachDirectory(
    `Two writers side by side in one file, the ${first} closing first, keep each other's bytes`,
    async (dir) => {
      const path = dir.file("file");
      await Deno.writeFile(path, new Uint8Array());
      // Both make the file longer, and both move its end ahead.
      const border = 16 * MiB;
      const lower = new DmaStreamWriter(await DmaFile.open(path, { write: true }), options);
      const upper = new DmaStreamWriter(await DmaFile.open(path, { write: true }), {
        ...options,
        position: border,
      });
      await Promise.all([write(lower, 0, LENGTH), write(upper, border, border + LENGTH)]);
      const both = [lower, upper];
      if (first === "upper") both.reverse();
      for (const writer of both) await writer.close();
      assertEquals((await Deno.stat(path)).size, border + LENGTH);
      const bytes = await Deno.readFile(path);
      assertEquals(firstWrong(bytes, LENGTH), -1, "The lower writer's");
      assertEquals(firstWrong(bytes.subarray(border), LENGTH, 0, border), -1, "The upper writer's");
      await assertLetGo(dir);
    },
  );
}

testInEachDirectory(
  "Two writers over one range both end, and each block is one or the other's",
  async (dir) => {
    const path = dir.file("file");
    await Deno.writeFile(path, new Uint8Array());
    const writers = await Promise.all([1, 2].map(async () => {
      return new DmaStreamWriter(await DmaFile.open(path, { write: true }), options);
    }));
    await Promise.all(writers.map((writer, index) => write(writer, 0, 4 * MiB, index + 1)));
    await Promise.all(writers.map((writer) => writer.close()));
    const bytes = await Deno.readFile(path);
    assertEquals(bytes.length, 4 * MiB);
    const [one, two] = [content(0, 4 * MiB, 1), content(0, 4 * MiB, 2)];
    for (let at = 0; at < bytes.length; at += 512) {
      const of = bytes[at] === one[at] ? one : two;
      const equal = bytes.subarray(at, at + 512).every((byte, index) => byte === of[at + index]);
      assert(equal, `The block at ${at} is neither's`);
    }
    await assertLetGo(dir);
  },
);

testInEachDirectory(
  "A writer that is aborted leaves what another one wrote behind it",
  async (dir) => {
    const path = dir.file("file");
    await Deno.writeFile(path, new Uint8Array());
    const aborted = new DmaStreamWriter(await DmaFile.open(path, { write: true }), options);
    await write(aborted, 0, LENGTH);
    const other = new DmaStreamWriter(await DmaFile.open(path, { write: true }), {
      ...options,
      position: 32 * MiB,
    });
    await write(other, 32 * MiB, 33 * MiB);
    await other.close();
    await aborted.abort();
    const bytes = await Deno.readFile(path);
    assertEquals(bytes.length, 33 * MiB);
    assertEquals(firstWrong(bytes.subarray(32 * MiB), MiB, 0, 32 * MiB), -1);
    assertEquals(firstWrong(bytes, aborted.currentFlushedPos), -1);
  },
);

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
  testInEachDirectory(`${name} while the file is written fails nothing`, async (dir) => {
    const path = dir.file("folder/file");
    await Deno.mkdir(dir.file("folder"));
    const writer = new DmaStreamWriter(await DmaFile.create(path), options);
    await write(writer, 0, 6 * MiB);
    await move(dir);
    const stranger = await Deno.readFile(path).catch(() => undefined);
    await write(writer, 6 * MiB, LENGTH);
    assertEquals(await writer.sync({ tail: true }), LENGTH);
    await within(20, "close", writer.close());
    assertEquals(writer.currentFlushedPos, LENGTH);
    if (to !== undefined) await assertContent(dir.file(to), LENGTH);
    assertEquals(await Deno.readFile(path).catch(() => undefined), stranger);
    await assertLetGo(dir);
  });
}

testInEachDirectory(
  "An atomic file whose folder is gone says so when it is closed",
  async (dir) => {
    const path = dir.file("folder/file");
    await Deno.mkdir(dir.file("folder"));
    const writer = new DmaStreamWriter(await DmaFile.create(path, { atomic: true }), options);
    await write(writer, 0, MiB);
    await Deno.remove(dir.file("folder"), { recursive: true });
    await write(writer, MiB, 2 * MiB);
    const error = await within(20, "close", assertRejects(() => writer.close()));
    assertIoError(error, { code: "ENOENT", op: ["link", "rename"], path });
    await assertSticky(writer, error);
    await assertLetGo(dir);
  },
);

testInEachDirectory(
  "An atomic file leaves a folder that takes its name as it is, and says so",
  async (dir) => {
    const path = dir.file("file");
    const writer = new DmaStreamWriter(await DmaFile.create(path, { atomic: true }), options);
    await write(writer, 0, MiB);
    await Deno.mkdir(path);
    await Deno.writeFile(`${path}/inside`, content(0, 10));
    const error = await within(20, "close", assertRejects(() => writer.close()));
    assertEquals((error as { code?: string }).code, "EISDIR");
    assertEquals([...Deno.readDirSync(dir.path)].map(({ name }) => name), ["file"]);
    assertEquals(await firstWrongInFile(`${path}/inside`, 10), -1);
    await assertLetGo(dir);
  },
);

// ---- files that are cut ----------------------------------------------------------------------------------------

testInEachDirectory(
  "A file that is cut while it is written gets its exact length, zeros for what was cut, and what came after",
  async (dir) => {
    const path = dir.file("file");
    const writer = new DmaStreamWriter(await DmaFile.create(path), options);
    await write(writer, 0, 6 * MiB);
    const flushed = await writer.flushAligned();
    assertEquals((await Deno.stat(path)).size >= flushed, true);
    await Deno.truncate(path, 0);
    await write(writer, 6 * MiB, LENGTH);
    await within(20, "close", writer.close());
    const bytes = await Deno.readFile(path);
    assertEquals(bytes.length, LENGTH);
    assert(bytes.subarray(0, flushed).every((byte) => byte === 0), "What was cut is zeros");
    assertEquals(firstWrong(bytes.subarray(flushed), LENGTH - flushed, 0, flushed), -1);
    await assertLetGo(dir);
  },
);

testInEachDirectory(
  "A reader of a file that is cut meanwhile ends where the file does",
  async (dir) => {
    const path = dir.file("file");
    await Deno.writeFile(path, content(0, LENGTH));
    for (const to of [3 * MiB + 77, 0]) {
      const reader = new DmaStreamReader(await DmaFile.open(path), {
        bufferSize: options.bufferSize,
        readAhead: 4,
      });
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
      assert(
        at >= Math.min(to, LENGTH) && at <= to + 6 * options.bufferSize,
        `${at} bytes, cut to ${to}`,
      );
      await assertLetGo(dir);
      await Deno.writeFile(path, content(0, LENGTH));
    }
  },
);

testInEachDirectory(
  "A pipe from a file that is cut meanwhile copies what is there",
  async (dir) => {
    const path = dir.file("file");
    const copy = dir.file("copy");
    await Deno.writeFile(path, content(0, LENGTH));
    const target = new DmaStreamWriter(await DmaFile.create(copy), options);
    const piping = new DmaStreamReader(await DmaFile.open(path), { bufferSize: 64 * 1024 })
      .pipeTo(target);
    await Deno.truncate(path, 5 * MiB + 3);
    await within(20, "pipe", piping);
    const { size } = await Deno.stat(copy);
    assert(size >= 5 * MiB + 3 && size <= LENGTH, `${size} bytes`);
    assertEquals(size, target.currentFlushedPos);
    assertEquals(await firstWrongInFile(copy, size), -1);
    await assertLetGo(dir);
  },
);
