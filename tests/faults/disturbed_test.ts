// Files whose folder disappears, or that are cut, while they are written or read. The simulator also removes, renames,
// replaces and cuts files.

import "../support/engine.ts";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { DmaFile, DmaStreamReader } from "../../mod.ts";
import { within } from "../setup/command.ts";
import { assertFile, namesIn } from "../support/bytes.ts";
import { descriptorsIn } from "../support/descriptors.ts";
import { type TestDirectory, testInEachDirectory } from "../support/dirs.ts";
import { content, firstWrong } from "./content.ts";
import { assertFailsForGood, assertIdle, finish, MiB, writeContent } from "./failed_writer.ts";

const LENGTH = 12 * MiB + 1001;

/** Registers a test after which nothing is left open of the files in its directory, removed ones included. */
function disturbedTest(name: string, fn: (dir: TestDirectory) => Promise<void>): void {
  testInEachDirectory(name, async (dir) => {
    await fn(dir);
    await assertIdle();
    assertEquals(descriptorsIn(dir.path), 0);
  });
}

disturbedTest(
  "A folder that is removed takes its files, and fails only atomic ones",
  async (dir) => {
    const folder = dir.file("folder");
    const path = `${folder}/file`;
    await Deno.mkdir(folder);
    const [plain, atomic] = [
      await DmaFile.create(`${folder}/plain`),
      await DmaFile.create(path, { atomic: true }),
    ];
    for (const { writable } of [plain, atomic]) await writeContent(writable, 6 * MiB);
    await Deno.remove(folder, { recursive: true });
    await finish(plain.writable, LENGTH);
    await writeContent(atomic.writable, 7 * MiB);
    const expected = { code: "ENOENT", op: ["link", "rename"], path };
    await assertFailsForGood(atomic.writable, () => atomic.writable.close(), expected);
    assertEquals(await namesIn(dir.path), []);
  },
);

disturbedTest("An atomic file leaves a folder that takes its name as it is", async (dir) => {
  const path = dir.file("file");
  const { writable } = await DmaFile.create(path, { atomic: true });
  await writeContent(writable, MiB);
  await Deno.mkdir(path);
  await Deno.writeFile(`${path}/inside`, content(0, 10));
  const error = await within(20, "close", assertRejects(() => writable.close()));
  assertEquals((error as { code?: string }).code, "EISDIR");
  assertEquals(await namesIn(dir.path), ["file"]);
  await assertFile(`${path}/inside`, content(0, 10));
});

for (const to of [3 * MiB + 77, 0]) {
  disturbedTest(`A reader of a file that is cut to ${to} bytes ends there`, async (dir) => {
    await Deno.writeFile(dir.file("file"), content(0, LENGTH));
    const options = { bufferSize: 256 * 1024, readAhead: 4 };
    const reader = new DmaStreamReader(await DmaFile.open(dir.file("file")), options);
    let at = 0;
    const reading = (async () => {
      for await (const chunk of reader) {
        assertEquals(firstWrong(chunk, chunk.length, 0, at), -1);
        at += chunk.length;
        if (at === chunk.length) await Deno.truncate(dir.file("file"), to);
      }
    })();
    await within(20, "read", reading);
    // What was read ahead of the cut may still come.
    assert(at >= to && at <= to + 6 * options.bufferSize, `${at} bytes`);
  });
}
