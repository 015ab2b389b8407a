// A server that ends writes before it has the bytes, and tells of a failure later: the flushed position follows its syncs.

import { assert, assertEquals } from "@std/assert";
import { Errno } from "../../src/engine/linux.ts";
import { truncateTo } from "../../src/file/cut.ts";
import { writeBytes } from "../../src/file/random_access.ts";
import { turn } from "../support/scripted_engine.ts";
import { Rig, testRig, watch } from "./rig.ts";

const MIB = 1 << 20;

/** As every such server of FUSE. */
const server = { direct: false, fileSystem: { confirmAfter: 16 * MIB, cutsDirty: false } };

testRig("a flush waits until the server has the bytes", server, async (rig) => {
  rig.fill(1024);
  const flush = watch(rig.flush(false));
  await turn();
  await rig.end("write");
  assertEquals([flush.state, rig.writer.flushedPosition], ["pending", 0]);
  await rig.end("sync");
  assertEquals([flush.value, rig.writer.flushedPosition], [1024, 1024]);
});

testRig("a sync is one sync", server, async (rig) => {
  rig.fill(1024);
  assertEquals(await rig.engine.drive(rig.sync(false)), 1024);
  assertEquals(rig.engine.log, ["write 0+1024", "sync"]);
});

testRig("no write is in flight during the sync of a server", server, async (rig) => {
  rig.fill(2048);
  const flush = watch(rig.flush(false));
  await turn();
  const [first, second] = rig.engine.pendingOf("write");
  rig.engine.complete(first!);
  rig.fill(2048);
  rig.engine.complete(second!);
  assertEquals(rig.writing, [[2048, 1024]]);
  await rig.end("write");
  assertEquals(rig.inFlight, ["sync"]);
  await rig.engine.drain();
  assertEquals([flush.value, rig.writer.flushedPosition], [3072, 3072]);
});

const largeBuffers = { ...server, bufferSize: 8 * MIB, preallocate: false };

testRig("the server is synced at intervals, even if no caller waits", largeBuffers, async (rig) => {
  for (const asked of [[], ["sync"]]) {
    rig.fill(8 * MIB);
    await rig.end("write");
    assertEquals(rig.inFlight, asked);
  }
  assertEquals(rig.writer.flushedPosition, 0);
  await rig.end("sync");
  assertEquals(rig.writer.flushedPosition, 16 * MIB);
});

const exact = { ...server, preallocate: false };

testRig("a sync cuts off nothing that is unconfirmed", exact, async (rig) => {
  rig.fill(600);
  const flush = watch(rig.flush(true));
  await turn();
  await rig.end("write");
  const sync = watch(rig.sync(false));
  await rig.engine.drain();
  assertEquals([flush.value, sync.state, rig.size], [600, "resolved", 600]);
});

testRig("what is written is flushed before a truncate takes it away", server, async (rig) => {
  rig.fill(1024);
  await rig.end("write");
  const truncated = truncateTo(rig.file, 0);
  await rig.end("sync");
  assertEquals([rig.engine.only("truncate").length, rig.writer.flushedPosition], [0, 1024]);
  await rig.engine.drive(truncated);
});

// ---- failures ---------------------------------------------------------------------------------------------------

/** Throws unless the flushed position and the length of the file are these in the end. */
async function assertLeft(rig: Rig, flushed: number, size: number): Promise<void> {
  await rig.engine.drain();
  assertEquals([rig.writer.flushedPosition, rig.size], [flushed, size]);
}

/** Flushes a buffer, and the sync for it fails. */
async function failSync(rig: Rig): Promise<void> {
  rig.fill(1024);
  const flush = watch(rig.flush(false));
  await turn();
  await rig.end("write");
  await rig.end("sync", -Errno.EIO);
  await rig.engine.drain();
  assertEquals(flush.state, "rejected");
}

/** Writes two buffers, of which the second fails. That may be the failure of the first one. */
async function failWrite(rig: Rig): Promise<void> {
  rig.fill(2048);
  const [first, second] = rig.engine.pendingOf("write");
  rig.engine.complete(first!);
  rig.engine.complete(second!, -Errno.ENOSPC);
  await rig.engine.drain();
  assert(rig.engine.log.includes("sync"));
}

Deno.test("Writer: a failure leaves bytes that stood behind what was written", async () => {
  const rig = await Rig.make({ ...server, content: new Uint8Array(3000).fill(7) });
  await failSync(rig);
  await assertLeft(rig, 0, 3000);
});

Deno.test("Writer: after a write that fails the server is not believed", async () => {
  // Nothing is cut off below the start: other handles may have written there.
  for (const start of [0, 700]) {
    const rig = await Rig.make({ ...server, start });
    await failWrite(rig);
    await assertLeft(rig, start, start);
  }
});

Deno.test("Writer: what others wrote after a sync that failed stays", async () => {
  const rig = await Rig.make(server);
  rig.fill(2048);
  for (const write of rig.engine.pendingOf("write")) rig.engine.complete(write);
  const sync = watch(rig.file.durability.sync(false));
  await rig.end("sync", -Errno.ENOSPC);
  await rig.engine.drive(writeBytes(rig.file, new Uint8Array(1024).fill(7), 0));
  rig.writer.abort("a reason").catch(() => {});
  await assertLeft(rig, 0, 1024);
  assertEquals(sync.state, "rejected");
});
