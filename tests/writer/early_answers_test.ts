// A server that ends writes before it has the bytes, and tells of a failure later: the flushed position follows its syncs.

import { assertEquals } from "@std/assert";
import { Errno } from "../../src/engine/linux.ts";
import { truncateTo } from "../../src/file/cut.ts";
import { turn } from "../support/scripted_engine.ts";
import { Rig, watch } from "./rig.ts";

const MIB = 1 << 20;

/** As every such server of FUSE. */
const SERVER = { confirmAfter: 16 << 20, cutsDirty: false };

Deno.test("The control: a server that has what it has answered is not asked", async () => {
  const rig = await Rig.make({ direct: false });
  rig.fill(1024);
  rig.engine.complete(rig.engine.only("write"));
  assertEquals(rig.writer.flushedPosition, 1024);
  assertEquals(rig.engine.pending, []);
  await rig.finish();
});

Deno.test("A flush waits until the server has the bytes", async () => {
  const rig = await Rig.make({ direct: false, fileSystem: SERVER });
  rig.fill(1024);
  const flush = watch(rig.writer.flush(false));
  await turn();
  rig.engine.complete(rig.engine.only("write"));
  await turn();
  assertEquals([flush.state, rig.writer.flushedPosition], ["pending", 0]);
  rig.engine.complete(rig.engine.only("sync"));
  await turn();
  assertEquals([flush.state, flush.value, rig.writer.flushedPosition], ["resolved", 1024, 1024]);
  await rig.finish();
});

Deno.test("A sync is one sync", async () => {
  const rig = await Rig.make({ direct: false, fileSystem: SERVER });
  rig.fill(1024);
  const sync = watch(rig.writer.sync(false));
  await rig.engine.drain();
  assertEquals([sync.state, sync.value], ["resolved", 1024]);
  assertEquals(rig.engine.log, ["write 0+1024", "sync"]);
  await rig.finish();
});

Deno.test("No write is in flight while the server is asked", async () => {
  const rig = await Rig.make({ direct: false, fileSystem: SERVER });
  rig.fill(2048);
  const flush = watch(rig.writer.flush(false));
  await turn();
  const [first, second] = rig.engine.pendingOf("write");
  rig.engine.complete(first!);
  rig.fill(2048);
  rig.engine.complete(second!);
  assertEquals(rig.writing, [[2048, 1024]]);
  rig.engine.complete(rig.engine.only("write"));
  assertEquals(rig.engine.pending.map(({ kind }) => kind), ["sync"]);
  await rig.engine.drain();
  assertEquals([flush.value, rig.writer.flushedPosition], [3072, 3072]);
  await rig.finish();
});

Deno.test("The server is asked now and then, though nobody waits", async () => {
  const rig = await Rig.make({
    direct: false,
    fileSystem: SERVER,
    bufferSize: 8 * MIB,
    preallocate: false,
  });
  for (let end = 8 * MIB; end <= 16 * MIB; end += 8 * MIB) {
    rig.fill(8 * MIB);
    assertEquals(rig.engine.pending.map(({ kind }) => kind), ["write"]);
    rig.engine.complete(rig.engine.only("write"));
  }
  assertEquals(rig.writer.flushedPosition, 0);
  rig.engine.complete(rig.engine.only("sync"));
  assertEquals(rig.writer.flushedPosition, 16 * MIB);
  await rig.finish();
});

Deno.test("A server to which each sync sends the whole file is asked only for a caller", async () => {
  const rig = await Rig.make({
    direct: false,
    fileSystem: { ...SERVER, confirmAfter: Infinity },
    bufferSize: 8 * MIB,
    preallocate: false,
  });
  for (let end = 8 * MIB; end <= 24 * MIB; end += 8 * MIB) {
    rig.fill(8 * MIB);
    rig.engine.complete(rig.engine.only("write"));
    assertEquals([rig.engine.pending, rig.writer.flushedPosition], [[], 0]);
  }
  const flush = watch(rig.writer.flush(false));
  await rig.engine.drain();
  assertEquals([flush.value, rig.writer.flushedPosition], [24 * MIB, 24 * MIB]);
  await rig.finish();
});

