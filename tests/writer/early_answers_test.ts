// A server that ends writes before it has the bytes, and tells of a failure later: the flushed position follows its syncs.
// For these tests disks are such servers. The simulator has their failures.

import { assertEquals } from "@std/assert";
import { DmaFile, DmaStreamWriter, ioStats } from "../../mod.ts";
import { DISK } from "../../src/file/file_system.ts";
import { eventually, pause } from "../setup/command.ts";
import { MIB, pattern } from "../support/bytes.ts";
import { isOnDisk, testDirectAndCached } from "../support/dirs.ts";
import { engine, hold } from "../support/engine.ts";
import { closeWith } from "./create.ts";

/** Registers a test of a writer on a file of an early server, with two buffers in flight. */
function testEarly(name: string, buffer: number, fn: (writer: DmaStreamWriter) => Promise<void>) {
  testDirectAndCached(name, async (dir) => {
    DISK.confirmAfter = 16 * MIB;
    using _ = { [Symbol.dispose]: () => DISK.confirmAfter = 0 };
    const file = await DmaFile.create(dir.file("file"), { direct: "off" });
    await fn(new DmaStreamWriter(file, { bufferSize: buffer, writeBehind: 2 }));
  }, { where: isOnDisk });
}

const idle = () => eventually(() => engine.counters.inFlight === 0);

testEarly("No write is in flight during the sync of a server", 4096, async (writer) => {
  using syncs = hold("sync");
  using second = hold("write", { only: ({ position }) => position === 4096 });
  await writer.write(pattern(4096));
  const flushed = writer.flushAligned();
  await writer.write(pattern(4096, 4096));
  await second.reach();
  await idle();
  assertEquals(syncs.count, 0);
  second.letGo();
  await syncs.reach();
  const { writes } = ioStats();
  await writer.write(pattern(4096, 8192));
  await pause(5);
  assertEquals(ioStats().writes, writes);
  syncs.letGo();
  assertEquals(await flushed, 8192);
  await closeWith(writer, pattern(12_288));
});

testEarly("A server is synced at intervals, even if no caller waits", 8 * MIB, async (writer) => {
  const chunk = new Uint8Array(8 * MIB);
  await writer.write(chunk);
  await idle();
  assertEquals(writer.currentFlushedPos, 0);
  await writer.write(chunk);
  await eventually(() => writer.currentFlushedPos === 16 * MIB);
  await closeWith(writer, new Uint8Array(16 * MIB));
});
