// Uploads of forms by the libraries that Node.js servers use: complete files are stored exactly, and incomplete ones
// leave no file.

import "../support/engine.ts";
import { assertEquals, assertStringIncludes } from "@std/assert";
import { Writable } from "node:stream";
import { DmaFile } from "../../mod.ts";
import { Errno } from "../../src/engine/linux.ts";
import { assertFile, filled, namesIn, pattern } from "../support/bytes.ts";
import { descriptorsIn, eventually } from "../support/descriptors.ts";
import { type TestDirectory, testInOneDirectory } from "../support/dirs.ts";
import { fail, withoutUnnamedFiles } from "../support/interpose.ts";
import { breakOff, encode, upload } from "./multipart/client.ts";
import { type Receive, serveUploads } from "./multipart/server.ts";
import { isAvailable } from "./packages.ts";

const MiB = 1 << 20;

const libraries: { specifier: string; load: () => Promise<{ receive: Receive }> }[] = [
  { specifier: "npm:busboy@1.6.0", load: () => import("./multipart/busboy.ts") },
  { specifier: "npm:multer@2.5.0", load: () => import("./multipart/multer.ts") },
  { specifier: "npm:formidable@3.5.4", load: () => import("./multipart/formidable.ts") },
];

/** Waits until no descriptor leads into the directory, and no more than these names are in it. */
async function assertNames(dir: TestDirectory, names: string[]): Promise<void> {
  await eventually(() => descriptorsIn(dir.path) === 0);
  const same = async () => `${await namesIn(dir.path)}` === `${names}`;
  await eventually(same).catch(() => {});
  assertEquals(await namesIn(dir.path), names);
}

const available = await Promise.all(libraries.map(({ specifier }) => isAvailable(specifier)));

for (const [index, { specifier, load }] of libraries.entries()) {
  const ignore = !available[index];
  const test = (title: string, fn: (dir: TestDirectory, receive: Receive) => Promise<void>) => {
    const run = async (dir: TestDirectory) => await fn(dir, (await load()).receive);
    testInOneDirectory(`${specifier}: ${title}`, run, { ignore, bothEngines: false });
  };

  test("files and fields arrive to the byte", async (dir, receive) => {
    await using server = await serveUploads(receive, dir.path);
    const large = pattern(5 * MiB + 1);
    const small = pattern(777, 12_345);
    const parts = { first: "one", "large.bin": large, second: "zwei ä", "small.bin": small };
    const fields = { first: "one", second: "zwei ä" };
    const body = { fields, files: ["large.bin", "small.bin"] };
    assertEquals(await upload(server.port, parts), { status: 200, body });
    await assertNames(dir, ["large.bin", "small.bin"]);
    await assertFile(dir.file("large.bin"), large);
    await assertFile(dir.file("small.bin"), small);
  });

  test("a client that breaks off publishes nothing and leaves nothing", async (dir, receive) => {
    await Deno.writeFile(dir.file("file"), filled(10, 1));
    await using server = await serveUploads(receive, dir.path);
    const parts = { field: "value", file: pattern(3 * MiB) };
    const request = await encode(parts);
    const cuts = [1000, 70_000, 2 * MiB, request.lastBoundary, request.lastBoundary + 10];
    for (const refused of [false, true]) {
      // Without unnamed files the bytes are under a hidden name meanwhile.
      using _ = refused ? withoutUnnamedFiles() : undefined;
      for (const cut of cuts) {
        const failed = server.failures.length;
        await breakOff(server.port, request, cut);
        await eventually(() => server.failures.length > failed);
        await assertNames(dir, ["file"]);
        await assertFile(dir.file("file"), filled(10, 1), `cut at ${cut}`);
      }
    }
    // The same request, not cut.
    assertEquals((await upload(server.port, parts)).status, 200);
    await assertFile(dir.file("file"), parts.file);
  });

  for (const operation of ["write", "sync"] as const) {
    test(`the client learns that a ${operation} failed`, async (dir, receive) => {
      await using server = await serveUploads(receive, dir.path);
      const parts = { file: pattern(2 * MiB) };
      {
        using _ = fail(operation, Errno.ENOSPC);
        const { status, body } = await upload(server.port, parts);
        assertEquals(status, 400);
        assertStringIncludes(String(body), "No space left on device");
        await assertNames(dir, []);
      }
      assertEquals((await upload(server.port, parts)).status, 200);
      await assertFile(dir.file("file"), parts.file);
    });
  }
}

testInOneDirectory("Node's own adapter publishes a part of a file", async (dir) => {
  const file = await DmaFile.create(dir.file("file"), { atomic: true });
  const stream = Writable.fromWeb(file.writable);
  await new Promise((resolve) => stream.write(pattern(MiB), resolve));
  // As libraries do when a client disconnects.
  stream.destroy();
  await eventually(() => Deno.stat(dir.file("file")).then(() => true, () => false));
  await assertFile(dir.file("file"), pattern(MiB));
}, { bothEngines: false });
