// What neither a real file nor the simulator shows, on an engine that the tests control.

import { assertEquals, assertRejects } from "@std/assert";
import { Errno } from "../../src/engine/linux.ts";
import { reserveSpace } from "../../src/file/allocate.ts";
import { truncateTo } from "../../src/file/cut.ts";
import { fileSystemOf } from "../../src/file/file_system.ts";
import { statNow } from "../../src/file/stat.ts";
import { pattern } from "../support/bytes.ts";
import { openScripted, ScriptedEngine, turn } from "../support/scripted_engine.ts";

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

Deno.test("An unknown file system is trusted with nothing", async () => {
  const engine = new ScriptedEngine();
  const handle = { engine, fd: engine.create(), path: "x" };
  // Neither the device nor the type is known.
  const facts = { ...statNow(handle), deviceMajor: 0 };
  const { keepsUnnamed, cutsDirty, reserves, syncsWrites, onThreads } = await engine.drive(
    fileSystemOf(handle, facts),
  );
  assertEquals([keepsUnnamed, cutsDirty, reserves, syncsWrites], [false, false, false, false]);
  assertEquals(onThreads, true);
});
