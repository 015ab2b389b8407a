// A DmaStreamWriter that fails, is aborted, or is dropped: the first failure is final, the file is cut to what is
// whole, and nothing is left over.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { type DmaError, DmaFile, DmaStreamWriter } from "../../mod.ts";
import { assertSticky } from "../faults/failed_writer.ts";
import { assertFile, pattern } from "../support/bytes.ts";
import { descriptorsOf } from "../support/descriptors.ts";
import { testDirectAndCached } from "../support/dirs.ts";
import { engine } from "../support/engine.ts";
import { interpose } from "../support/interpose.ts";
import { create } from "./create.ts";

const EIO = 5;

/** Throws unless every call rejects with this very error, and nothing is held any more. */
async function assertDead(stream: DmaStreamWriter, error: unknown): Promise<void> {
  await assertSticky(stream, error);
  await stream.abort();
  assertEquals(descriptorsOf(stream.file.path), 0);
  assertEquals(engine.pool.blocks, 0);
  assertEquals(engine.counters.inFlight, 0);
}

// ---- failures -------------------------------------------------------------------------------------------------

testDirectAndCached("A write that fails is final", async (dir) => {
  const nth = 3;
  const stream = await create(dir, { bufferSize: 4096, writeBehind: 2, preallocate: false });
  let error: unknown;
  {
    using _ = interpose("write", ({ index, pass, end }) => {
      if (index === nth) end(-EIO);
      else pass();
    });
    error = await assertRejects(
      async () => {
        for (let round = 0; round < 20; round++) await stream.write(pattern(4096, round * 4096));
        await stream.close();
      },
      Error,
      `Input/output error (os error 5): write '${dir.file("file")}'`,
    );
  }
  // What flew before it is waited for.
  await stream.abort();
  const { code, op, path } = error as DmaError;
  assertEquals([code, op, path], ["EIO", "write", dir.file("file")]);
  assertEquals(stream.currentFlushedPos, nth * 4096);
  await assertDead(stream, error);
  // Cut to what is whole: what flew beside the failed one is behind a hole.
  await assertFile(dir.file("file"), pattern(nth * 4096));
});

testDirectAndCached("A failed sync is final, and is not tried again", async (dir) => {
  await Deno.writeFile(dir.file("file"), new Uint8Array(0));
  // A file that was there: nothing but its own sync is asked for.
  const file = await DmaFile.open(dir.file("file"), { write: true, truncate: true });
  const stream = new DmaStreamWriter(file, { bufferSize: 4096 });
  await stream.write(pattern(10_000));
  let error: unknown;
  {
    using syncs = interpose("sync", ({ end }) => end(-EIO));
    error = await assertRejects(() => stream.sync(), Error, "(os error 5): sync");
    await assertRejects(() => stream.close());
    assertEquals(syncs.count, 1);
  }
  await assertDead(stream, error);
  await assertFile(dir.file("file"), pattern(8192));
});

testDirectAndCached("A close that fails has close reject", async (dir) => {
  const stream = await create(dir);
  await stream.write(pattern(10_000));
  {
    using _ = interpose("close", ({ completion, pass }) => {
      pass({}, { complete: () => completion.complete(-EIO) });
    });
    await assertRejects(() => stream.close(), Error, "(os error 5): close");
  }
  assertEquals(descriptorsOf(dir.file("file")), 0);
  await assertFile(dir.file("file"), pattern(10_000));
});

// ---- abort ----------------------------------------------------------------------------------------------------

testDirectAndCached("abort cuts the file to what is flushed, and closes it", async (dir) => {
  const stream = await create(dir, { bufferSize: 4096, writeBehind: 2 });
  await stream.write(pattern(10_001));
  const flushed = await stream.flushAligned();
  assertEquals(flushed, 8192);
  const reason = new Error("enough");
  await stream.abort(reason);
  assertEquals(stream.currentFlushedPos, 8192);
  await assertFile(dir.file("file"), pattern(8192));
  await assertDead(stream, reason);
});

testDirectAndCached("abort stops a chunk that is being written, however large", async (dir) => {
  const stream = await create(dir, { bufferSize: 4096, writeBehind: 1 });
  const writer = stream.getWriter();
  writer.closed.catch(() => {});
  const written = assertRejects(() => writer.write(new Uint8Array(200 << 20)));
  await new Promise((resolve) => setTimeout(resolve, 5));
  const started = performance.now();
  await writer.abort("enough");
  assert(performance.now() - started < 1000);
  assertEquals(await written, "enough");
  assertEquals(descriptorsOf(dir.file("file")), 0);
  assertEquals((await Deno.stat(dir.file("file"))).size, stream.currentFlushedPos);
});