Deno.test("A sync that fails leaves the flushed position, and the file ends there", async () => {
  const rig = await Rig.make({ direct: false, fileSystem: SERVER });
  rig.fill(1024);
  await rig.engine.drive(rig.writer.flush(false));
  rig.fill(1024);
  const flush = watch(rig.writer.flush(false));
  await turn();
  rig.engine.complete(rig.engine.only("write"));
  await turn();
  rig.engine.complete(rig.engine.only("sync"), -Errno.EIO);
  await rig.engine.drain();
  assertEquals([flush.state, rig.writer.flushedPosition], ["rejected", 1024]);
  assertEquals(rig.engine.file(rig.file.fd).size, 1024);
});

Deno.test("After a write that fails the server is not believed, whatever a sync says", async () => {
  const rig = await Rig.make({ direct: false, fileSystem: SERVER });
  rig.fill(2048);
  const [first, second] = rig.engine.pendingOf("write");
  rig.engine.complete(first!);
  // It may be the failure of the first one.
  rig.engine.complete(second!, -Errno.ENOSPC);
  await rig.engine.drain();
  assertEquals(rig.engine.log.slice(-2), ["sync", "truncate 0"]);
  assertEquals([rig.writer.flushedPosition, rig.engine.file(rig.file.fd).size], [0, 0]);
});

Deno.test("A writer that began behind the end of the file leaves it where it was", async () => {
  const rig = await Rig.make({ direct: false, fileSystem: SERVER, start: 700 });
  rig.fill(2048);
  const [first, second] = rig.engine.pendingOf("write");
  rig.engine.complete(first!);
  rig.engine.complete(second!, -Errno.ENOSPC);
  await rig.engine.drain();
  assertEquals([rig.writer.flushedPosition, rig.engine.file(rig.file.fd).size], [700, 0]);
});

Deno.test("A sync without preallocation cuts off nothing that waits to be confirmed", async () => {
  const rig = await Rig.make({ direct: false, fileSystem: SERVER, preallocate: false });
  rig.fill(600);
  const flush = watch(rig.writer.flush(true));
  await turn();
  rig.engine.complete(rig.engine.only("write"));
  const sync = watch(rig.writer.sync(false));
  await rig.engine.drain();
  assertEquals([flush.value, sync.state], [600, "resolved"]);
  assertEquals(rig.engine.file(rig.file.fd).size, 600);
  await rig.finish();
});

Deno.test("A failure leaves bytes of the file that stood behind what was written", async () => {
  const content = new Uint8Array(3000).fill(7);
  const rig = await Rig.make({ direct: false, fileSystem: SERVER, content });
  rig.fill(1024);
  const flush = watch(rig.writer.flush(false));
  await turn();
  rig.engine.complete(rig.engine.only("write"));
  rig.engine.complete(rig.engine.only("sync"), -Errno.EIO);
  await rig.engine.drain();
  assertEquals([flush.state, rig.writer.flushedPosition], ["rejected", 0]);
  assertEquals(rig.engine.file(rig.file.fd).size, 3000);
});

Deno.test("What is written is flushed before a truncate takes it away", async () => {
  const rig = await Rig.make({ direct: false, fileSystem: SERVER });
  rig.fill(1024);
  rig.engine.complete(rig.engine.only("write"));
  const truncated = truncateTo(rig.file, 0);
  rig.engine.complete(rig.engine.only("sync"));
  assertEquals([rig.engine.only("truncate").length, rig.writer.flushedPosition], [0, 1024]);
  await rig.engine.drive(truncated);
  await rig.finish();
});

Deno.test("An abort keeps what the server has", async () => {
  const rig = await Rig.make({ direct: false, fileSystem: SERVER });
  rig.fill(1536);
  await rig.engine.drive(rig.writer.abort("enough"));
  assertEquals(rig.writer.flushedPosition, 1024);
  assertEquals(rig.engine.file(rig.file.fd).size, 1024);
});

Deno.test("A flush on the JavaScript thread waits for the server too", async () => {
  const rig = await Rig.make({ direct: false, fileSystem: SERVER });
  rig.fill(1536);
  rig.writer.flushNow(false, Infinity);
  assertEquals(rig.writer.flushedPosition, 1536);
  await rig.finish();
});
