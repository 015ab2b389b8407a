// A server that ends writes before it has the bytes, and tells of a failure later: the flushed position follows its syncs.
// A scripted engine has such a server, because no file system of the kernel is one. The simulator has its failures.

import { assertEquals } from "@std/assert";
import { UNLIMITED } from "../../src/engine/buffer_budget.ts";
import { truncateTo } from "../../src/file/cut.ts";
import { Writer } from "../../src/writer/writer.ts";
import { openScripted, turn } from "../support/scripted_engine.ts";

const MIB = 1 << 20;

/** A writer with two buffers in flight on a file of an early server, which is closed in the end. */
function testEarly(
  name: string,
  bufferSize: number,
  fn: (parts: ReturnType<typeof make>) => Promise<void>,
): void {
  Deno.test(`Writer: ${name}`, async () => {
    const parts = make(bufferSize);
    const { engine, writer } = parts;
    await engine.drain();
    await fn(parts);
    await engine.drive(writer.close());
    engine.assertIdle();
    assertEquals(writer.flushedPosition, writer.position);
  });
}

function make(bufferSize: number) {
  // As every such server of FUSE.
  const fileSystem = { confirmAfter: 16 * MIB, cutsDirty: false };
  const { engine, file } = openScripted({ direct: false, fileSystem });
  const writer = new Writer(file, {
    bufferSize,
    writeBehind: 2,
    budget: UNLIMITED,
    position: 0,
    append: false,
    sizeHint: 0,
    preallocate: bufferSize < MIB,
    syncOnClose: true,
    closeFile: false,
  });
  const write = () => assertEquals(writer.write(new Uint8Array(bufferSize)), bufferSize);
  /** Completes the only operation of that kind. */
  const end = async (kind: "write" | "sync") => {
    engine.complete(engine.only(kind));
    await turn();
  };
  return { engine, file, writer, write, end };
}

testEarly("no write is in flight during the sync of a server", 1024, async (parts) => {
  const { engine, writer, write, end } = parts;
  write();
  write();
  const flushed = writer.flush(false, false);
  await turn();
  const [first, second] = engine.pendingOf("write");
  engine.complete(first!);
  write();
  write();
  engine.complete(second!);
  assertEquals(engine.describePending(), "write 2048+1024");
  await end("write");
  assertEquals(engine.describePending(), "sync");
  assertEquals(await engine.drive(flushed), 3072);
});

testEarly("the server is synced at intervals, even if no caller waits", 8 * MIB, async (parts) => {
  const { engine, writer, write, end } = parts;
  for (const asked of ["nothing", "sync"]) {
    write();
    await end("write");
    assertEquals(engine.describePending(), asked);
  }
  assertEquals(writer.flushedPosition, 0);
  await end("sync");
  assertEquals(writer.flushedPosition, 16 * MIB);
});

testEarly("what is written is flushed before a truncate takes it away", 1024, async (parts) => {
  const { engine, file, writer, write, end } = parts;
  write();
  await end("write");
  const truncated = truncateTo(file, 0);
  await end("sync");
  assertEquals([engine.only("truncate").length, writer.flushedPosition], [0, 1024]);
  await engine.drive(truncated);
});
