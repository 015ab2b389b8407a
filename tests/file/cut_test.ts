// Truncates beside a write, on an engine that holds every operation.

import { assertEquals, assertRejects } from "@std/assert";
import { Errno } from "../../src/engine/linux.ts";
import { reserveSpace } from "../../src/file/allocate.ts";
import { truncateTo } from "../../src/file/cut.ts";
import { fileSystemOf } from "../../src/file/file_system.ts";
import { writeBytes } from "../../src/file/random_access.ts";
import { statNow } from "../../src/file/stat.ts";
import { pattern } from "../support/bytes.ts";
import { openScripted, ScriptedEngine, turn } from "../support/scripted_engine.ts";

/** Truncates a file beside a write. Resolves to the operations after the write, in order. */
async function afterWrite(cutsDirty: boolean): Promise<string[]> {
  const { engine, file } = openScripted({ content: pattern(5000), fileSystem: { cutsDirty } });
  const writing = writeBytes(file, pattern(512), 0);
  const cutting = file.descriptor.use("truncate", () => truncateTo(file, 100));
  await turn();
  assertEquals(engine.pending.map(({ kind }) => kind), ["write"]);
  engine.complete(engine.only("write"));
  await engine.drive(Promise.all([writing, cutting]));
  return engine.log.slice(engine.log.indexOf("write 0+512") + 1);
}

Deno.test("A truncate that waits for a write follows a sync of it, where the file system needs that", async () => {
  assertEquals(await afterWrite(false), ["sync", "truncate 100"]);
  assertEquals(await afterWrite(true), ["truncate 100"]);
});

Deno.test("A reservation that fails is cut to the length from when it began", async () => {
  const { engine, file } = openScripted({ content: pattern(20_000) });
  const truncating = file.descriptor.use("truncate", () => truncateTo(file, 100));
  const reserving = reserveSpace(file, 2 ** 40, false);
  engine.complete(engine.only("truncate"));
  await turn();
  engine.file(file.fd).extend(70_000);
  engine.complete(engine.only("allocate"), -Errno.ENOSPC);
  await truncating;
  await assertRejects(() => engine.drive(reserving), Error, "No space left");
  assertEquals(engine.file(file.fd).size, 100);
});

Deno.test("Any number of writes may be under way where one fails", () => {
  const { engine, file } = openScripted({ content: pattern(5000) });
  for (let end = 1; end <= 300_000; end++) file.length.beginWrite(end);
  file.length.endWrite(300_000, false);
  assertEquals(file.length.sizeUpperBound, 299_999);
  engine.assertIdle();
});

Deno.test("An unknown file system is trusted with nothing", async () => {
  const engine = new ScriptedEngine();
  const fd = engine.create();
  // Neither the device nor the type is known.
  const handle = { engine, fd, path: "x" };
  const facts = { ...statNow(handle), deviceMajor: 0 };
  const { keepsUnnamed, cutsDirty, reserves, syncsWrites, onThreads } = await engine.drive(
    fileSystemOf(handle, facts),
  );
  assertEquals([keepsUnnamed, cutsDirty, reserves, syncsWrites], [false, false, false, false]);
  assertEquals(onThreads, true);
});
