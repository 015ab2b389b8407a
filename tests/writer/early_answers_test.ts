// A server that ends writes before it has the bytes, and tells of a failure later: the flushed position follows its syncs.
// A scripted engine has such a server: no file system of the kernel is one.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { Errno } from "../../src/engine/linux.ts";
import { truncateTo } from "../../src/file/cut.ts";
import { writeBytes } from "../../src/file/random_access.ts";
import { Writer } from "../../src/writer/writer.ts";
import { openScripted, turn } from "../support/scripted_engine.ts";

const MIB = 1 << 20;

/** A writer with two buffers in flight, of 1,024 bytes unless told otherwise, on a file of an early server. */
async function make({ content = new Uint8Array(0), position = 0, bufferSize = 1024 } = {}) {
  // As every such server of FUSE.
  const fileSystem = { confirmAfter: 16 * MIB, cutsDirty: false };
  const { engine, file } = openScripted({ content, direct: false, fileSystem });
  const writer = new Writer(file, {
    bufferSize,
    writeBehind: 2,
    sharesMemory: false,
    position,
    append: false,
    sizeHint: 0,
    preallocate: bufferSize < MIB,
    syncOnClose: true,
    closeFile: false,
  });
  await engine.drain();
  engine.log.length = 0;
  return {
    engine,
    file,
    writer,
    write: (length: number) => {
      assertEquals(writer.write(new Uint8Array(length).fill(1)), length, "bytes taken");
    },
    /** Completes the only operation of that kind. */
    end: async (kind: "write" | "sync", result?: number) => {
      engine.complete(engine.only(kind), result);
      await turn();
    },
    assertClosing: async () => {
      await engine.drive(writer.close());
      engine.assertIdle();
      assertEquals(writer.flushedPosition, writer.position);
    },
    /** Throws unless the flushed position and the length of the file are these in the end. */
    assertLeft: async (flushed: number, size: number) => {
      await engine.drain();
      assertEquals([writer.flushedPosition, engine.file(file.fd).size], [flushed, size]);
    },
  };
}

Deno.test("Writer: bytes are flushed when the server has confirmed them, by one sync", async () => {
  for (const durable of [false, true]) {
    const { engine, writer, write, end, assertClosing } = await make();
    write(1024);
    const flushed = writer.flush(false, durable);
    await turn();
    await end("write");
    assertEquals(writer.flushedPosition, 0);
    assertEquals(await engine.drive(flushed), 1024);
    assertEquals(engine.log, ["write 0+1024", "sync"]);
    await assertClosing();
  }
});

Deno.test("Writer: no write is in flight during the sync of a server", async () => {
  const { engine, writer, write, end, assertClosing } = await make();
  write(2048);
  const flushed = writer.flush(false, false);
  await turn();
  const [first, second] = engine.pendingOf("write");
  engine.complete(first!);
  write(2048);
  engine.complete(second!);
  assertEquals(engine.describePending(), "write 2048+1024");
  await end("write");
  assertEquals(engine.describePending(), "sync");
  assertEquals(await engine.drive(flushed), 3072);
  await assertClosing();
});

Deno.test("Writer: the server is synced at intervals, even if no caller waits", async () => {
  const { engine, writer, write, end, assertClosing } = await make({ bufferSize: 8 * MIB });
  for (const asked of ["nothing", "sync"]) {
    write(8 * MIB);
    await end("write");
    assertEquals(engine.describePending(), asked);
  }
  assertEquals(writer.flushedPosition, 0);
  await end("sync");
  assertEquals(writer.flushedPosition, 16 * MIB);
  await assertClosing();
});

Deno.test("Writer: what is written is flushed before a truncate takes it away", async () => {
  const { engine, file, writer, write, end, assertClosing } = await make();
  write(1024);
  await end("write");
  const truncated = truncateTo(file, 0);
  await end("sync");
  assertEquals([engine.only("truncate").length, writer.flushedPosition], [0, 1024]);
  await engine.drive(truncated);
  await assertClosing();
});

Deno.test("Writer: after a failure the server is believed only below the start", async () => {
  // Other handles may have written below the start, and bytes may stand behind what was written.
  for (const [position, size] of [[0, 0], [700, 0], [0, 3000]] as const) {
    for (const kind of ["sync", "write"] as const) {
      const { engine, writer, write, assertLeft } = await make({
        position,
        content: new Uint8Array(size).fill(7),
      });
      write(2048);
      const flushed = assertRejects(() => writer.flush(false, false));
      await turn();
      const [first, second] = engine.pendingOf("write");
      engine.complete(first!);
      // That may be the failure of the first one.
      engine.complete(second!, kind === "write" ? -Errno.ENOSPC : undefined);
      if (kind === "sync") engine.complete(engine.only("sync"), -Errno.EIO);
      await assertLeft(position, Math.max(position, size));
      await flushed;
      assert(engine.log.includes("sync") || kind === "write");
    }
  }
});

Deno.test("Writer: what others wrote after a sync that failed stays", async () => {
  const { engine, file, writer, write, end, assertLeft } = await make();
  write(2048);
  for (const each of engine.pendingOf("write")) engine.complete(each);
  const synced = assertRejects(() => file.durability.sync(true));
  await end("sync", -Errno.ENOSPC);
  await engine.drive(writeBytes(file, new Uint8Array(1024).fill(7), 0));
  writer.abort("a reason").catch(() => {});
  await assertLeft(0, 1024);
  await synced;
});