testDirectAndCached("abort without a reason, twice, and after close", async (dir) => {
  const stream = await create(dir);
  await stream.write(pattern(5));
  await Promise.all([stream.abort(), stream.abort()]);
  await stream.abort("again");
  const failed = await stream.write(pattern(5)).then(() => "written", () => "failed");
  assertEquals(failed, "failed");
  const closed = await create(dir);
  await closed.write(pattern(5));
  await closed.close();
  await closed.abort();
  await assertFile(dir.file("file"), pattern(5));
});

testDirectAndCached(
  "abort while close runs undoes nothing: both fulfil, as in Deno's own stream",
  async (dir) => {
    const control = await Deno.open(dir.file("control"), { create: true, write: true });
    const controlled = control.writable;
    const begun = controlled.getWriter();
    await begun.write(pattern(10));
    begun.releaseLock();
    const [closed, aborted] = [controlled.close(), controlled.abort("enough")];
    assertEquals(await Promise.all([closed, aborted]), [undefined, undefined]);
    for (const delay of [-1, 0, 1, 2, 3, 5, 8]) {
      for (const atomic of [true, false]) {
        const path = dir.file("file");
        const stream = new DmaStreamWriter(await DmaFile.create(path, { atomic }));
        await stream.write(pattern(3_000_001));
        const closing = stream.close();
        if (delay >= 0) await new Promise((resolve) => setTimeout(resolve, delay));
        await Promise.all([stream.abort("enough"), closing]);
        assertEquals(descriptorsOf(path), 0);
        assertEquals(engine.pool.blocks, 0);
        await assertFile(path, pattern(3_000_001));
      }
    }
  },
);

testDirectAndCached("abort before the last chunk is taken wins over close", async (dir) => {
  const stream = await create(dir, { bufferSize: 4096, writeBehind: 1 });
  const reasonOf = (work: Promise<void>) => work.catch((reason) => reason);
  const ends = [reasonOf(stream.write(pattern(200_001))), reasonOf(stream.close())];
  await stream.abort("enough");
  assertEquals(await Promise.all(ends), ["enough", "enough"]);
  await assertFile(dir.file("file"), pattern(stream.currentFlushedPos));
});

testDirectAndCached("A cut that fails at abort says so, and the file is closed", async (dir) => {
  const stream = await create(dir, { bufferSize: 4096, sizeHint: 1_000_000 });
  await stream.write(pattern(10_000));
  await stream.flushAligned();
  {
    using _ = interpose("truncate", ({ end }) => end(-EIO));
    await assertRejects(() => stream.abort(), Error, "(os error 5): truncate");
  }
  assertEquals(descriptorsOf(dir.file("file")), 0);
  // On btrfs nothing is reserved.
}, { where: ({ fileSystem }) => fileSystem !== "btrfs" });

// ---- the file closed under it ---------------------------------------------------------------------------------

testDirectAndCached("file.close under a writer gives the writer up", async (dir) => {
  const stream = await create(dir, { bufferSize: 4096, sizeHint: 1_000_000 });
  await stream.write(pattern(10_001));
  const flushed = await stream.flushAligned();
  await stream.file.close();
  assertEquals(descriptorsOf(dir.file("file")), 0);
  const error = await assertRejects(() => stream.close(), Deno.errors.BadResource);
  await assertDead(stream, error);
  await assertFile(dir.file("file"), pattern(flushed));
});

testDirectAndCached("file.close under a writer that does not close its file", async (dir) => {
  const stream = await create(dir, { bufferSize: 4096, closeFile: false });
  await stream.write(pattern(10_001));
  await stream.file.close();
  const error = await assertRejects(() => stream.write(pattern(1)), Deno.errors.BadResource);
  await assertDead(stream, error);
});

testDirectAndCached("file.close lets a writer finish that is closing already", async (dir) => {
  for (const closeFile of [true, false]) {
    const stream = await create(dir, { closeFile });
    await stream.write(pattern(3_000_001));
    const closing = stream.close();
    await stream.file.close();
    assertEquals(descriptorsOf(dir.file("file")), 0);
    await closing;
    await assertFile(dir.file("file"), pattern(3_000_001));
  }
});

testDirectAndCached("file.close lets a writer finish that has chunks to write yet", async (dir) => {
  for (const how of ["close", "close of the lock"]) {
    const stream = await create(dir, { bufferSize: 4096, writeBehind: 1 });
    const writer = stream.getWriter();
    const written = writer.write(pattern(100_001));
    const closing = how === "close" ? (writer.releaseLock(), stream.close()) : writer.close();
    await stream.file.close();
    assertEquals(descriptorsOf(dir.file("file")), 0);
    await Promise.all([written, closing]);
    await assertFile(dir.file("file"), pattern(100_001), how);
  }
});
